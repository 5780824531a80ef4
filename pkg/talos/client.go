// Package talos asks the Talos API of every control-plane node for what a
// cluster.Snapshot holds, watches the addresses of a node, and reboots one.
//
// Every node is dialled directly, over a connection of its own, because an
// answer that was forwarded by another node tells neither when it was true nor
// whether the node can be reached: apid's connections to its peers may be down
// for 15 s longer than the peer is. Only where a node cannot be dialled, its
// facts are read through an endpoint, and marked.
//
// All reading needs no more than the role os:reader; NodeClient needs
// os:operator to reboot, shut down or restart a service.
package talos

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"

	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// Client asks one cluster. Connections are made when they are first needed and
// kept until Close. It may be used by several goroutines.
type Client struct {
	cfg *Config
	tls *tls.Config // nil: the client library makes it

	mu    sync.Mutex
	links map[target]*link  // mu guards links, keyed by where only
	nodes map[string]member // mu guards nodes: what names meant when Collect last ran
}

// New returns a client for the context. It dials nobody yet.
func New(cfg *Config) (*Client, error) {
	if cfg == nil || len(cfg.Endpoints) == 0 {
		return nil, &EndpointsError{}
	}
	c := &Client{cfg: cfg, links: map[target]*link{}, nodes: map[string]member{}}
	// Credentials that cannot be used must show now, not as a row of each node.
	var err error
	if c.tls, err = tlsConfig(cfg.file.Contexts[cfg.Context]); err != nil {
		return nil, &FileError{Path: cfg.Path, Err: err}
	}
	if c.tls != nil {
		return c, nil
	}
	l, err := c.dial(target{addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 1)})
	if err != nil {
		return nil, &FileError{Path: cfg.Path, Err: err}
	}
	return c, l.close()
}

// Close closes every connection. Calls that are under way fail.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for key, l := range c.links {
		errs = append(errs, l.close())
		delete(c.links, key)
	}
	return errors.Join(errs...)
}

// target is where a node's Talos API is asked.
type target struct {
	// addr is dialled. It is the zero value where nodes are reached through a
	// proxy only (Omni).
	addr netip.AddrPort
	// serverName is what its certificate must be for; "" is addr itself.
	serverName string
	// node is the name that the endpoint is asked to forward to; "" where addr
	// answers for itself.
	node string
}

func (t target) String() string {
	if t.node != "" {
		return t.node
	}
	return t.addr.String()
}

// wire is the part of a target that decides which connection it uses.
func (t target) wire() target {
	t.node = ""
	return t
}

// link is one connection.
type link struct {
	api  *talosclient.Client
	came *progress
}

func (l *link) close() error { return l.api.Close() }

// link returns the connection for t and makes it where there is none yet, or
// only one that is waiting to be tried again. reused says that it was there.
func (c *Client) link(t target) (l *link, reused bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.links[t.wire()]; ok {
		if l.api.Conn().GetState() != connectivity.TransientFailure {
			return l, true, nil
		}
		_ = l.close()
		delete(c.links, t.wire())
	}
	l, err = c.dial(t.wire())
	if err == nil {
		c.links[t.wire()] = l
	}
	return l, false, err
}

// drop forgets a connection over which nothing came. TCP may take minutes to
// find that a peer lost its power, and gRPC backs off: the next call must begin
// afresh.
func (c *Client) drop(t target, l *link) {
	c.mu.Lock()
	if c.links[t.wire()] == l {
		delete(c.links, t.wire())
	}
	c.mu.Unlock()
	_ = l.close()
}

// dial prepares a connection; gRPC makes it on first use.
func (c *Client) dial(t target) (*link, error) {
	way := c.cfg.dialer
	if way == nil {
		way = dialByEnvironment
	}
	came := &progress{}
	opts := append(c.dialOptions(), grpc.WithContextDialer(came.watching(way)))
	endpoints := c.cfg.Endpoints
	if t.addr.IsValid() {
		endpoints = []string{t.addr.String()}
		if t.serverName != "" {
			opts = append(opts, grpc.WithAuthority(net.JoinHostPort(t.serverName, strconv.Itoa(int(t.addr.Port())))))
		}
	}
	options := []talosclient.OptionFunc{
		talosclient.WithConfig(c.cfg.file),
		talosclient.WithContextName(c.cfg.Context),
		talosclient.WithEndpoints(endpoints...),
		talosclient.WithSideroV1KeysDir(c.cfg.keysDir),
		talosclient.WithGRPCDialOptions(opts...),
	}
	if c.tls != nil {
		options = append(options, talosclient.WithTLSConfig(came.secured(c.tls)))
	}
	if c.cfg.cluster != "" {
		options = append(options, talosclient.WithCluster(c.cfg.cluster))
	}
	api, err := talosclient.New(context.Background(), options...)
	if err != nil {
		return nil, err
	}
	return &link{api: api, came: came}, nil
}

// ready waits until the connection stands, or says why it does not.
func (l *link) ready(ctx context.Context) error {
	conn := l.api.Conn()
	for {
		conn.Connect()
		switch state := conn.GetState(); state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			// A call fails at once in this state, with the reason.
			if _, err := l.api.Version(ctx); !answered(err) {
				return err
			}
			return nil
		default:
			if !conn.WaitForStateChange(ctx, state) {
				return fmt.Errorf("connecting: %w", ctx.Err())
			}
		}
	}
}
