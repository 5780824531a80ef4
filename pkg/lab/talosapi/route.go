package talosapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/siderolabs/grpc-proxy/proxy"
	clusterapi "github.com/siderolabs/talos/pkg/machinery/api/cluster"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// router decides where a call goes: to this node, to the one named in "node",
// or to all of "nodes" at once.
type router struct {
	local   *grpc.ClientConn
	isLocal func(string) bool
	worker  bool
	tls     *tls.Config
	port    uint16
	// maintenance answers every call here, whomever it is for.
	maintenance bool

	mu    sync.Mutex                  // guards conns
	conns map[string]*grpc.ClientConn // by target
}

func newRouter(local *grpc.ClientConn, cfg Config) *router {
	return &router{
		local: local, isLocal: cfg.IsLocal, worker: cfg.Worker, maintenance: cfg.Maintenance,
		tls: cfg.ProxyTLS, port: cfg.Port, conns: map[string]*grpc.ClientConn{},
	}
}

// direct is the proxy's director. A call that another apid has routed already
// ("proxyfrom") goes no further.
func (r *router) direct(ctx context.Context, method string) (proxy.Mode, []proxy.Backend, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	nodes, node := md["nodes"], md["node"]
	switch {
	case r.maintenance:
		return proxy.One2One, []proxy.Backend{&backend{conn: r.local, maintenance: true}}, nil
	case md["proxyfrom"] != nil, nodes == nil && node == nil:
		return proxy.One2One, []proxy.Backend{&backend{conn: r.local}}, nil
	case len(node) > 1:
		return proxy.One2One, nil, status.Error(codes.InvalidArgument, "node metadata must be single-valued")
	case r.worker:
		return r.directWorker(method, nodes, node)
	case nodes == nil:
		b, err := r.backend(node[0])
		return proxy.One2One, []proxy.Backend{b}, err
	case !answersForMany(method):
		return proxy.One2One, nil, status.Errorf(codes.InvalidArgument, "one-2-many proxying is not supported for method %s", method)
	}
	var backends []proxy.Backend
	for _, target := range nodes {
		b, err := r.backend(target)
		if err != nil {
			return proxy.One2Many, nil, err
		}
		backends = append(backends, b)
	}
	return proxy.One2Many, backends, nil
}

// backend returns the way to a target, which is a host name or an address
// without a port.
func (r *router) backend(target string) (proxy.Backend, error) {
	if r.isLocal(target) {
		return &backend{target: target, conn: r.local}, nil
	}
	if _, _, err := net.SplitHostPort(target); target == "" || err == nil {
		return nil, status.Error(codes.Internal, fmt.Sprintf("invalid target %q", target))
	}
	conn, err := r.dial(target)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &backend{target: target, conn: conn}, nil
}

// dial returns the connection to another node's apid, which is kept. The
// certificate is checked against the target as it was written. Talos caps
// gRPC's delay between attempts at 15 s, and so a node that came back may look
// down through another node for that long.
func (r *router) dial(target string) (*grpc.ClientConn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if conn := r.conns[target]; conn != nil {
		return conn, nil
	}
	delays := backoff.DefaultConfig
	delays.MaxDelay = 15 * time.Second
	host := target
	if a, err := netip.ParseAddr(strings.Trim(target, "[]")); err == nil {
		host = a.String()
	}
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(host, strconv.Itoa(int(r.port))),
		grpc.WithTransportCredentials(credentials.NewTLS(r.tls)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: delays, MinConnectTimeout: 20 * time.Second}),
		grpc.WithDefaultCallOptions(proxyCallOptions()...),
	)
	if err != nil {
		return nil, err
	}
	r.conns[target] = conn
	return conn, nil
}

func (r *router) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for target, conn := range r.conns {
		_ = conn.Close() // the server is stopping
		delete(r.conns, target)
	}
}

// answersForMany reports whether a method's replies have the shape that
// several nodes' replies can be joined in.
func answersForMany(method string) bool {
	for _, service := range []string{"machine.MachineService", "cluster.ClusterService", "inspect.InspectService", "storage.StorageService", "time.TimeService"} {
		if strings.HasPrefix(method, "/"+service+"/") {
			return true
		}
	}
	return false
}

// isStreamed reports whether the method answers with a stream.
func isStreamed(method string) bool {
	for _, service := range []grpc.ServiceDesc{machine.MachineService_ServiceDesc, clusterapi.ClusterService_ServiceDesc} {
		for _, stream := range service.Streams {
			if stream.ServerStreams && method == "/"+service.ServiceName+"/"+stream.StreamName {
				return true
			}
		}
	}
	return false
}

// proxyCallOptions pass messages on as they are.
func proxyCallOptions() []grpc.CallOption {
	return []grpc.CallOption{
		grpc.MaxCallRecvMsgSize(constants.GRPCMaxMessageSize),
		grpc.ForceCodecV2(proxy.Codec()),
	}
}
