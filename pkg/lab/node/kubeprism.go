//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
)

// kubePrismAddr is where programs on a node find the Kubernetes API, whichever
// of its servers lives.
var kubePrismAddr = net.JoinHostPort("127.0.0.1", strconv.Itoa(constants.DefaultKubePrismPort))

// kubeletServer is where the node's kubelet finds the Kubernetes API: by
// KubePrism or, without it, on the node itself if that is a control plane, and
// else at the cluster's endpoint (Talos v1.13.9
// internal/app/machined/pkg/controllers/secrets/kubelet.go).
func (c Config) kubeletServer() string {
	switch {
	case !c.NoKubePrism:
		return kubePrismAddr
	case !c.Worker:
		return net.JoinHostPort("localhost", strconv.Itoa(apiserver.Port))
	default:
		return strings.TrimPrefix(c.endpoint(), "https://")
	}
}

// kubePrismAtBoot is how often the endpoints are tried while the cluster comes
// up, for one of Talos's intervals; from then on Talos's own is kept.
const kubePrismAtBoot = time.Second

// kubePrism is Talos's balancer of the Kubernetes API on a node.
type kubePrism struct {
	m *machine

	mu    sync.Mutex      // guards what follows
	all   []string        // the endpoints, in the configuration's order
	asked map[string]bool // those that are being asked
	alive map[string]bool // those that answered last
	turn  int             // of the live ones, whose it is to take the next connection
}

// run serves until the context ends.
func (k *kubePrism) run(ctx context.Context) error {
	ln, err := net.Listen("tcp", kubePrismAddr)
	if err != nil {
		return fmt.Errorf("KubePrism: %w", err)
	}
	go k.check(ctx)
	k.serve(ctx, ln)
	return nil
}

// serve passes every connection on until the context ends.
func (k *kubePrism) serve(ctx context.Context, ln net.Listener) {
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return // closed
		}
		go k.pass(ctx, conn)
	}
}

// check keeps the list of endpoints that take connections, and the status.
func (k *kubePrism) check(ctx context.Context) {
	start := time.Now()
	for wait := time.Duration(0); pause(ctx, wait); {
		k.askAll(ctx)
		if wait = constants.KubePrismHealthCheckInterval; time.Since(start) < wait {
			wait = kubePrismAtBoot
		}
	}
}

// askAll asks every endpoint, and waits for none: a VIP that nobody owns yet
// would hold up the servers that are there.
func (k *kubePrism) askAll(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.asked == nil {
		k.asked, k.alive = map[string]bool{}, map[string]bool{}
	}
	k.all = k.endpoints()
	maps.DeleteFunc(k.alive, func(e string, _ bool) bool { return !slices.Contains(k.all, e) })
	k.publish()
	for _, e := range k.all {
		if !k.asked[e] {
			k.asked[e] = true
			go k.ask(ctx, e)
		}
	}
}

// ask notes whether the endpoint takes a connection.
func (k *kubePrism) ask(ctx context.Context, endpoint string) {
	conn, err := dialEndpoint(ctx, endpoint, constants.KubePrismHealthCheckTimeout)
	if err == nil {
		_ = conn.Close() // that it answered is all
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.asked, endpoint)
	if k.alive[endpoint] = err == nil; ctx.Err() == nil {
		k.publish()
	}
}

// live returns the endpoints that answered last. The caller holds mu.
func (k *kubePrism) live() []string {
	return slices.DeleteFunc(slices.Clone(k.all), func(e string) bool { return !k.alive[e] })
}

// publish publishes the balancer's health, and which of the cluster's servers
// it reached, which on Talos comes from Kubernetes' own list of them. The
// caller holds mu.
func (k *kubePrism) publish() {
	live := k.live()
	put(k.m, "k8s.KubePrismController", k8s.NewKubePrismStatuses(k8s.NamespaceName, k8s.KubePrismStatusesID), func(r *k8s.KubePrismStatuses) {
		*r.TypedSpec() = k8s.KubePrismStatusesSpec{Host: kubePrismAddr, Healthy: len(live) > 0}
	})
	var servers []netip.Addr
	for _, p := range k.m.cfg.Peers {
		if slices.ContainsFunc(live, func(e string) bool { host, _, _ := net.SplitHostPort(e); return host == p.Addr.String() }) {
			servers = append(servers, p.Addr)
		}
	}
	slices.SortFunc(servers, netip.Addr.Compare)
	put(k.m, "k8s.EndpointController", k8s.NewEndpoint(k8s.ControlPlaneNamespaceName, k8s.ControlPlaneAPIServerEndpointsID),
		func(r *k8s.Endpoint) { r.TypedSpec().Addresses = servers })
}

// endpoints returns the configured ones as host:port.
func (k *kubePrism) endpoints() []string {
	cfg, err := safe.StateGetByID[*k8s.KubePrismConfig](context.Background(), k.m.state, k8s.KubePrismConfigID)
	if err != nil {
		return nil // not yet
	}
	var list []string
	for _, e := range cfg.TypedSpec().Endpoints {
		list = append(list, net.JoinHostPort(e.Host, strconv.FormatUint(uint64(e.Port), 10)))
	}
	return list
}

// choices returns the endpoints for one connection, in the order in which to
// try them. They take turns, as on Talos: a client whose server hangs, and so
// is alive to the check, gets another one by connecting anew.
func (k *kubePrism) choices() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	live := k.live()
	if len(live) == 0 {
		return nil
	}
	first := k.turn % len(live)
	k.turn = first + 1
	return slices.Concat(live[first:], live[:first])
}

// pass connects a client to the first endpoint that takes it.
func (k *kubePrism) pass(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	for _, endpoint := range k.choices() {
		server, err := dialEndpoint(ctx, endpoint, constants.KubePrismDialTimeout)
		if err != nil {
			continue
		}
		join(client, server)
		return
	}
}

// join passes bytes both ways until both have ended.
func join(a, b net.Conn) {
	defer func() { _ = b.Close() }()
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // the other side sees the end
			if tcp, ok := way[0].(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
		})
	}
	wg.Wait()
}

// dialEndpoint connects so that an endpoint whose power was cut is noticed,
// after as long as on Talos: the kernel itself would try for a quarter of an hour.
func dialEndpoint(ctx context.Context, endpoint string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{
		Timeout: timeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: constants.KubePrismKeepAlivePeriod},
		Control: func(_, _ string, c syscall.RawConn) error {
			var opt error
			err := c.Control(func(fd uintptr) {
				opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(constants.KubePrismTCPUserTimeout.Milliseconds()))
			})
			return errors.Join(err, opt)
		},
	}
	return d.DialContext(ctx, "tcp", endpoint)
}
