package talos

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
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
	// Learned, where it is not nil, is told of every VIP and control-plane node
	// as soon as it is known, so that others can be asked about it meanwhile. It
	// is called by one goroutine at a time, the last time before Collect returns,
	// and must not wait. It need not hear of all nodes: what counts is the
	// snapshot.
	Learned func(Learned)
	// EtcdCredentials, where it is not nil, is told once, before Collect returns,
	// what a client of the cluster's etcd needs, as soon as any node gave it; or an
	// *EtcdAccessError where none did. It takes the role os:admin. It must not wait.
	EtcdCredentials func(*EtcdCredentials, error)
	// Again asks every node for its Etcd once more, so long after the first time
	// and within half of the timeout; 0 does not. It needs Everything.
	Again time.Duration

	patience time.Duration // in place of sharedPatience, where not 0
}

// Learned is what a collection found out for the first time.
type Learned struct {
	// VIPs are virtual IPs. Those of CollectOptions come first, at once.
	VIPs []netip.Addr
	// Nodes are addresses of control-plane nodes, never a VIP.
	Nodes []netip.Addr
}

// Collect finds every control-plane node and VIP and asks for the facts. Nodes
// that do not answer are rows with their error. It lasts no longer than the
// timeout, whoever hangs.
//
// It returns an error only where nobody at all answered, all who did refused
// everything for want of rights, or ctx was cancelled;
// the snapshot then holds the rows with their errors nevertheless.
func (c *Client) Collect(ctx context.Context, opts CollectOptions) (*cluster.Snapshot, error) {
	if opts.Facts == 0 {
		opts.Facts = Everything
	}
	opts.Again = min(opts.Again, c.cfg.Timeout/2)
	snap := &cluster.Snapshot{
		APIVersion: cluster.APIVersion, Kind: cluster.Kind,
		TakenAt: time.Now(), Context: c.cfg.Context, Forwarded: c.cfg.forwarded,
	}
	if opts.Facts&details != 0 {
		snap.EtcdLaterAfter = opts.Again.Seconds()
	}
	timed, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	s := newSurvey(timed, c, opts)
	s.run()

	snap.Endpoints, snap.Named = snapshotEndpoints(s.endpoints)
	vips := s.vips()
	snap.VIPs = make([]cluster.VIP, len(vips))
	for i, addr := range vips {
		snap.VIPs[i].Addr = addr
	}
	rows := machinesOf(s.visits, vips)
	lendMembers(rows, s.visits, vips)
	snap.Nodes = c.name(rows)
	if ctx.Err() != nil {
		return snap, context.Cause(ctx)
	}
	if !slices.ContainsFunc(s.visits, (*visit).ok) {
		return snap, c.unreachable(s.endpoints, s.visits)
	}
	if c.cfg.forwarded && len(rows) == 0 { // no endpoint stands for a node there
		return snap, noControlPlane(s.visits)
	}
	if !slices.ContainsFunc(s.visits, func(v *visit) bool { return v.ok() && v.reply.granted }) {
		return snap, &RightsError{Context: c.cfg.Context}
	}
	return snap, nil
}

// seed starts asking: every address of every endpoint, and the talosconfig's
// nodes. Where only a proxy reaches the nodes it is the latter. A name that is
// slow to resolve delays nobody else.
func (s *survey) seed() {
	cfg := s.client.cfg
	s.endpoints = parseAll(cfg.Endpoints)
	nodes := parseAll(cfg.Nodes)
	if cfg.forwarded {
		s.tellCredentials(nil, errNoWayToEtcd)
		for _, e := range nodes {
			addr, _ := netip.ParseAddr(e.at.host)
			s.start(&visit{target: target{node: cmp.Or(e.at.host, e.name)}, at: addr.Unmap(), origin: fromNodes})
		}
		return
	}
	for i := range nodes {
		nodes[i].node = true
	}
	s.endpoints = append(s.endpoints, nodes...)
	for i := range s.endpoints {
		why := fromEndpoint
		if s.endpoints[i].node {
			why = fromNodes
		}
		s.resolve(&s.endpoints[i], why)
	}
}

// resolve finds an endpoint's addresses and starts to ask there.
func (s *survey) resolve(e *endpoint, why origin) {
	if e.err != nil {
		return
	}
	if addr, err := netip.ParseAddr(e.at.host); err == nil {
		e.addresses = []netip.Addr{addr.Unmap()}
		s.begin(e, why)
		return
	}
	s.work(func() func() {
		addresses, err := resolve(s.ctx, e.at.host)
		return func() {
			e.addresses, e.err = addresses, err
			s.begin(e, why)
		}
	})
}

func (s *survey) begin(e *endpoint, why origin) {
	for _, addr := range e.addresses {
		if i := slices.IndexFunc(s.visits, func(v *visit) bool { return v.at == addr && v.target.addr.Port() == e.at.port }); i >= 0 {
			s.visits[i].origin = min(s.visits[i].origin, why)
			continue
		}
		v := &visit{origin: why, at: addr, target: target{addr: netip.AddrPortFrom(addr, e.at.port)}}
		if e.at.host != addr.String() {
			v.target.serverName = e.at.host
		}
		s.start(v)
	}
}

// noControlPlane says that whoever answered through a proxy is no control-plane
// node, and names none.
func noControlPlane(visits []*visit) error {
	err := &UnreachableError{}
	for _, v := range visits {
		err.Causes = append(err.Causes, v.target.String()+": no control-plane node answers there")
	}
	return err
}

// unreachable says of each endpoint why it did not answer.
func (c *Client) unreachable(endpoints []endpoint, visits []*visit) error {
	err := &UnreachableError{}
	because := func(name, reason string) {
		if !strings.Contains(reason, name) {
			reason = name + ": " + reason
		}
		if !slices.Contains(err.Causes, reason) {
			err.Causes = append(err.Causes, reason)
		}
	}
	for _, e := range endpoints {
		if e.err != nil {
			because(e.at.host, e.err.Error())
		}
	}
	for _, v := range visits {
		if !v.ok() && v.reply != nil {
			because(v.target.String(), v.reply.err.Error())
		}
	}
	if c.cfg.forwarded && len(visits) == 0 {
		err.Causes = []string{"this context reaches nodes through a proxy only, and no node is named (--nodes)"}
	}
	return err
}
