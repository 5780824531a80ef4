package fleet

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

// apis are one node's APIs. The owner's are on the VIP as well.
type apis struct {
	talos *grpc.Server
	kube  *http.Server
}

// serveNode serves the APIs of the node at index i.
func serveNode(secrets *pki.Cluster, c *Cluster, i int) (*apis, error) {
	n := c.Nodes[i]
	ips := []netip.Addr{n.Addr, c.VIP}
	identity, err := secrets.TalosServerTLS(n.Name, ips)
	if err != nil {
		return nil, err
	}
	serving, err := secrets.APIServerCertificate(n.Name, ips)
	if err != nil {
		return nil, err
	}
	resources, err := newState(c, i)
	if err != nil {
		return nil, err
	}
	s := &apis{talos: grpc.NewServer(grpc.Creds(credentials.NewTLS(identity))), kube: newAPIServer(serving)}
	machine.RegisterMachineServiceServer(s.talos, &machineService{cluster: c, node: i, boot: uint64(time.Now().Unix())})
	cosiv1alpha1.RegisterStateServer(s.talos, server.NewState(resources))
	addrs := ips[:1]
	if c.Owner == i {
		addrs = ips
	}
	for _, addr := range addrs {
		if err := s.listen(addr); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// listen answers on both ports of the address.
func (s *apis) listen(addr netip.Addr) error {
	apid, err := net.Listen("tcp", net.JoinHostPort(addr.String(), strconv.Itoa(constants.ApidPort)))
	if err != nil {
		return err
	}
	go func() { _ = s.talos.Serve(apid) }() // until it is stopped
	kube, err := net.Listen("tcp", net.JoinHostPort(addr.String(), strconv.Itoa(constants.DefaultControlPlanePort)))
	if err != nil {
		return err
	}
	go func() { _ = s.kube.ServeTLS(kube, "", "") }()
	return nil
}

func (s *apis) close() {
	s.talos.Stop()
	_ = s.kube.Close()
}

// newAPIServer is as much of a kube-apiserver as a look takes: its certificate,
// and that it is ready.
func newAPIServer(cert tls.Certificate) *http.Server {
	return &http.Server{
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that look at the certificate and leave
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_, _ = io.WriteString(w, "ok")
		}),
	}
}
