// Package etcd asks the nodes' etcd, over its own API, for the election of a
// VIP: who is in the queue, and how long each one's lease has left.
//
// It only ever reads, and nothing but the keys of an election and their
// leases. Each node's member is asked directly and for itself, and answers only
// where a quorum agrees, so that none tells an old queue.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// Port is where etcd takes clients on Talos (constants.EtcdClientPort, Talos
// v1.13.9).
const Port = 2379

// maxAnswer is how large an answer may be, in bytes. A queue of maxCandidates
// is much smaller.
const maxAnswer = 256 << 10

// Client asks the members of one cluster. It keeps no connection, and may be
// used by several goroutines.
type Client struct {
	tls     *tls.Config
	timeout time.Duration
	dial    func(ctx context.Context, at netip.AddrPort) (net.Conn, error)
}

// New returns a client that proves itself with config, and trusts what that
// trusts. It gives each node timeout for all of its answers, connecting
// included. It dials nobody yet.
func New(config *tls.Config, timeout time.Duration) (*Client, error) {
	switch {
	case config == nil:
		return nil, errors.New("etcd takes no client without a certificate")
	case timeout <= 0:
		return nil, fmt.Errorf("timeout %s is not positive", timeout)
	}
	return &Client{tls: config, timeout: timeout, dial: dialTCP}, nil
}

func dialTCP(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
}

// Collect asks the etcd of every node, all at the same time, and fills in the
// elections of each VIP. It returns within the timeout, or when ctx ends.
func (c *Client) Collect(ctx context.Context, snap *cluster.Snapshot) {
	round := NewRound(ctx)
	round.Open(c, nil)
	round.Fill(snap)
}

// ask asks one member for the election of a VIP, and returns within the timeout.
func (c *Client) ask(ctx context.Context, m *member, vip netip.Addr) (cluster.Election, error) {
	if m.err != nil {
		return cluster.Election{}, m.err
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	e, err := readElection(ctx, m, vip)
	return e, plain(ctx, err, time.Since(begun))
}

// member is a connection to one node's etcd that can read, and nothing else.
type member struct {
	conn *grpc.ClientConn
	err  error // why there is no connection
	reader
}

func (m *member) close() {
	if m.conn != nil {
		_ = m.conn.Close()
	}
}

// connect prepares a connection; gRPC makes it on first use. Nothing is sent
// twice, to nobody else, and through no proxy of the environment.
func (c *Client) connect(at netip.AddrPort) *member {
	if !at.IsValid() {
		return &member{err: errors.New("its address is not known")}
	}
	conn, err := grpc.NewClient("passthrough:///"+at.String(),
		grpc.WithTransportCredentials(credentials.NewTLS(c.tls)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return c.dial(ctx, at) }),
		grpc.WithUnaryInterceptor(readOnly),
		grpc.WithStreamInterceptor(noStream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: c.timeout + time.Second}), // the call's own time ends first
		grpc.WithMaxHeaderListSize(maxHeader),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
	)
	if err != nil {
		return &member{err: err}
	}
	return &member{conn: conn, reader: struct {
		pb.KVClient
		pb.LeaseClient
	}{pb.NewKVClient(conn), pb.NewLeaseClient(conn)}}
}

// maxHeader is how large the headers of an answer may be, in bytes.
const maxHeader = 16 << 10

// The calls that are ever sent: to read keys, and how long a lease has left.
const (
	callRange      = "/etcdserverpb.KV/Range"
	callTimeToLive = "/etcdserverpb.Lease/LeaseTimeToLive"
)

// readOnly lets nothing pass that could change anything.
func readOnly(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if method != callRange && method != callTimeToLive {
		return status.Errorf(codes.PermissionDenied, "%s is never sent", method)
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

func noStream(_ context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, method string, _ grpc.Streamer, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Errorf(codes.PermissionDenied, "%s is never sent", method)
}
