package lab

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"k8s.io/client-go/tools/clientcmd"
)

// drain returns what a stream of data brings until it ends.
func drain(stream grpc.ServerStreamingClient[common.Data], err error) (string, error) {
	var all strings.Builder
	for err == nil {
		var data *common.Data
		data, err = stream.Recv()
		all.Write(data.GetBytes())
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all.String(), err
}

func tourOfLogs() []stop {
	return []stop{
		{"the owner's kernel log has the way of the VIP", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Dmesg(talosclient.WithNode(ctx, addrByName()[v.holder()]), false, false))
			for _, want := range []string{
				`]: [talos] assigned address {"component": "controller-runtime", "controller": "network.AddressSpecController", "address": "10.5.0.50/32", "link": "eth0"}` + "\n",
				`]: [talos] sent gratuitous ARP {"component": "controller-runtime", "controller": "network.AddressSpecController", "address": "10.5.0.50", "link": "eth0"}` + "\n",
				`]: [talos] enabled shared IP {"component": "controller-runtime", "controller": "network.OperatorSpecController", "operator": "vip", "link": "eth0", "ip": "10.5.0.50"}` + "\n",
			} {
				if !strings.Contains(text, want) {
					return untrue("dmesg = %.2000s, %v; want %q in it", text, err, want)
				}
			}
			return err
		}},
		{"the controllers' log has it too, with levels", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Logs(talosclient.WithNode(ctx, addrByName()[v.holder()]), "system", common.ContainerDriver_CONTAINERD, "controller-runtime", false, -1))
			if !strings.Contains(text, "\x1b[34mINFO\x1b[0m enabled shared IP {") {
				return untrue("controller-runtime = %q, %v; want that it enabled the shared IP", text, err)
			}
			return err
		}},
		{"a tail is as long as asked for", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Logs(ctx, "system", common.ContainerDriver_CONTAINERD, "machined", false, 3))
			if strings.Count(text, "\n") != 3 || !strings.HasPrefix(text, "[talos] ") {
				return untrue("3 lines of machined = %q, %v", text, err)
			}
			return err
		}},
		{"a followed log grows", func(ctx context.Context, v *tour) error {
			const line = "service[kubelet](Stopping)"
			before, err := drain(v.reader.Dmesg(ctx, false, false))
			if err != nil {
				return err
			}
			stream, err := v.reader.Dmesg(ctx, true, false)
			if err != nil {
				return err
			}
			if _, err := v.admin.ServiceRestart(ctx, "kubelet"); err != nil {
				return err
			}
			for seen := 0; seen <= strings.Count(before, line); {
				data, err := stream.Recv()
				if err != nil {
					return err
				}
				seen += strings.Count(string(data.GetBytes()), line)
			}
			return nil
		}},
		{"etcd's own words are kept", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Logs(ctx, "system", common.ContainerDriver_CONTAINERD, "etcd", false, -1))
			if !strings.Contains(text, "\twarn\t") {
				return untrue("etcd's log = %q, %v; want a warning of etcd", text, err)
			}
			return err
		}},
		{"the logs are listed", func(ctx context.Context, v *tour) error {
			resp, err := v.reader.LogsContainers(ctx)
			if ids := resp.GetMessages()[0].GetIds(); err != nil || !slices.Contains(ids, "etcd") || !slices.Contains(ids, "controller-runtime") {
				return untrue("LogsContainers = %v, %v; want etcd and controller-runtime among them", ids, err)
			}
			return nil
		}},
		{"a log that is none is refused", func(ctx context.Context, v *tour) error {
			_, err := drain(v.reader.Logs(ctx, "system", common.ContainerDriver_CONTAINERD, "nope", false, -1))
			return refused(err, codes.Unknown, `log "nope" was not registered`)
		}},
		{"a container that is none is refused", func(ctx context.Context, v *tour) error {
			_, err := drain(v.reader.Logs(ctx, "k8s.io", common.ContainerDriver_CRI, "nope", false, -1))
			return refused(err, codes.Unknown, `container "nope" not found`)
		}},
	}
}

