package talos

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// CollectOptions say what to collect.
type CollectOptions struct {
	// Facts to ask for; 0 is Everything.
	Facts Facts
	// VIPs that are known without asking (--vip). They are added to those that
	// the nodes have configured.
	VIPs []netip.Addr
}

// Collect finds every control-plane node and VIP and asks for the facts. Nodes
// that do not answer are rows with their error. It lasts two timeouts at most.
//
// It returns an error only where nobody at all answered, or ctx was cancelled;
// the snapshot then holds the rows with their errors nevertheless.
func (c *Client) Collect(ctx context.Context, opts CollectOptions) (*cluster.Snapshot, error) {
	if opts.Facts == 0 {
		opts.Facts = Everything
	}
	snap := &cluster.Snapshot{
		APIVersion: cluster.APIVersion, Kind: cluster.Kind,
		TakenAt: time.Now(), Context: c.cfg.Context,
	}
	resolving, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	endpoints, nodes := resolveAll(resolving, c.cfg.Endpoints), resolveAll(resolving, c.cfg.Nodes)
	cancel()
	snap.Endpoints = snapshotEndpoints(endpoints)

	s := &survey{client: c, ctx: ctx, facts: opts.Facts, given: opts.VIPs}
	s.run(c.seeds(endpoints, nodes))

	vips := s.vips()
	snap.VIPs = make([]cluster.VIP, len(vips))
	for i, addr := range vips {
		snap.VIPs[i].Addr = addr
	}
	rows := machinesOf(s.visits, vips)
	snap.Nodes = c.name(rows)
	if err := ctx.Err(); err != nil {
		return snap, context.Cause(ctx)
	}
	if !slices.ContainsFunc(s.visits, (*visit).ok) {
		return snap, c.unreachable(endpoints, s.visits)
	}
	return snap, nil
}

// seeds are whom to ask first: every address of every endpoint, and the
// talosconfig's nodes. Where only a proxy reaches the nodes it is the latter.
func (c *Client) seeds(endpoints, nodes []endpoint) []*visit {
	var seeds []*visit
	if c.cfg.forwarded {
		for _, e := range nodes {
			addr, _ := netip.ParseAddr(e.at.host)
			seeds = append(seeds, &visit{target: target{node: e.name}, at: addr, origin: fromNodes})
		}
		return seeds
	}
	for i, e := range slices.Concat(endpoints, nodes) {
		v := visit{origin: fromEndpoint}
		if i >= len(endpoints) {
			v.origin = fromNodes
		}
		for _, addr := range e.addresses {
			if slices.ContainsFunc(seeds, func(s *visit) bool { return s.at == addr && s.target.addr.Port() == e.at.port }) {
				continue
			}
			one := v
			one.at, one.target.addr = addr, netip.AddrPortFrom(addr, e.at.port)
			if e.at.host != addr.String() {
				one.target.serverName = e.at.host
			}
			seeds = append(seeds, &one)
		}
	}
	return seeds
}

// unreachable says of each endpoint why it did not answer.
func (c *Client) unreachable(endpoints []endpoint, visits []*visit) error {
	err := &UnreachableError{}
	for _, e := range endpoints {
		if e.err != nil {
			err.Causes = append(err.Causes, e.name+": "+e.err.Error())
		}
	}
	for _, v := range visits {
		if v.reply != nil && v.reply.err != nil {
			err.Causes = append(err.Causes, v.target.String()+": "+v.reply.err.Error())
		}
	}
	if c.cfg.forwarded && len(visits) == 0 {
		err.Causes = []string{"this context reaches nodes through a proxy only, and no node is named (--nodes)"}
	}
	return err
}
