package kube

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// patience is how long a VIP's apiserver may be silent until apid is asked as
// well: whoever waits for its whole time has none left for apid.
const patience = 500 * time.Millisecond

// Depth is how closely an apiserver is looked at.
type Depth int

// The depths. The zero value is the handshake.
const (
	// Handshake looks at the certificate only. What it finds has no status.
	Handshake Depth = iota
	// Whole asks for /readyz, too.
	Whole
)

// Round is one look at the servers of a control plane, all at the same time
// and each over a connection of its own. Looking at an address begins as soon
// as it is named. Its methods may be called by several goroutines, but none
// after Fill.
//
// Where nobody speaks TLS on a VIP's port 6443, the certificates of apid tell
// who answers there: those of the VIP and of every node.
type Round struct {
	client *Client
	ctx    context.Context //nolint:containedctx // of the round, which ends with Fill
	depth  Depth
	wg     sync.WaitGroup

	mu          sync.Mutex // guards what follows
	nodes, vips map[netip.Addr]*servers
	mute        bool // a VIP's apiserver is, or may be: apid is asked on all nodes
}

// servers are what was seen at one address. Each field is written by one
// goroutine, and read once all have ended.
type servers struct {
	apiServer cluster.APIServer
	apid      cluster.Seen[cluster.Certificate]
}

// Round begins a round that lasts until ctx ends, at the longest.
func (c *Client) Round(ctx context.Context, depth Depth) *Round {
	return &Round{client: c, ctx: ctx, depth: depth, nodes: map[netip.Addr]*servers{}, vips: map[netip.Addr]*servers{}}
}

// Node begins to look at a node's own address, unless that was done.
func (r *Round) Node(addr netip.Addr) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !addr.IsValid() || r.nodes[addr] != nil {
		return
	}
	s := &servers{}
	r.nodes[addr] = s
	r.wg.Go(func() { s.apiServer = r.apiServer(addr) })
	if r.mute {
		r.askApid(addr, s)
	}
}

// VIP begins to look at a VIP, unless that was done.
func (r *Round) VIP(addr netip.Addr) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !addr.IsValid() || r.vips[addr] != nil {
		return
	}
	s := &servers{}
	r.vips[addr] = s
	r.wg.Go(func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.apiServer = r.apiServer(addr)
		}()
		select {
		case <-done:
			if s.apiServer.Certificate.Fingerprint != "" {
				return
			}
		case <-time.After(patience):
		}
		r.fallBack(addr, s)
		<-done
	})
}

// fallBack asks apid on the VIP and on every node, those included that are
// named later.
func (r *Round) fallBack(vip netip.Addr, s *servers) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.askApid(vip, s)
	if r.mute {
		return
	}
	r.mute = true
	for addr, node := range r.nodes {
		r.askApid(addr, node)
	}
}

func (r *Round) askApid(addr netip.Addr, s *servers) {
	r.wg.Go(func() {
		s.apid = cluster.See(r.client.Certificate(r.ctx, netip.AddrPortFrom(addr, r.client.talosPort)))
	})
}

func (r *Round) apiServer(addr netip.Addr) cluster.APIServer {
	at := netip.AddrPortFrom(addr, r.client.port)
	if r.depth == Whole {
		return r.client.Look(r.ctx, at)
	}
	cert, err := r.client.Certificate(r.ctx, at)
	if err != nil {
		return cluster.APIServer{Error: err.Error()}
	}
	return cluster.APIServer{Certificate: cert}
}

// Fill looks at what of the snapshot was not named yet, waits for all answers,
// and writes them into it.
func (r *Round) Fill(snap *cluster.Snapshot) {
	if r == nil {
		return
	}
	for i := range snap.Nodes {
		r.Node(snap.Nodes[i].Addr)
	}
	for i := range snap.VIPs {
		r.VIP(snap.VIPs[i].Addr)
	}
	r.wg.Wait()
	snap.NoKubeconfig = r.client.cfg.Unused
	mute := false
	for i := range snap.VIPs {
		v := &snap.VIPs[i]
		if s := r.vips[v.Addr]; s != nil {
			v.APIServer = cluster.Got(s.apiServer)
			if s.apiServer.Certificate.Fingerprint == "" {
				v.Apid, mute = s.apid, true
			}
		}
	}
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		s := r.nodes[n.Addr]
		if s == nil {
			n.APIServer = cluster.Missed[cluster.APIServer](errors.New("its address is not known"))
			continue
		}
		n.APIServer = cluster.Got(s.apiServer)
		if mute {
			n.Apid = s.apid
		}
	}
}
