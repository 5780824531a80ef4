package talos

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// origin is why a target is asked, which decides what its silence means.
type origin int

const (
	fromEndpoint origin = iota // a control-plane node, says the talosconfig
	fromNodes                  // in the talosconfig's nodes: perhaps a worker
	fromMembers                // a control-plane node, says another one
)

// visit is one target and what came of asking it. Only the survey's own
// goroutine reads and writes it.
type visit struct {
	target target
	// at is the address that it stands for. It is the zero value where the node
	// was named otherwise to a proxy, until it answers.
	at     netip.Addr
	origin origin
	// hostname is what the other nodes call it, "" where none does.
	hostname string
	// named says that another node counts it among the control-plane nodes.
	named bool
	// learned says that another node named it; such a one is not asked for more.
	learned bool
	// via is the endpoint that its facts were read through, "" where it was
	// dialled.
	via   string
	reply *reply // nil until it came
	time  context.Context
	end   context.CancelFunc
}

func (v *visit) ok() bool { return v.reply != nil && v.reply.err == nil }

// outcome is how a visit ended, directly or through a relay.
type outcome struct {
	visit *visit
	reply *reply
	via   string
}

// survey finds the control-plane nodes and asks them, all at once: endpoints
// and the talosconfig's nodes first, and as soon as one of them answers, the
// members that it names. So a survey lasts two timeouts at most, however many
// nodes hang.
type survey struct {
	client *Client
	ctx    context.Context
	facts  Facts
	given  []netip.Addr // VIPs that were named by hand

	visits  []*visit // in the order asked
	done    chan outcome
	pending int
	relay   *visit   // the first endpoint that answered: it can forward
	waiting []*visit // could not be dialled, and there is no relay yet
}

// run asks the seeds, and whomever they name, until all have answered or their
// time is up.
func (s *survey) run(seeds []*visit) {
	s.done = make(chan outcome)
	for _, v := range seeds {
		s.start(v)
	}
	for s.pending > 0 {
		o := <-s.done
		s.pending--
		s.heard(o)
	}
	for _, v := range s.visits {
		v.end()
	}
}

func (s *survey) start(v *visit) {
	v.time, v.end = context.WithTimeout(s.ctx, s.client.cfg.Timeout)
	s.visits = append(s.visits, v)
	s.pending++
	go func() { s.done <- outcome{visit: v, reply: s.direct(v.time, v.target)} }()
}

// direct asks t over its own connection. One that was kept from an earlier call
// may be dead without anyone having noticed; then it asks over a new one.
func (s *survey) direct(ctx context.Context, t target) *reply {
	begun := time.Now()
	for {
		l, reused, err := s.client.link(t)
		if err != nil {
			return unreached(err, t, time.Since(begun), s.facts)
		}
		r, connected := s.over(ctx, l, t)
		if r.err == nil || s.ctx.Err() != nil {
			return r
		}
		if t.node == "" || !connected { // one node's silence is not the proxy's
			s.client.drop(t, l)
		}
		if !reused || ctx.Err() != nil {
			return r
		}
	}
}

// over asks t over l, and says whether there was a connection.
func (s *survey) over(ctx context.Context, l *link, t target) (r *reply, connected bool) {
	begun := time.Now()
	dial, cancel := context.WithTimeout(ctx, s.dialLimit())
	defer cancel()
	if err := l.ready(dial); err != nil {
		return unreached(err, t, time.Since(begun), s.facts), false
	}
	return ask(nodeContext(ctx, t), l, t, s.facts), true
}

// dialLimit leaves time to read a node through an endpoint where there may be
// one that forwards.
func (s *survey) dialLimit() time.Duration {
	if len(s.client.cfg.Endpoints) > 1 {
		return s.client.cfg.Timeout / 2
	}
	return s.client.cfg.Timeout
}

func (s *survey) heard(o outcome) {
	v := o.visit
	switch {
	case o.reply.err == nil:
		v.reply, v.via = o.reply, o.via
		s.answered(v)
	case o.via == "":
		v.reply = o.reply
		if !s.client.cfg.forwarded {
			s.waiting = append(s.waiting, v)
		}
	}
	if s.relay == nil {
		return
	}
	for _, w := range s.waiting {
		s.forward(w)
	}
	s.waiting = nil
}

func (s *survey) answered(v *visit) {
	vips := s.vips()
	if own := ownAddrs(v, vips); !v.at.IsValid() && len(own) > 0 {
		v.at = own[len(own)-1] // the kubelet's: it comes last
	}
	if s.relay == nil && v.origin == fromEndpoint && v.via == "" && v.reply.node.Type.Value() != "worker" {
		s.relay = v
	}
	s.learn(vips)
}

