package commands

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/vipctl/vipctl/pkg/arp"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// onSegment asks who has an address: those on this machine's segment, and its
// kernel. It is an *arp.Client.
type onSegment interface {
	WhoHas(ctx context.Context, addr netip.Addr) ([]cluster.ARPReply, error)
	Neighbour(addr netip.Addr) (cluster.Neighbour, error)
}

// segment asks the wire, and this machine's kernel, of each VIP from the moment
// that it is named. Its methods do nothing on nil.
type segment struct {
	client onSegment
	ctx    context.Context //nolint:containedctx // of one look, which ends with fill
	wg     sync.WaitGroup

	mu   sync.Mutex // guards vips
	vips map[netip.Addr]*heard
}

// heard is what the segment says of a VIP. It is written by one goroutine, and
// read once that has ended.
type heard struct {
	neighbour cluster.Seen[cluster.Neighbour]
	arp       cluster.Seen[[]cluster.ARPReply]
}

// listenIn begins a look that lasts until ctx ends, at the longest.
func listenIn(ctx context.Context, client *arp.Client) *segment {
	if client == nil {
		return nil
	}
	return &segment{ctx: ctx, client: client, vips: map[netip.Addr]*heard{}}
}

// vip begins to ask of a VIP, unless that was done. The kernel is asked first,
// before vip returns and anybody can talk to the VIP: answers correct a stale
// entry, and what counts is whom this machine talked to until now. But who
// announces the VIP meanwhile may have taken it just now, after that entry was
// read: then it is read again.
func (s *segment) vip(addr netip.Addr) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vips[addr] != nil {
		return
	}
	h := &heard{neighbour: cluster.See(s.client.Neighbour(addr))}
	s.vips[addr] = h
	s.wg.Go(func() {
		h.arp = cluster.See(s.client.WhoHas(s.ctx, addr))
		if slices.ContainsFunc(h.arp.Value(), func(r cluster.ARPReply) bool { return r.Announced }) {
			h.neighbour = cluster.See(s.client.Neighbour(addr))
		}
	})
}

// fill waits for the answers and writes them into the snapshot. It comes after
// somebody has talked to the VIPs: where the kernel had no entry in use, it has
// one now.
func (s *segment) fill(snap *cluster.Snapshot) {
	if s == nil {
		return
	}
	for i := range snap.VIPs {
		s.vip(snap.VIPs[i].Addr)
	}
	for i := range snap.Nodes {
		// Who tells nothing of itself may answer for a VIP all the same.
		if n := &snap.Nodes[i]; !n.Links.Known() && n.Addr.IsValid() {
			n.Neighbour = cluster.See(s.client.Neighbour(n.Addr))
		}
	}
	s.wg.Wait()
	for i := range snap.VIPs {
		v := &snap.VIPs[i]
		h := s.vips[v.Addr]
		if n, known := h.neighbour.Get(); known && !n.InUse() {
			h.neighbour = cluster.See(s.client.Neighbour(v.Addr))
		}
		v.Neighbour, v.ARP = h.neighbour, h.arp
	}
}
