package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// releaseFault is something that Talos releases do wrong with a VIP.
type releaseFault struct {
	what   string
	mended fixes
	// seen says whether a node shows it; nil where nothing shows it.
	seen func(*cluster.Snapshot, *cluster.Node) bool
}

// releaseFaults are the known ones that matter for the VIPs of the snapshot.
func releaseFaults(s *cluster.Snapshot) []releaseFault {
	// siderolabs/talos#13883 (f7790816e on main, and in two older lines). The key
	// is that of a candidate that waits: an owner resigned before, too.
	list := []releaseFault{{
		what: "a candidate whose campaign is cut short (its link goes down, the VIP's configuration changes) leaves a ghost in the election, " +
			"behind which a failover waits for up to 60 s",
		mended: fixes{{1, 12, 11, "", 0}, {1, 13, 8, "", 0}, {1, 14, 0, "beta", 1}},
	}}
	if slices.ContainsFunc(s.VIPs, func(v cluster.VIP) bool { return v.Addr.Is4() }) {
		list = append(list, releaseFault{ // siderolabs/talos#11900, #11902
			what:   "an IPv4 VIP is its own broadcast address, which now and then keeps its owner from reaching the gateway",
			mended: fixes{{1, 11, 3, "", 0}, {1, 12, 0, "alpha", 1}},
			seen:   ownBroadcastSeen,
		})
	}
	return list
}

// ownBroadcastSeen says whether the node has a VIP that is its own broadcast
// address.
func ownBroadcastSeen(s *cluster.Snapshot, n *cluster.Node) bool {
	return slices.ContainsFunc(n.Addresses.Value(), func(a cluster.Address) bool {
		return a.Broadcast == a.Prefix.Addr() && isVIP(s.VIPs, a.Prefix.Addr())
	})
}

// lapse is a fault of one release, with the nodes that run it.
type lapse struct {
	what, tag string
	mended    release
	nodes     []*cluster.Node
}

func vipRelease(s *cluster.Snapshot) Finding {
	if len(s.VIPs) == 0 {
		return Finding{Skip, "no VIP is known", ""}
	}
	t := among(s)
	var lapses []lapse
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if v, ok := n.Version.Get(); ok {
			lapses = judgeRelease(&t, s, n, v.Tag, lapses)
		} else {
			missOf(&t, n, "version", n.Version)
		}
	}
	for _, l := range lapses {
		var names []string
		for _, n := range l.nodes {
			names = append(names, n.Name)
		}
		t.say(Warn, "%s on %s: %s (fixed in %s)", l.tag, strings.Join(names, ", "), l.what, l.mended)
	}
	good := vip.Count(t.good, "node runs a release", "nodes run releases")
	return t.finding(good+" without a known fault of the VIP", upgradeHint(s, lapses))
}

// judgeRelease adds the faults of the node's release to lapses. A build of
// somebody's own may have a fix before its release has.
func judgeRelease(t *tally, s *cluster.Snapshot, n *cluster.Node, tag string, lapses []lapse) []lapse {
	base, own, ok := parseRelease(tag)
	if !ok {
		t.say(Unknown, "%s: %q is no release of Talos, and what it does is not known", n.Name, tag)
		return lapses
	}
	good := true
	for _, fault := range releaseFaults(s) {
		mended, lacks := fault.mended.missing(base)
		if !lacks {
			continue
		}
		good = false
		if own && (fault.seen == nil || !fault.seen(s, n)) {
			t.say(Unknown, "%s runs %s, a build of its own: whether it has the fix of %s is not known", n.Name, tag, mended)
			continue
		}
		i := slices.IndexFunc(lapses, func(l lapse) bool { return l.tag == tag && l.what == fault.what })
		if i < 0 {
			lapses, i = append(lapses, lapse{what: fault.what, tag: tag, mended: mended}), len(lapses)
		}
		lapses[i].nodes = append(lapses[i].nodes, n)
	}
	if good {
		t.pass()
	}
	return lapses
}

// upgradeHint says which node to upgrade to which release, the owners last: so the
// VIP moves once.
func upgradeHint(s *cluster.Snapshot, lapses []lapse) string {
	to := make(map[*cluster.Node]release)
	for _, l := range lapses {
		for _, n := range l.nodes {
			if l.mended.compare(to[n]) > 0 {
				to[n] = l.mended
			}
		}
	}
	return "upgrade, to these releases or later ones, node by node, the VIP's owner last: " + upgradeSteps(s, to)
}

// upgradeSteps are the commands that bring each node to its release, in the order
// in which they are to be given.
func upgradeSteps(s *cluster.Snapshot, to map[*cluster.Node]release) string {
	var first, last []string
	between := ""
	for i := range s.Nodes {
		n := &s.Nodes[i]
		mended, ok := to[n]
		if !ok {
			continue
		}
		if r, _, _ := parseRelease(n.Version.Value().Tag); mended.minor > r.minor+1 {
			between = "; no minor release in between may be left out"
		}
		step := fmt.Sprintf("talosctl -n %s upgrade --image INSTALLER:%s", reached(s, n.Name), mended)
		if slices.ContainsFunc(s.VIPs, func(v cluster.VIP) bool { return n.Holds(v.Addr).Value() != "" }) {
			last = append(last, step)
		} else {
			first = append(first, step)
		}
	}
	return strings.Join(slices.Concat(first, last), ", then ") + " (INSTALLER is the node's machine.install.image without its tag)" + between
}
