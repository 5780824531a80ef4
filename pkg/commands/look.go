package commands

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/arp"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/kube"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
	"github.com/vipctl/vipctl/pkg/vip"
)

// witnesses say whom a look asks besides the Talos API.
type witnesses struct {
	kube  bool       // the servers on port 6443, and where need be apid
	depth kube.Depth // how closely
	wire  bool       // the segment of this machine, and its kernel
	alone bool       // and their word on a --vip is an answer, should no node give any
}

var (
	talosOnly   = witnesses{}
	servers     = witnesses{kube: true, depth: kube.Whole}
	ofOwnership = witnesses{kube: true, wire: true, alone: true} // as quickly as can be
	everybody   = witnesses{kube: true, depth: kube.Whole, wire: true}
)

// grace is what the other witnesses have beyond the nodes' timeout, which a VIP
// may be found near the end of.
const grace = 500 * time.Millisecond

// observer looks at a cluster, again and again if need be.
type observer struct {
	cfg   *talos.Config
	talos *talos.Client
	lent  bool         // talos is somebody else's to close
	kube  *kube.Client // nil: no server is looked at
	depth kube.Depth
	arp   *arp.Client  // nil: the segment is not asked
	vips  []netip.Addr // asked for by hand
	alone bool         // the witnesses' word on them counts where no node gives any

	election *election // nil: etcd is not asked
}

// observer opens the clients that a look takes.
func (f *Factory) observer(ask witnesses) (*observer, error) {
	vips, err := f.flags.vips()
	if err != nil {
		return nil, err
	}
	cfg, err := f.Config()
	if err != nil {
		return nil, err
	}
	o := &observer{vips: vips, depth: ask.depth, alone: ask.alone && len(vips) > 0, election: f.election()}
	if len(vips) == 0 {
		o.vips = cfg.VIPs
	}
	if ask.wire {
		o.arp = arp.New(arp.Options{})
	}
	if f.flags.Kubeconfig != "" { // who names one by hand means one, needed or not
		if _, err := f.Kube(); err != nil {
			return nil, err
		}
	}
	switch {
	case ask.kube && ask.depth == kube.Handshake: // which shows nobody a certificate of ours
		o.kube, err = kube.New(&kube.Config{}, f.flags.Timeout)
	case ask.kube:
		o.kube, err = f.Kube()
	}
	if err != nil {
		return nil, err
	}
	if o.cfg, err = f.Talosconfig(); err != nil {
		return nil, err
	}
	if o.talos, o.lent = f.nodes, f.nodes != nil; o.lent {
		return o, nil
	}
	o.talos, err = talos.New(o.cfg)
	return o, err
}

func (o *observer) close() {
	if !o.lent {
		_ = o.talos.Close()
	}
}

// survey is a finished look at a cluster.
type survey struct {
	snap   *cluster.Snapshot
	judged []report.Judged // who has each VIP
	rows   []string        // the nodes whose rows were asked for; none is all
	mute   error           // why no node told anything; nil where one did
}

// survey looks at the cluster, twice where what it sees of a VIP may be a handover.
func (f *Factory) survey(ctx context.Context, ask witnesses, facts talos.Facts) (*survey, error) {
	o, err := f.observer(ask)
	if err != nil {
		return nil, err
	}
	defer o.close()
	snap, mute := o.look(ctx, facts)
	switch {
	case mute == nil, o.alone && noNode(mute) && answered(snap):
	case ask.alone && !o.alone && noNode(mute) && len(snap.Nodes) > 0:
		return nil, cli.WithHint(mute, "%s; meanwhile --vip ADDRESS shows who answers for it", cli.HintOf(mute))
	default:
		return nil, mute
	}
	if err := o.checkVIPs(snap); err != nil {
		return nil, err
	}
	snap, judged, err := o.owners(ctx, snap, facts)
	if err != nil {
		return nil, err
	}
	return &survey{snap: snap, judged: judged, rows: o.cfg.Nodes, mute: mute}, nil
}

// noNode says that the look failed because no node told anything.
func noNode(err error) bool {
	_, unreachable := errors.AsType[*talos.UnreachableError](err)
	_, refused := errors.AsType[*talos.RightsError](err)
	return unreachable || refused
}

