package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// Round is one look at the elections of a control plane. A member is asked for
// a VIP's as soon as the client, the node and the VIP are all known, whichever
// comes last. Its methods may be called by several goroutines, but none after
// Fill; they do nothing on nil.
type Round struct {
	ctx context.Context //nolint:containedctx // of the round, which ends with Fill
	wg  sync.WaitGroup

	mu          sync.Mutex // guards what follows
	client      *Client
	refusal     error
	nodes, vips []netip.Addr
	members     map[netip.Addr]*member
	asked       map[pair]*answer
}

type pair struct{ node, vip netip.Addr }

// answer is written by one goroutine, and read once all have ended.
type answer struct {
	election cluster.Election
	err      error
}

// NewRound begins a round that lasts until ctx ends, at the longest.
func NewRound(ctx context.Context) *Round {
	return &Round{ctx: ctx, members: map[netip.Addr]*member{}, asked: map[pair]*answer{}}
}

// Open names the client to ask with, or why there is none. The first call counts.
func (r *Round) Open(client *Client, err error) {
	r.change(func() {
		if r.client == nil && r.refusal == nil {
			r.client, r.refusal = client, err
		}
	})
}

// Node names a control-plane node.
func (r *Round) Node(addr netip.Addr) {
	r.change(func() { r.nodes = append(r.nodes, addr) })
}

// VIP names a VIP.
func (r *Round) VIP(addr netip.Addr) {
	r.change(func() { r.vips = append(r.vips, addr) })
}

// change takes note of something, and asks whom it makes it possible to ask.
func (r *Round) change(note func()) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	note()
	if r.client == nil {
		return
	}
	for _, node := range r.nodes {
		for _, vip := range r.vips {
			r.begin(pair{node, vip})
		}
	}
}

// begin asks, unless that was done.
func (r *Round) begin(p pair) {
	if r.asked[p] != nil {
		return
	}
	a := &answer{}
	r.asked[p] = a
	client, m := r.client, r.members[p.node]
	if m == nil {
		m = client.connect(netip.AddrPortFrom(p.node, Port))
		r.members[p.node] = m
	}
	r.wg.Go(func() { a.election, a.err = client.ask(r.ctx, m, p.vip) })
}

// Fill names what the snapshot has, waits for the answers and writes them into
// the elections of each VIP: one view a node, in the order of the nodes. Where
// there is no client by now, each says why.
func (r *Round) Fill(snap *cluster.Snapshot) {
	if r == nil {
		return
	}
	r.change(func() {
		for i := range snap.Nodes {
			r.nodes = append(r.nodes, snap.Nodes[i].Addr)
		}
		for i := range snap.VIPs {
			r.vips = append(r.vips, snap.VIPs[i].Addr)
		}
	})
	r.wg.Wait()
	for _, m := range r.members {
		m.close()
	}
	for i := range snap.VIPs {
		v := &snap.VIPs[i]
		v.Elections = make([]cluster.ElectionView, len(snap.Nodes))
		for j, n := range snap.Nodes {
			e, err := r.heard(pair{n.Addr, v.Addr})
			if err != nil && r.client != nil {
				err = fmt.Errorf("%s%s (%s): %w", cluster.EtcdOn, n.Name, netip.AddrPortFrom(n.Addr, Port), err)
			}
			v.Elections[j] = cluster.ElectionView{Node: n.Name, Election: cluster.See(e, err)}
		}
	}
}

func (r *Round) heard(p pair) (cluster.Election, error) {
	switch a := r.asked[p]; {
	case a != nil:
		return a.election, a.err
	case r.refusal != nil:
		return cluster.Election{}, r.refusal
	default:
		return cluster.Election{}, errors.New("no node gave etcd's certificates")
	}
}

// Distrusts says, once Fill returned, that the member on the node and the client do
// not take each other's certificates, or may not: with another's it might have told.
func (r *Round) Distrusts(node netip.Addr) bool {
	for p, a := range r.asked {
		if p.node == node && a.err != nil && slices.Contains([]string{otherAuthority, refusesOurs, hungUp}, a.err.Error()) {
			return true
		}
	}
	return false
}