func tourOfFiles() []stop {
	read := func(ctx context.Context, v *tour, path string) (string, error) {
		r, err := v.admin.Read(ctx, path)
		if err != nil {
			return "", err
		}
		data, err := io.ReadAll(r)
		return string(data), err
	}
	return []stop{
		{"a file of /proc is the node's own", func(ctx context.Context, v *tour) error {
			text, err := read(ctx, v, "/proc/net/dev")
			if !strings.Contains(text, "eth0:") || strings.Count(text, "\n") != 4 {
				return untrue("/proc/net/dev = %q, %v; want lo and eth0 only", text, err)
			}
			return err
		}},
		{"a file of the host is not there", func(ctx context.Context, v *tour) error {
			for _, path := range []string{"/etc/passwd", "/proc/1/root/etc/passwd", "/proc/net/../1/environ", "/proc/self/environ"} {
				_, err := read(ctx, v, path)
				if err := refused(err, codes.NotFound, "stat "+path+": no such file or directory"); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a directory is no file", func(ctx context.Context, v *tour) error {
			_, err := read(ctx, v, "/proc/sys")
			return refused(err, codes.Unknown, "path must be a regular file")
		}},
		{"the kubeconfig opens the VIP", seeKubeconfig},
		{"a capture has what passes the link, and only that", seeCapture},
		{"a link that is none can't be captured", func(ctx context.Context, v *tour) error {
			r, err := v.admin.PacketCapture(ctx, &machineapi.PacketCaptureRequest{Interface: "eth9"})
			if err == nil {
				_, err = io.ReadAll(r)
			}
			return refused(err, codes.NotFound, `interface "eth9" not found`)
		}},
	}
}

func seeKubeconfig(ctx context.Context, v *tour) error {
	data, err := v.admin.Kubeconfig(ctx)
	if err != nil {
		return err
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return err
	}
	if cfg.Host != "https://10.5.0.50:6443" {
		return fmt.Errorf("the kubeconfig names %s; want the VIP", cfg.Host)
	}
	raw, err := drain(v.admin.MachineClient.Kubeconfig(ctx, &emptypb.Empty{}))
	if err != nil {
		return err
	}
	zip, err := gzip.NewReader(strings.NewReader(raw))
	if err != nil {
		return err
	}
	head, err := tar.NewReader(zip).Next()
	if err != nil || head.Name != "kubeconfig" {
		return untrue("the archive holds %v, %v; want a file kubeconfig", head, err)
	}
	return nil
}

// seeCapture captures ARP on cp-1 while the VIP moves there or away, and looks
// for the one gratuitous ARP.
func seeCapture(ctx context.Context, v *tour) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const loadHalf, jumpEqual, ret = 0x28, 0x15, 0x06
	stream, err := v.admin.PacketCapture(ctx, &machineapi.PacketCaptureRequest{Interface: "eth0", Promiscuous: true, SnapLen: 64,
		BpfFilter: []*machineapi.BPFInstruction{{Op: loadHalf, K: 12}, {Op: jumpEqual, Jf: 1, K: 0x0806}, {Op: ret, K: 64}, {Op: ret}}})
	if err != nil {
		return err
	}
	head := make([]byte, 24)
	if _, err := io.ReadFull(stream, head); err != nil {
		return err
	}
	if magic, link := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[20:]); magic != 0xa1b2c3d4 || link != 1 {
		return fmt.Errorf("the file begins %x; want a pcap of Ethernet", head)
	}
	owner := addrByName()[v.holder()]
	if _, err := v.admin.ServiceRestart(talosclient.WithNode(ctx, owner), "kubelet"); err != nil {
		return err
	}
	for {
		record := make([]byte, 16)
		if _, err := io.ReadFull(stream, record); err != nil {
			return err
		}
		at := time.Unix(int64(binary.LittleEndian.Uint32(record)), 0)
		frame := make([]byte, binary.LittleEndian.Uint32(record[8:]))
		if _, err := io.ReadFull(stream, frame); err != nil {
			return err
		}
		if frame[12] != 8 || frame[13] != 6 || len(frame) < 42 {
			return fmt.Errorf("captured %x; want ARP only", frame)
		}
		sender, target := [4]byte(frame[28:32]), [4]byte(frame[38:42])
		if vip := [4]byte{10, 5, 0, 50}; sender == vip && target == vip {
			if age := time.Since(at); age > 5*time.Second || age < -time.Second {
				return fmt.Errorf("the gratuitous ARP is said to be %v old", age)
			}
			return nil
		}
	}
}