// answered says that somebody was seen to answer for a VIP. What this machine
// remembers shows nobody.
func answered(snap *cluster.Snapshot) bool {
	seen := func(c vip.Claim) bool {
		return (c.Witness == vip.Certificate || c.Witness == vip.ARP) && (c.Owner != "" || c.Stranger != "")
	}
	return slices.ContainsFunc(snap.VIPs, func(v cluster.VIP) bool { return slices.ContainsFunc(snap.Claims(v.Addr), seen) })
}

// look collects one snapshot. The other witnesses are asked of a VIP or a node
// as soon as it is known, while the nodes still answer. Where no node told
// anything there is a snapshot of what the others did, and the error.
func (o *observer) look(ctx context.Context, facts talos.Facts) (*cluster.Snapshot, error) {
	timed, cancel := context.WithTimeout(ctx, o.cfg.Timeout+grace)
	defer cancel()
	var round *kube.Round
	if o.kube != nil {
		round = o.kube.Round(timed, o.depth)
	}
	wire := listenIn(timed, o.arp)
	elections := o.election.begin(timed)
	snap, err := o.talos.Collect(ctx, talos.CollectOptions{Facts: o.election.facts(facts), VIPs: o.vips, EtcdCredentials: elections.open(), Learned: func(news talos.Learned) {
		elections.learned(news)
		spread(news, wire, round)
	}})
	if err != nil && (!o.alone || !noNode(err)) {
		return snap, o.explain(err, snap)
	}
	round.Fill(snap)
	wire.fill(snap)
	elections.fill(o.talos, snap)
	return snap, cmp.Or(ctx.Err(), o.explain(err, snap))
}

// spread begins to ask about what became known: the segment first, for once the
// servers are talked to on a VIP, this machine's kernel may learn where it is.
func spread(news talos.Learned, wire *segment, servers interface {
	VIP(netip.Addr)
	Node(netip.Addr)
}) {
	for _, addr := range news.VIPs {
		wire.vip(addr)
		servers.VIP(addr)
	}
	for _, addr := range news.Nodes {
		servers.Node(addr)
	}
}

// explain adds to the error of a look that reached nobody, where every endpoint
// is the VIP, that this is no wonder.
func (o *observer) explain(err error, snap *cluster.Snapshot) error {
	var unreachable *talos.UnreachableError
	if !errors.As(err, &unreachable) || snap == nil || len(snap.Endpoints) == 0 {
		return err
	}
	if len(endpointsOnVIP(snap)) < len(snap.Endpoints) {
		return err
	}
	return cli.WithHint(err, "no endpoint but the VIP, which may be gone: give the nodes' own addresses with --endpoints")
}

// warnOfEndpoints says on stderr which endpoints lead nowhere, and which are the
// VIP: they are gone just when they are needed.
func (f *Factory) warnOfEndpoints(snap *cluster.Snapshot) {
	for _, e := range snap.Endpoints {
		if e.Error != "" {
			f.Streams.Errorf("warning: endpoint %s", e.Error)
		}
	}
	bad := endpointsOnVIP(snap)
	for _, name := range bad {
		f.Streams.Errorf("warning: endpoint %s is the VIP, which is gone just when it is needed", name)
	}
	if len(bad) > 0 {
		f.Streams.Errorf("hint: talosctl config endpoint%s ADDRESS... with the nodes' own addresses", inContext(snap.Context))
	}
}

// inContext is the flag by which talosctl changes the context that was looked at,
// and not the current one.
func inContext(name string) string {
	if name == "" {
		return ""
	}
	return " --context " + name
}

// warnOfSilence says on stderr that no node told anything, and what to try; the
// document has the reasons, node by node.
func (f *Factory) warnOfSilence(mute error) {
	if mute == nil {
		return
	}
	f.Streams.Errorf("warning: no node told anything: this is what the other witnesses say")
	if hint := cli.HintOf(mute); hint != "" {
		f.Streams.Errorf("hint: %s", hint)
	}
}

