package commands

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/talos"
)

var (
	vipHere   = netip.MustParseAddr("10.5.0.50")
	staleHere = entry("02:00:00:00:00:02", "reachable") // it leads to cp-2
	trueHere  = entry("02:00:00:00:00:01", "reachable") // it leads to cp-1, who has the VIP
)

func entry(hw, state string) cluster.Neighbour {
	return cluster.Neighbour{HardwareAddr: hw, State: state, Link: "eth0"}
}

// street is a segment on which cp-1 has the VIP. Its kernel takes a while to
// answer, and who talks on it corrects the kernel's entries.
type street struct {
	replies []cluster.ARPReply
	silent  error // who-has cannot be asked

	mu      sync.Mutex // guards the rest
	entries map[netip.Addr]cluster.Neighbour
	reads   []netip.Addr
	asked   []netip.Addr
}

func (s *street) Neighbour(addr netip.Addr) (cluster.Neighbour, error) {
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, addr)
	return s.entries[addr], nil
}

func (s *street) WhoHas(_ context.Context, addr netip.Addr) ([]cluster.ARPReply, error) {
	s.talk(addr)
	s.mu.Lock()
	s.asked = append(s.asked, addr)
	s.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	return s.replies, s.silent
}

func (s *street) talk(addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[addr] = trueHere
}

// VIP and Node are those of a round of questions to the servers.
func (s *street) VIP(addr netip.Addr)  { s.talk(addr) }
func (s *street) Node(addr netip.Addr) { s.talk(addr) }

// The kernel's entry tells whom this machine talked to until now. Every question
// on the segment may correct it, so that it counts as it was before.
func TestTheEntryOfAVIP(t *testing.T) {
	answer := cluster.ARPReply{HardwareAddr: trueHere.HardwareAddr, AfterSeconds: 0.001}
	announced := answer
	announced.Announced = true
	for _, tt := range []struct {
		name    string
		entry   cluster.Neighbour
		replies []cluster.ARPReply
		silent  error
		want    cluster.Neighbour
	}{
		{"one that leads elsewhere is kept, though the wire's answer corrects it", staleHere, []cluster.ARPReply{answer}, nil, staleHere},
		{"one that leads elsewhere is kept where who-has cannot be asked, though the servers are talked to", staleHere, nil, errors.New("needs CAP_NET_RAW"), staleHere},
		{"one that was read before its owner announced itself is read again", staleHere, []cluster.ARPReply{answer, announced}, nil, trueHere},
		{"a memory is read again, once somebody has talked to the VIP", entry("02:00:00:00:00:02", "stale"), []cluster.ARPReply{answer}, nil, trueHere},
		{"where there was none, it is read again", cluster.Neighbour{Link: "eth0"}, []cluster.ARPReply{answer}, nil, trueHere},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here := &street{entries: map[netip.Addr]cluster.Neighbour{vipHere: tt.entry}, replies: tt.replies, silent: tt.silent}
				s := &segment{ctx: t.Context(), client: here, vips: map[netip.Addr]*heard{}}
				spread(talos.Learned{VIPs: []netip.Addr{vipHere}}, s, here)
				snap := &cluster.Snapshot{VIPs: []cluster.VIP{{Addr: vipHere}}}
				s.fill(snap)
				v := snap.VIPs[0]
				if got, ok := v.Neighbour.Get(); !ok || got != tt.want {
					t.Errorf("the entry of %s = %v; want %v", vipHere, v.Neighbour, tt.want)
				}
				if got := v.ARP.Value(); tt.silent == nil && !slices.Equal(got, tt.replies) || tt.silent != nil && v.ARP.Err() != tt.silent.Error() {
					t.Errorf("the answers for %s = %v, %q; want %v, %v", vipHere, got, v.ARP.Err(), tt.replies, tt.silent)
				}
			})
		})
	}
}

// A VIP that is taken for a node at first is asked for on the segment all the same,
// once, whichever comes first.
func TestTheEntryOfAVIPTakenForANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asNode, asVIP := talos.Learned{Nodes: []netip.Addr{vipHere}}, talos.Learned{VIPs: []netip.Addr{vipHere}}
		for i, order := range [][]talos.Learned{{asNode, asVIP}, {asVIP, asNode}, {asNode}} {
			replies := []cluster.ARPReply{{HardwareAddr: trueHere.HardwareAddr, AfterSeconds: 0.001}}
			here := &street{entries: map[netip.Addr]cluster.Neighbour{vipHere: entry(trueHere.HardwareAddr, "stale")}, replies: replies}
			s := &segment{ctx: t.Context(), client: here, vips: map[netip.Addr]*heard{}}
			for _, news := range order {
				spread(news, s, here)
			}
			snap := &cluster.Snapshot{VIPs: []cluster.VIP{{Addr: vipHere}}}
			s.fill(snap)
			if v := snap.VIPs[0]; v.Neighbour.Value() != trueHere || !slices.Equal(v.ARP.Value(), replies) || len(here.asked) != 1 {
				t.Errorf("order %d: the entry of the VIP = %v, its answers = %v after %d questions; want %v, %v after one", i, v.Neighbour, v.ARP, len(here.asked), trueHere, replies)
			}
		}
	})
}

// Who is named twice is asked once, who is named by the snapshot only is asked,
// and a node's entry is of use only where it does not tell its links.
func TestWhomTheSegmentIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, mute, open := netip.MustParseAddr("10.5.0.51"), netip.MustParseAddr("10.5.0.2"), netip.MustParseAddr("10.5.0.3")
		here := &street{entries: map[netip.Addr]cluster.Neighbour{vipHere: trueHere, late: trueHere, mute: staleHere, open: trueHere}}
		s := &segment{ctx: t.Context(), client: here, vips: map[netip.Addr]*heard{}}
		s.vip(vipHere)
		s.vip(vipHere)
		snap := &cluster.Snapshot{
			VIPs: []cluster.VIP{{Addr: vipHere}, {Addr: late}},
			Nodes: []cluster.Node{
				{Name: "cp-1", Addr: mute, Links: cluster.Missed[[]cluster.Link](errors.New("no answer"))},
				{Name: "cp-2", Addr: open, Links: cluster.Got([]cluster.Link{})},
				{Name: "cp-3", Links: cluster.Missed[[]cluster.Link](errors.New("no address is known"))},
			},
		}
		s.fill(snap)
		if want := []netip.Addr{vipHere, late}; !slices.Equal(here.asked, want) {
			t.Errorf("who has was asked for %v; want %v", here.asked, want)
		}
		if want := []netip.Addr{vipHere, late, mute}; !slices.Equal(here.reads, want) {
			t.Errorf("the entries of %v were read; want those of %v", here.reads, want)
		}
		if n := snap.Nodes; n[0].Neighbour.Value() != staleHere || n[1].Neighbour.Err() != "not asked" || n[2].Neighbour.Err() != "not asked" {
			t.Errorf("the nodes' entries = %v, %v, %v; want that of cp-1, which does not tell its links", n[0].Neighbour, n[1].Neighbour, n[2].Neighbour)
		}
	})
	var none *segment
	none.vip(vipHere)
	none.fill(&cluster.Snapshot{VIPs: []cluster.VIP{{Addr: vipHere}}})
}
