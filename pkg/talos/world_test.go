package talos

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/role"
)

// world is a network of fake Talos nodes. Each has an address of its own, which
// the client dials; the bytes go over mutual TLS on loopback.
type world struct {
	t      *testing.T
	bundle *secrets.Bundle

	mu    sync.Mutex
	ports map[string]string    // mu guards ports: the listener behind "address:port"
	nodes map[string]*fakeNode // mu guards nodes, by address
	conns map[string][]*cutConn
	black map[string]bool // mu guards black: addresses that swallow everything
	dials map[string]int
	// mu guards pace: how long the node of an address takes for a method or a type
	// of resource, and how long it takes to connect there; nil is no time.
	pace func(addr, what string) time.Duration
}

// waits lets pass what the world's pace wants.
func (w *world) waits(ctx context.Context, addr, what string) {
	w.mu.Lock()
	pace := w.pace
	w.mu.Unlock()
	if pace == nil {
		return
	}
	select {
	case <-time.After(pace(addr, what)):
	case <-ctx.Done():
	}
}

func (w *world) setPace(pace func(addr, what string) time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pace = pace
}

var sharedBundle = sync.OnceValues(func() (*secrets.Bundle, error) {
	return secrets.NewBundle(secrets.NewClock(), nil)
})

func newWorld(t *testing.T) *world {
	t.Helper()
	bundle, err := sharedBundle()
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, bundle: bundle, ports: map[string]string{}, nodes: map[string]*fakeNode{},
		conns: map[string][]*cutConn{}, black: map[string]bool{}, dials: map[string]int{},
	}
}

// dial is the client's way into the world. An address without a node refuses.
func (w *world) dial(ctx context.Context, addr string) (net.Conn, error) {
	w.mu.Lock()
	port, black := w.ports[addr], w.black[addr]
	w.dials[addr]++
	w.mu.Unlock()
	if black {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w.waits(ctx, addr, "dial")
	if port == "" {
		port = "127.0.0.1:1" // nobody listens there
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", port)
	if err != nil {
		return nil, err
	}
	cut := &cutConn{Conn: conn, closed: make(chan struct{})}
	w.mu.Lock()
	w.conns[addr] = append(w.conns[addr], cut)
	w.mu.Unlock()
	return cut, nil
}

// cutPower silences an address: nothing that was sent arrives, and no FIN comes.
func (w *world) cutPower(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.black[addr] = true
	for _, c := range w.conns[addr] {
		c.cut.Store(true)
	}
}

func (w *world) restorePower(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.black, addr)
}

// cutConn is a connection whose cable can be pulled.
type cutConn struct {
	net.Conn
	cut    atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.cut.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.cut.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *cutConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// within is how long an answer was waited for, as a reason tells it.
var within = regexp.MustCompile(`^no answer from [0-9.:]+ within ([0-9.]+) s`)

// gaveUp says whether a reason tells that an answer was waited for so long. A
// busy machine notices late that the time is up, if not at twice that.
func gaveUp(reason string, after time.Duration) bool {
	found := within.FindStringSubmatch(reason)
	if found == nil {
		return false
	}
	took, err := strconv.ParseFloat(found[1], 64)
	return err == nil && took > 0.9*after.Seconds() && took < 2*after.Seconds()
}

// config is the talosconfig that a user would have, with a timeout that a busy
// machine keeps: where somebody hangs, the test sets a shorter one.
func (w *world) config(endpoints, nodes []string) *Config {
	w.t.Helper()
	cfg, err := Load(Options{Talosconfig: w.talosconfig(w.bundle, role.Reader, time.Hour, endpoints, nodes), Timeout: 10 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.dialer = w.dial
	return cfg
}

func (w *world) client(endpoints ...string) *Client {
	w.t.Helper()
	return w.open(w.config(endpoints, nil))
}

func (w *world) open(cfg *Config) *Client {
	w.t.Helper()
	c, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// talosconfig writes one and returns its path. A negative ttl has expired.
func (w *world) talosconfig(bundle *secrets.Bundle, r role.Role, ttl time.Duration, endpoints, nodes []string) string {
	w.t.Helper()
	issued, life := time.Now(), ttl
	if ttl < 0 {
		issued, life = time.Now().Add(2*ttl), -ttl
	}
	pair, err := secrets.NewAdminCertificateAndKey(issued, bundle.Certs.OS, role.MakeSet(r), life)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := clientconfig.NewConfig("lab", endpoints, bundle.Certs.OS.Crt, pair)
	cfg.Contexts["lab"].Nodes = nodes
	path := filepath.Join(w.t.TempDir(), "talosconfig")
	data, err := cfg.Bytes()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// member is a control-plane node that world knows of, whether or not it runs.
func etcdMember(id uint64, name, addr string) *machineapi.EtcdMember {
	return &machineapi.EtcdMember{
		Id: id, Hostname: name,
		PeerUrls: []string{"https://" + net.JoinHostPort(addr, "2380")}, ClientUrls: []string{"https://" + net.JoinHostPort(addr, "2379")},
	}
}

// threeNodes are cp-1 to cp-3 at 10.5.0.2 to 10.5.0.4 with the VIP 10.5.0.50 on
// the first.
func threeNodes(w *world) []*fakeNode {
	members := []*machineapi.EtcdMember{
		etcdMember(0xa1, "cp-1", "10.5.0.2"), etcdMember(0xa2, "cp-2", "10.5.0.3"), etcdMember(0xa3, "cp-3", "10.5.0.4"),
	}
	nodes := make([]*fakeNode, 0, 3)
	for i, m := range members {
		n := w.node(m.Hostname, netip.AddrFrom4([4]byte{10, 5, 0, byte(2 + i)}).String(), m.Id)
		n.members = members
		n.configureVIP("10.5.0.50")
		nodes = append(nodes, n)
	}
	nodes[0].carry("10.5.0.50/32")
	w.alias("10.5.0.50:50000", "10.5.0.2:50000")
	return nodes
}

func (w *world) alias(addr, of string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports[addr] = w.ports[of]
}

// node starts a control-plane node.
func (w *world) node(name, addr string, memberID uint64) *fakeNode {
	w.t.Helper()
	n := &fakeNode{
		world: w, name: name, addr: addr, memberID: memberID, typ: machinetype.TypeControlPlane,
		state: state.WrapCore(namespaced.NewState(inmem.Build)),
	}
	n.bootTime.Store(1_700_000_000)
	n.carry(addr + "/24")
	n.carry("127.0.0.1/8")
	n.publish()
	n.listen()
	w.t.Cleanup(func() { n.grpc.Stop() })
	w.mu.Lock()
	w.nodes[addr] = n
	w.mu.Unlock()
	return n
}

// remove makes an address refuse, and the other nodes unable to forward to it.
func (w *world) remove(addr string) {
	w.hide(net.JoinHostPort(addr, "50000"))
	w.isolate(addr)
}

// hide makes an address refuse the client, while the nodes still reach it.
func (w *world) hide(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ports, addr)
}

// isolate keeps the other nodes from forwarding to a node, until rejoin.
func (w *world) isolate(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes["gone "+addr] = w.nodes[addr]
	delete(w.nodes, addr)
}

func (w *world) rejoin(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[addr] = w.nodes["gone "+addr]
}

// breakAll closes every connection to an address, as a restart does.
func (w *world) breakAll(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns[addr] {
		_ = c.Conn.Close()
	}
}
