//go:build linux

package operator_test

import (
	"context"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// journal keeps the events of one node.
type journal struct {
	mu     sync.Mutex // guards events
	events []truth.Event
}

func (j *journal) Record(e truth.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = nil
}

func (j *journal) snapshot() []truth.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

func (j *journal) kinds() []truth.Kind {
	var kinds []truth.Kind
	for _, e := range j.snapshot() {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (j *journal) count(kind truth.Kind) int {
	n := 0
	for _, k := range j.kinds() {
		if k == kind {
			n++
		}
	}
	return n
}

func (j *journal) has(kind truth.Kind) func() bool {
	return func() bool { return j.count(kind) > 0 }
}

func (j *journal) at(kind truth.Kind) time.Duration {
	for _, e := range j.snapshot() {
		if e.Kind == kind {
			return e.At
		}
	}
	return 0
}

// lease is the first lease that the node was granted.
func (j *journal) lease(t *testing.T) clientv3.LeaseID {
	t.Helper()
	for _, e := range j.snapshot() {
		if e.Kind == truth.LeaseGranted {
			id, err := strconv.ParseInt(e.Detail, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return clientv3.LeaseID(id)
		}
	}
	t.Fatal("no lease was granted")
	return 0
}

// wire is the segment: it knows which nodes hold the VIP.
type wire struct {
	mu   sync.Mutex // guards held
	held map[string]bool
	most atomic.Int32 // nodes that ever held it at once
}

func newWire(t *testing.T) *wire {
	t.Helper()
	return &wire{held: map[string]bool{}}
}

func (w *wire) holders() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name := range w.held {
		names = append(names, name)
	}
	return names
}

func (w *wire) ownedBy(name string) func() bool {
	return func() bool { return slices.Equal(w.holders(), []string{name}) }
}

// link is a node's Kernel.
type link struct {
	wire *wire
	name string
}

func (l *link) AddAddress(prefix netip.Prefix) error {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	if prefix != netip.PrefixFrom(vip, 32) || l.wire.held[l.name] {
		return fs.ErrExist
	}
	l.wire.held[l.name] = true
	l.wire.most.Store(max(l.wire.most.Load(), int32(len(l.wire.held))))
	return nil
}

func (l *link) RemoveAddress(netip.Prefix) error {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	if !l.wire.held[l.name] {
		return fs.ErrNotExist
	}
	delete(l.wire.held, l.name)
	return nil
}

func (l *link) Announce(netip.Addr) error { return nil }

// gate lets everybody in at once, and out when the test closes it.
type gate struct {
	mu   sync.Mutex // guards lost
	lost chan struct{}
	left atomic.Int32
}

func newGate() *gate { return &gate{} }

func (g *gate) Enter(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lost = make(chan struct{})
	return nil
}

func (g *gate) Lost(context.Context) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lost
}

func (g *gate) Leave(context.Context) error {
	g.left.Add(1)
	return nil
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.lost)
}

// patientGate has no reason for a candidate to give up.
type patientGate struct{ *gate }

func (patientGate) LostWaiting(context.Context) <-chan struct{} { return nil }

// cable is a TCP connection to etcd that can be cut without a word to either
// end.
type cable struct {
	endpoint string
	mu       sync.Mutex // guards down
	down     chan struct{}
}

func newCable(t *testing.T, endpoint string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &cable{endpoint: "https://" + listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "https://"))
			if err != nil {
				_ = conn.Close()
				continue
			}
			go c.carry(conn, far)
			go c.carry(far, conn)
		}
	}()
	return c
}

func (c *cable) carry(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		c.mu.Lock()
		down := c.down
		c.mu.Unlock()
		if down != nil {
			<-down // nothing gets through, nobody hears why
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = make(chan struct{})
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.down)
	c.down = nil
}

// named is a node that has that host name.
func named(name string) func() (string, error) {
	return func() (string, error) { return name, nil }
}