// endpointsOnVIP are the endpoints that are a VIP, or a name of one.
func endpointsOnVIP(snap *cluster.Snapshot) []string {
	var names []string
	for _, e := range snap.Endpoints {
		if slices.ContainsFunc(snap.VIPs, func(v cluster.VIP) bool { return slices.Contains(e.Addresses, v.Addr) }) {
			names = append(names, e.Name)
		}
	}
	return names
}

// owners judges each VIP of the snapshot. Where one needs a second look, for what is
// seen of it may be a handover, it looks again after a while, and returns the
// second snapshot, which holds the first.
func (o *observer) owners(ctx context.Context, first *cluster.Snapshot, facts talos.Facts) (*cluster.Snapshot, []report.Judged, error) {
	judged := judgeAll(first)
	if !slices.ContainsFunc(judged, func(j report.Judged) bool { return vip.NeedsSecondLook(j.Verdict) }) {
		return first, judged, nil
	}
	select {
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-time.After(vip.ResampleAfter):
	}
	second, err := o.following(first).look(ctx, facts)
	if err != nil && (!noNode(err) || ctx.Err() != nil) {
		return nil, nil, err
	}
	second.Earlier = first
	return second, judgeAll(second), nil
}

// following is the observer of the look after the first: it asks for every VIP
// that was known then, for who had it configured may fall silent meanwhile.
func (o *observer) following(first *cluster.Snapshot) *observer {
	again := *o
	again.vips = slices.Clone(o.vips)
	for _, v := range first.VIPs {
		if !slices.Contains(again.vips, v.Addr) {
			again.vips = append(again.vips, v.Addr)
		}
	}
	return &again
}

// judgeAll judges each VIP of the snapshot, in their order.
func judgeAll(snap *cluster.Snapshot) []report.Judged {
	judged := make([]report.Judged, 0, len(snap.VIPs))
	for _, v := range snap.VIPs {
		claims, verdict := snap.Claims(v.Addr), snap.Judge(v.Addr)
		j := report.Judged{
			VIP: v.Addr, Claims: claims, Verdict: verdict,
			Findings: slices.Concat(verdict.Findings, snap.Findings(v.Addr, verdict)),
		}
		if snap.Earlier != nil {
			j.First, j.Second = new(vip.Judge(snap.Earlier.Claims(v.Addr))), new(vip.Judge(claims))
		}
		judged = append(judged, j)
	}
	return judged
}

// checkVIPs refuses a VIP that was asked for by hand and that no node has
// configured or holds, or that is a node's own address. Where a node is silent it
// may be the one that knows it.
func (o *observer) checkVIPs(snap *cluster.Snapshot) error {
	var configured []string
	for _, v := range snap.VIPs {
		if knownVIP(snap, v.Addr) {
			configured = append(configured, v.Addr.String())
		}
	}
	for _, asked := range o.vips {
		if node := ownedBy(snap, asked); node != "" {
			return cli.WithHint(cli.Usagef("%s is %s's own address, and no VIP", asked, node), "leave out --vip to see the VIPs that there are")
		}
		if knownVIP(snap, asked) || slices.ContainsFunc(snap.Nodes, func(n cluster.Node) bool { return !n.VIPs.Known() }) {
			continue
		}
		err := cli.Usagef("no node has the VIP %s configured", asked)
		if len(configured) == 0 {
			return cli.WithHint(err, "this cluster has no VIP: see https://www.talos.dev/latest/talos-guides/network/vip/")
		}
		return cli.WithHint(err, "configured: %s", joined(configured))
	}
	return nil
}

// ownedBy names the node that goes by the address, "" where there is none, or
// where somebody has it configured as a VIP, so that going by it is a fault.
func ownedBy(snap *cluster.Snapshot, addr netip.Addr) string {
	name := ""
	for _, n := range snap.Nodes {
		if slices.Contains(n.VIPs.Value(), addr) {
			return ""
		}
		if slices.Contains(n.NodeIPs.Value(), addr) {
			name = n.Name
		}
	}
	return name
}

func knownVIP(snap *cluster.Snapshot, addr netip.Addr) bool {
	return slices.ContainsFunc(snap.Nodes, func(n cluster.Node) bool {
		return slices.Contains(n.VIPs.Value(), addr) || n.Holds(addr).Value() != ""
	})
}
