package etcd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// authority signs the certificates of a cluster's etcd.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// leaf issues a certificate for the addresses, good for both ends.
func (a *authority) leaf(addrs ...string) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "leaf"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	for _, s := range addrs {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(s))
	}
	key := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// client is the configuration of a client of this cluster.
func (a *authority) client() *tls.Config {
	return &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.leaf()}, MinVersion: tls.VersionTLS12}
}

func (a *authority) server(addr string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.leaf(addr)}, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

// world is a network in which addresses of nodes lead to listeners on loopback.
type world struct {
	t     *testing.T
	ca    *authority
	mu    sync.Mutex
	ports map[netip.AddrPort]string // mu guards ports
}

func newWorld(t *testing.T) *world {
	return &world{t: t, ca: newAuthority(t), ports: map[netip.AddrPort]string{}}
}

func (w *world) client(timeout time.Duration) *Client {
	w.t.Helper()
	c, err := New(w.ca.client(), timeout)
	if err != nil {
		w.t.Fatal(err)
	}
	c.dial = func(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
		w.mu.Lock()
		port := w.ports[at]
		w.mu.Unlock()
		if port == "" {
			port = "127.0.0.1:1" // nobody listens there
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", port)
	}
	return c
}

// listen opens the port of the node's etcd.
func (w *world) listen(addr string) net.Listener {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	w.lead(addr, l.Addr().String())
	return l
}

// hangUp serves a member that shakes hands and ends the connection: with a reset
// where linger is 0, properly where it is less.
func (w *world) hangUp(addr string, linger int) {
	l, cfg := w.listen(addr), w.ca.server(addr)
	cfg.ClientAuth, cfg.NextProtos = tls.NoClientCert, []string{"h2"}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if tls.Server(conn, cfg).Handshake() == nil {
				_ = conn.(*net.TCPConn).SetLinger(linger)
			}
			_ = conn.Close()
		}
	}()
}

// lead makes the node's address lead to a port of this machine.
func (w *world) lead(addr, port string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports[netip.AddrPortFrom(netip.MustParseAddr(addr), Port)] = port
}

// fakeEtcd answers as told, and writes down every call.
type fakeEtcd struct {
	pb.UnimplementedKVServer
	pb.UnimplementedLeaseServer
	queue  func(*pb.RangeRequest) (*pb.RangeResponse, error)
	lease  func(context.Context, int64) (*pb.LeaseTimeToLiveResponse, error)
	mu     sync.Mutex
	calls  []string // mu guards calls, ranges and leaders
	ranges []*pb.RangeRequest
	// leaders are what each read said of the leader that it takes.
	leaders []string
}

func (e *fakeEtcd) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	e.mu.Lock()
	e.ranges = append(e.ranges, r)
	e.leaders = append(e.leaders, metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataRequireLeaderKey)...)
	e.mu.Unlock()
	return e.queue(r)
}

func (e *fakeEtcd) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	return e.lease(ctx, r.ID)
}

// seen are the calls that came, each once.
func (e *fakeEtcd) seen() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(e.calls)))
}

// count is how many calls came.
func (e *fakeEtcd) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.calls)
}

// serve answers as the etcd of the node, over mutual TLS.
func (w *world) serve(addr string, e *fakeEtcd) *fakeEtcd {
	w.t.Helper()
	record := func(method string) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.calls = append(e.calls, method)
	}
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(w.ca.server(addr))),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			record(info.FullMethod)
			return h(ctx, req)
		}),
		grpc.StreamInterceptor(func(_ any, _ grpc.ServerStream, info *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
			record(info.FullMethod)
			return status.Error(codes.Unimplemented, info.FullMethod)
		}),
		grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(ss)
			record(method)
			return status.Error(codes.Unimplemented, method)
		}),
	)
	pb.RegisterKVServer(s, e)
	pb.RegisterLeaseServer(s, e)
	w.t.Cleanup(s.Stop)
	l := w.listen(addr)
	go func() { _ = s.Serve(l) }()
	return e
}

var someVIP = netip.MustParseAddr("10.5.0.50")

// nodes is a snapshot of nodes cp-1, cp-2, ... at these addresses.
func nodes(addrs ...string) *cluster.Snapshot {
	s := &cluster.Snapshot{VIPs: []cluster.VIP{{Addr: someVIP}}}
	for i, a := range addrs {
		addr, _ := netip.ParseAddr(a)
		s.Nodes = append(s.Nodes, cluster.Node{Name: "cp-" + string(rune('1'+i)), Addr: addr})
	}
	return s
}
