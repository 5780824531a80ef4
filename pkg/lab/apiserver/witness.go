//go:build linux

package apiserver

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// witness records the first connection to each VIP since the node gained it.
//
// News of addresses come a moment after the fact. So that the first connection
// to an address just gained is not missed, it is believed to be new when the
// address was last seen to go and the link is found to have it.
type witness struct {
	events  truth.Recorder
	has     func(netip.Addr) bool // asks the kernel now
	mu      sync.Mutex            // guards present, seen
	present map[netip.Addr]bool   // by VIP: the node has it
	seen    map[netip.Addr]bool   // by VIP: its first connection was recorded
}

func newWitness(vips []netip.Addr, events truth.Recorder) *witness {
	w := &witness{events: events, has: hasAddress, present: map[netip.Addr]bool{}, seen: map[netip.Addr]bool{}}
	for _, vip := range vips {
		w.present[vip] = w.has(vip)
	}
	return w
}

// watch follows the addresses of this network namespace until ctx ends.
func (w *witness) watch(ctx context.Context) { watchAddresses(ctx, w.changed) }

// changed takes note that the node gained or lost an address.
func (w *witness) changed(addr netip.Addr, gained bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, isVIP := w.present[addr]; !isVIP {
		return
	}
	w.present[addr] = gained
	if !gained {
		w.seen[addr] = false
	}
}

// accepted takes note of a connection to addr, accepted at the instant at.
func (w *witness) accepted(addr netip.Addr, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	present, isVIP := w.present[addr]
	if !isVIP || w.seen[addr] {
		return
	}
	// A connection that was still queued when the address went is not news.
	if !present && !w.has(addr) {
		return
	}
	w.present[addr], w.seen[addr] = true, true
	w.events.Record(truth.Event{At: at, Kind: truth.Accepted, Detail: addr.String()})
}

// witnessed is a listener whose connections a witness sees.
type witnessed struct {
	net.Listener
	witness *witness
}

func (l *witnessed) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	at := truth.Now()
	if local, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		l.witness.accepted(local.AddrPort().Addr().Unmap().WithZone(""), at)
	}
	return conn, nil
}

// hasAddress says whether a link of this network namespace has addr. It says
// yes if it cannot know: a connection to the address came in, after all.
func hasAddress(addr netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == addr {
			return true
		}
	}
	return false
}
