package talosapi

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// chunkSize is how many bytes of a file one message carries (Talos v1.13.9
// pkg/chunker/stream: 1024; the lab is not meant to be that slow).
const chunkSize = 32 << 10

// EtcdSnapshot streams the database of this node's member as etcd gives it
// out: with its SHA-256 at the end, which the client checks.
func (s *machineService) EtcdSnapshot(_ *machine.EtcdSnapshotRequest, stream grpc.ServerStreamingServer[common.Data]) error {
	client, err := s.member(stream.Context(), "etcd snapshot")
	if err != nil {
		return err
	}
	snapshot, err := client.Snapshot(stream.Context())
	if err != nil {
		return fmt.Errorf("failed reading etcd snapshot: %w", err)
	}
	defer func() { _ = snapshot.Close() }()
	return sendFile(snapshot, stream)
}

func sendFile(r io.Reader, stream grpc.ServerStreamingServer[common.Data]) error {
	for {
		buf := make([]byte, chunkSize) // the stream keeps what it is given
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := stream.Send(&common.Data{Bytes: buf[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// Kubeconfig streams an administrator's kubeconfig, in a compressed archive as
// Copy does.
func (s *machineService) Kubeconfig(_ *emptypb.Empty, stream grpc.ServerStreamingServer[common.Data]) error {
	if err := onlyControlPlane(stream.Context(), s.cfg.State, "kubeconfig"); err != nil {
		return err
	}
	if s.cfg.Kubeconfig == nil {
		return status.Error(codes.Unimplemented, "method Kubeconfig not implemented")
	}
	data, err := s.cfg.Kubeconfig()
	if err != nil {
		return err
	}
	archive, err := tarball("kubeconfig", data)
	if err != nil {
		return err
	}
	return stream.Send(&common.Data{Bytes: archive})
}

// tarball returns a compressed archive of one file.
func tarball(name string, data []byte) ([]byte, error) {
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	archive := tar.NewWriter(zip)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), ModTime: time.Now(), Mode: 0o600}
	if err := archive.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := archive.Write(data); err != nil {
		return nil, err
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// PacketCapture streams what passes a link, as a pcap file, until the client
// hangs up.
func (s *machineService) PacketCapture(req *machine.PacketCaptureRequest, stream grpc.ServerStreamingServer[common.Data]) error {
	_, err := safe.StateGetResource(stream.Context(), s.cfg.State, network.NewLinkStatus(network.NamespaceName, req.GetInterface()))
	if state.IsNotFoundError(err) {
		return status.Errorf(codes.NotFound, "interface %q not found", req.GetInterface())
	}
	if err != nil {
		return err
	}
	if s.cfg.Capture == nil {
		return status.Error(codes.Unimplemented, "method PacketCapture not implemented")
	}
	return s.cfg.Capture(stream.Context(), req, func(p []byte) error { return stream.Send(&common.Data{Bytes: p}) })
}
