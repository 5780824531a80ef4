// Package talosapi is the Talos API of an emulated node, as a client sees it
// over the wire: gRPC with mutual TLS on port 50000, roles out of the client's
// certificate, and calls routed to other nodes by their metadata.
//
// It is cut as in Talos. A front (apid) ends the TLS and decides where a call
// goes; a back (machined), reached through memory only, checks the caller's
// roles and answers.
package talosapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"github.com/siderolabs/grpc-proxy/proxy"
	clusterapi "github.com/siderolabs/talos/pkg/machinery/api/cluster"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	timeapi "github.com/siderolabs/talos/pkg/machinery/api/time"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// Port is where every Talos API listens (Talos: constants.ApidPort).
const Port = constants.ApidPort

// Config is what a Server answers from.
type Config struct {
	// Hostname is asked whenever the node's name is; Talos asks its kernel.
	Hostname func() (string, error)
	// TalosVersion ("v1.13.9") is what the node says it is.
	TalosVersion string
	// BootTime is when this boot began, in seconds of Unix time; BootID names
	// this boot as /proc/sys/kernel/random/boot_id does.
	BootTime uint64
	BootID   string
	// State holds the node's resources and their definitions.
	State state.State
	// Events is the node's log of events.
	Events *EventLog
	// Logs are the node's logs.
	Logs *Logs
	// Sequencer and Services do what is asked of the machine.
	Sequencer Sequencer
	Services  Services
	// Etcd returns a client of the node's own member. The Server does not
	// close it.
	Etcd func() (*clientv3.Client, error)
	// EtcdCluster returns a new client of every control-plane node's member, for
	// what Talos does not ask of its own only. The Server closes it.
	EtcdCluster func() (*clientv3.Client, error)
	// Kubeconfig makes an administrator's kubeconfig.
	Kubeconfig func() ([]byte, error)
	// Capture streams the packets that the request asks for, as a pcap file in
	// pieces, until the context ends or write fails; nil captures nothing.
	Capture func(ctx context.Context, req *machine.PacketCaptureRequest, write func([]byte) error) error
	// ServerTLS is the front's own identity and what it asks of its callers;
	// ProxyTLS is how it presents itself to the other nodes' fronts.
	ServerTLS *tls.Config
	ProxyTLS  *tls.Config
	// IsLocal reports whether a call's target names this very node.
	IsLocal func(target string) bool
	// Worker makes it a worker's API: its front forwards nothing, and what is
	// about the control plane is Unimplemented.
	Worker bool
	// Maintenance says that the node has no configuration; ProxyTLS is not
	// used then.
	Maintenance bool
	// Trouble is what is wrong with the API; nil for nothing.
	Trouble *Trouble
	// Clock is the node's clock; nil for one that goes right.
	Clock *Clock
	// Port is the port of the other nodes' fronts; 0 means Port.
	Port uint16
}

// Sequencer starts the machine's sequences. Each call returns the actor ID
// that the sequence's events carry, before the sequence runs.
type Sequencer interface {
	Reboot(mode machine.RebootRequest_Mode) (actor string)
	Shutdown(force bool) (actor string)
}

// Services are the services of the machine.
type Services interface {
	List() []*machine.ServiceInfo
	// RestartKubelet returns when the kubelet was stopped and started again.
	RestartKubelet() error
	// StartKubelet starts a kubelet that was stopped.
	StartKubelet() error
	// EndEtcd ends etcd as a crash would; it is started again by itself.
	EndEtcd() error
}

// Server serves the Talos API of one node.
type Server struct {
	front *grpc.Server
	back  *grpc.Server
	inner *bufconn.Listener
	local *grpc.ClientConn
	route *router
}

// New returns a Server that does not serve yet.
func New(cfg Config) (*Server, error) {
	if cfg.Port == 0 {
		cfg.Port = Port
	}
	if cfg.Logs == nil {
		cfg.Logs = NewLogs()
	}
	s := &Server{inner: bufconn.Listen(1 << 20)}
	s.back = newBack(cfg)
	local, err := grpc.NewClient("passthrough:///machined",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.inner.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(proxyCallOptions()...),
	)
	if err != nil {
		return nil, fmt.Errorf("connect apid to machined: %w", err)
	}
	s.local = local
	s.route = newRouter(local, cfg)
	clusterapi.RegisterClusterServiceServer(s.back, &clusterService{cfg: cfg, route: s.route})
	s.front = grpc.NewServer(
		grpc.Creds(cfg.Trouble.credentials(cfg.ServerTLS)),
		grpc.ForceServerCodecV2(cfg.Trouble.codec(proxy.Codec())),
		grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize),
		grpc.UnknownServiceHandler(proxy.TransparentHandler(s.route.direct,
			proxy.WithStreamedDetector(isStreamed))),
	)
	return s, nil
}

// newBack returns machined: the services behind the check of roles. Talos
// sets no keep-alive policy, so neither do we (grpc-go then refuses pings more
// often than every 5 minutes).
func newBack(cfg Config) *grpc.Server {
	back := grpc.NewServer(
		grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize),
		grpc.UnaryInterceptor(authorizeUnary),
		grpc.StreamInterceptor(authorizeStream),
		grpc.ChainUnaryInterceptor(cfg.refuseUnary),
		grpc.ChainStreamInterceptor(cfg.refuseStream),
	)
	machine.RegisterMachineServiceServer(back, &machineService{cfg: cfg})
	timeapi.RegisterTimeServiceServer(back, &timeService{now: cfg.Clock.Now})
	cosiv1alpha1.RegisterStateServer(back, server.NewState(state.Filter(cfg.State, accessPolicy(cfg.State))))
	return back
}

// Serve answers on the listener until Stop. It returns nil after Stop.
func (s *Server) Serve(ln net.Listener) error {
	back := make(chan error, 1)
	go func() { back <- s.back.Serve(s.inner) }()
	err := s.front.Serve(ln)
	s.back.Stop()
	return errors.Join(err, <-back)
}

// Stop ends every call and connection at once and closes the listener.
func (s *Server) Stop() {
	s.front.Stop()
	s.back.Stop()
	s.route.close()
	_ = s.local.Close() // nothing is in flight any more
}