// forward reads a node that cannot be dialled through the relay, in what is left
// of the node's time.
func (s *survey) forward(v *visit) {
	if v.time.Err() != nil {
		return
	}
	s.pending++
	there := s.relay.target
	there.node = v.at.String()
	via := s.relay.at.String()
	go func() {
		l, _, err := s.client.link(there)
		if err != nil {
			s.done <- outcome{visit: v, via: via, reply: unreached(err, there, 0, s.facts)}
			return
		}
		s.done <- outcome{visit: v, via: via, reply: ask(nodeContext(v.time, there), l, there, s.facts)}
	}()
}

// nodeContext names the node to forward to, where there is one to name.
func nodeContext(ctx context.Context, t target) context.Context {
	if t.node == "" {
		return ctx
	}
	return talosclient.WithNode(ctx, t.node)
}

// vips are the virtual IPs known by now: those given, and those that any node
// has configured.
func (s *survey) vips() []netip.Addr {
	all := slices.Clone(s.given)
	for _, v := range s.visits {
		if v.ok() {
			all = append(all, v.reply.node.VIPs.Value()...)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// learn starts a visit of every control-plane node that was named so far and is
// not being asked.
func (s *survey) learn(vips []netip.Addr) {
	for _, v := range slices.Clone(s.visits) {
		if !v.ok() || v.learned {
			continue
		}
		for _, m := range machines(&v.reply.node) {
			s.meet(m, vips)
		}
		if !slices.Contains(ownAddrs(v, vips), v.at) {
			// It was reached at the VIP, or behind a load balancer: who it was is
			// asked at its own address.
			s.meet(machine{hostname: v.reply.node.Hostname.Value(), addrs: v.reply.node.NodeIPs.Value()}, vips)
		}
	}
}

// meet starts a visit of the machine at its first address that can be its own,
// unless one of its addresses is asked already.
func (s *survey) meet(m machine, vips []netip.Addr) {
	addrs := usable(m.addrs, vips)
	if len(addrs) == 0 {
		return
	}
	for _, v := range s.visits {
		if slices.Contains(addrs, v.at) {
			v.hostname = cmp.Or(v.hostname, m.hostname)
			v.named = true
			if v.origin == fromNodes {
				v.origin = fromMembers
			}
			return
		}
	}
	s.start(&visit{
		origin: fromMembers, hostname: m.hostname, named: true, learned: true,
		at: addrs[0], target: s.client.targetOf(addrs[0]),
	})
}

// targetOf is where the Talos API of the node with that address is asked.
func (c *Client) targetOf(addr netip.Addr) target {
	if c.cfg.forwarded {
		return target{addr: netip.AddrPort{}, node: addr.String()}
	}
	return target{addr: netip.AddrPortFrom(addr, constants.ApidPort)}
}

// machine is a control-plane node as others name it.
type machine struct {
	hostname string
	addrs    []netip.Addr
}

// machines are the control-plane nodes that a node knows of: etcd's members,
// whose URLs hold the address that matters, then discovery's.
func machines(n *cluster.Node) []machine {
	var out []machine
	for _, m := range n.Members.Value() {
		out = append(out, machine{m.Hostname, append(hosts(m), discovered(n, m.Hostname)...)})
	}
	for _, p := range n.Discovery.Value() {
		if p.ControlPlane {
			out = append(out, machine{p.Hostname, p.Addresses})
		}
	}
	return out
}

// discovered are the addresses that discovery has for a host name. Where two
// machines share the name it says nothing, lest the two become one.
func discovered(n *cluster.Node, hostname string) []netip.Addr {
	var addrs []netip.Addr
	found := 0
	for _, p := range n.Discovery.Value() {
		if p.ControlPlane && p.Hostname == hostname {
			addrs = append(addrs, p.Addresses...)
			found++
		}
	}
	for _, m := range n.Members.Value() {
		if m.Hostname == hostname {
			found++
		}
	}
	if hostname == "" || found != 2 {
		return nil
	}
	return addrs
}

// usable drops what cannot be one machine's own address on the network.
func usable(addrs, vips []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool {
		return !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || slices.Contains(vips, a)
	})
}

// ownAddrs are the addresses that the visited node says it has, without VIPs.
func ownAddrs(v *visit, vips []netip.Addr) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range v.reply.node.Addresses.Value() {
		addrs = append(addrs, a.Prefix.Addr())
	}
	return usable(append(addrs, v.reply.node.NodeIPs.Value()...), vips)
}
