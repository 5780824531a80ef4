package commands

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
	"github.com/vipctl/vipctl/pkg/vip"
)

// watching is what a watch knows of a cluster. It asks nobody: it is told, and
// says what events that makes. The verdicts rest on what the nodes themselves
// say; a node that is not seen is a silent claim.
type watching struct {
	nodes []*watchedNode // in the order of their names
	vips  []netip.Addr   // in the order of the look
	// courses are those of the vips.
	courses map[netip.Addr]vip.Course
	flaps   map[netip.Addr]*flapping
	// lease is the time to live of an owner's lease, 0 for the default.
	lease time.Duration
	// closed says that VIPs were named by hand: no other is of interest.
	closed bool
	// others is why it is not known which other nodes there are, "" where it is. One
	// of them may have what none that is watched has.
	others string
	// now is the latest time that was told.
	now time.Time
}

// watchedNode is a node as it was last seen.
type watchedNode struct {
	name   string
	called string     // its name when last searched for, by which it is watched
	addr   netip.Addr // invalid where the node is reached through a proxy only
	via    string     // the endpoint through which it is watched, "" where dialled
	end    func()     // ends its watch, nil where it has none

	holds []netip.Addr // every address of it, as far as known
	err   string       // why it is not seen, "" where it is
	told  bool         // that it is not seen has been told
	heard time.Time    // the last sign of life, zero where there was none
	// unseen is when it was last known to be seen, zero where that is not known.
	unseen time.Time
}

// newWatching begins with what the look has shown. lease is the time to live of an
// owner's lease, 0 for the default.
func newWatching(doc *report.Ownership, lease time.Duration) *watching {
	w := &watching{courses: map[netip.Addr]vip.Course{}, flaps: map[netip.Addr]*flapping{}, now: doc.TakenAt, lease: lease}
	for _, v := range doc.VIPs {
		addr, err := netip.ParseAddr(v.VIP)
		if err != nil {
			continue // it is no address, so nobody can hold it
		}
		w.vips = append(w.vips, addr)
		for _, c := range v.Witnesses {
			if c.Witness == vip.Address.String() {
				w.seed(c, addr, doc.TakenAt)
			}
		}
	}
	for _, seen := range doc.Nodes {
		if n := w.node(seen.Node); n != nil {
			n.addr, _ = netip.ParseAddr(seen.Address) // behind a proxy it has none
			n.via = seen.Via
		}
	}
	for i, addr := range w.vips {
		w.begin(doc.TakenAt, addr, doc.VIPs[i].Verdict == vip.SplitBrain.String())
		w.recall(doc.TakenAt, addr, doc.VIPs[i].Sightings)
	}
	return w
}

// recall goes back to the first of two sightings of two owners, one of whom may
// have fallen silent before the second.
func (w *watching) recall(at time.Time, addr netip.Addr, sightings []report.Sighting) {
	if len(sightings) < 2 || w.courses[addr].Verdict.Ownership != vip.Owned {
		return
	}
	then := w.claims(addr)
	for i, c := range then {
		if slices.Contains(sightings[0].Owners, c.From) {
			then[i].Owner, then[i].Err = c.From, ""
		}
	}
	c := vip.Begin(sightings[0].TakenAt, then, false)
	c.Lease = w.lease
	c, _ = c.Next(at, w.claims(addr))
	c.Since = time.Time{} // it was not watched
	w.courses[addr] = c
}

func (w *watching) begin(at time.Time, addr netip.Addr, confirmed bool) {
	c := vip.Begin(at, w.claims(addr), confirmed)
	c.Lease = w.lease
	w.courses[addr], w.flaps[addr] = c, &flapping{}
}

func (w *watching) seed(c report.WitnessClaim, addr netip.Addr, at time.Time) {
	if c.From == cluster.Others {
		w.others = c.Error
		return
	}
	n := w.node(c.From)
	if n == nil {
		n = w.add(&watchedNode{name: c.From, called: c.From, err: c.Error})
		if n.err == "" {
			n.heard = at
		}
	}
	if c.Owner == c.From && c.Error == "" {
		n.holds = append(n.holds, addr)
	}
}

func (w *watching) add(n *watchedNode) *watchedNode {
	w.nodes = append(w.nodes, n)
	slices.SortFunc(w.nodes, func(a, b *watchedNode) int { return cmp.Compare(a.name, b.name) })
	return n
}

func (w *watching) node(name string) *watchedNode {
	if i := slices.IndexFunc(w.nodes, func(n *watchedNode) bool { return n.name == name }); i >= 0 {
		return w.nodes[i]
	}
	return nil
}

// troubled says whether a search may find soon what is not seen now: a silent node
// at another address, or who has a VIP that no node has which is watched.
func (w *watching) troubled() bool {
	for _, c := range w.courses {
		if c.Verdict.Ownership == vip.Unowned || c.Verdict.Ownership == vip.Unknown {
			return true
		}
	}
	return slices.ContainsFunc(w.nodes, func(n *watchedNode) bool { return n.err != "" })
}

// claims are what the nodes say of the VIP.
func (w *watching) claims(addr netip.Addr) []vip.Claim {
	claims := make([]vip.Claim, 0, len(w.nodes))
	for _, n := range w.nodes {
		c := vip.Claim{Witness: vip.Address, From: n.name, Err: n.err}
		if n.err == "" && slices.Contains(n.holds, addr) {
			c.Owner = n.name
		}
		claims = append(claims, c)
	}
	if w.others != "" && !slices.ContainsFunc(claims, func(c vip.Claim) bool { return c.Owner != "" }) {
		claims = append(claims, vip.Claim{Witness: vip.Address, From: cluster.Others, Err: w.others})
	}
	return claims
}

// at is the time of news. Nodes are watched side by side, so that theirs may
// come out of order by a little.
func (w *watching) at(t time.Time) time.Time {
	if t.After(w.now) {
		w.now = t
	}
	return w.now
}

// heard takes in what the watch of a node told.
func (w *watching) heard(n *watchedNode, c talos.AddressChange) []report.OwnershipEvent {
	if !slices.Contains(w.nodes, n) {
		return nil // it was let go meanwhile
	}
	at := w.at(c.At)
	var events []report.OwnershipEvent
	if c.Heard.After(n.heard) {
		n.heard = c.Heard
	}
	if c.Gap != nil {
		events = n.lose(at, c.Gap.Error())
	} else {
		events = n.see(at, c.Present)
	}
	return append(events, w.turns(at)...)
}

// lose is for a node that is not seen any more.
func (n *watchedNode) lose(at time.Time, reason string) []report.OwnershipEvent {
	n.holds, n.err = nil, cmp.Or(reason, "it is not seen")
	if n.told {
		return nil
	}
	n.told, n.unseen = true, n.heard
	e := n.event(report.EventGap, at)
	e.Error = n.err
	if !n.heard.IsZero() {
		e.HeardAt = new(n.heard)
	}
	return []report.OwnershipEvent{e}
}

// see is for a node whose addresses are known.
func (n *watchedNode) see(at time.Time, present []netip.Prefix) []report.OwnershipEvent {
	var events []report.OwnershipEvent
	if n.err != "" {
		events = append(events, n.event(report.EventSeen, at))
	}
	n.err, n.told, n.unseen, n.holds = "", false, time.Time{}, nil
	for _, p := range present {
		n.holds = append(n.holds, p.Addr())
	}
	return events
}

func (n *watchedNode) event(kind string, at time.Time) report.OwnershipEvent {
	var unseen time.Duration
	if !n.unseen.IsZero() {
		unseen = at.Sub(n.unseen)
	}
	e := report.NewNodeEvent(kind, at, n.name, unseen)
	if n.addr.IsValid() {
		e.Address = n.addr.String()
	}
	return e
}

// turns weighs every VIP anew.
func (w *watching) turns(at time.Time) (events []report.OwnershipEvent) {
	for _, addr := range w.vips {
		c, turn := w.courses[addr].Next(at, w.claims(addr))
		w.courses[addr] = c
		if turn = w.flaps[addr].tell(at, turn); turn != nil {
			events = append(events, report.NewChange(addr.String(), *turn))
		}
	}
	return events
}

// wait is for when time alone may have made a turn.
func (w *watching) wait(at time.Time) []report.OwnershipEvent { return w.turns(w.at(at)) }

// due is when that is, zero for never.
func (w *watching) due() (first time.Time) {
	for addr, c := range w.courses {
		for _, due := range []time.Time{c.Due(), w.flaps[addr].due()} {
			if !due.IsZero() && (first.IsZero() || due.Before(first)) {
				first = due
			}
		}
	}
	return first
}

// found takes in who there is, by a later look at the whole cluster. first says
// that it is the first one. Nodes whose end is nil afterwards are to be watched.
func (w *watching) found(at time.Time, snap *cluster.Snapshot, first bool) (events []report.OwnershipEvent) {
	at = w.at(at)
	w.count(snap, first)
	for i := range snap.Nodes {
		seen := &snap.Nodes[i]
		n := w.known(seen, snap)
		if n == nil {
			n = w.rename(newWatchedNode(seen, at), snap)
			if !first {
				events = append(events, n.event(report.EventJoined, at))
			}
		}
		n.called = seen.Name
		if n.end == nil || n.addr != seen.Addr || n.via != seen.Via && (n.err != "" || seen.Via == "") {
			n.stop()
			n.addr, n.via = seen.Addr, seen.Via
		}
	}
	for _, n := range w.forget(func(n *watchedNode) bool { return n.err != "" && snap.Node(n.name) == nil && listed(snap) }) {
		events = append(events, n.event(report.EventLeft, at))
	}
	for _, v := range snap.VIPs {
		if _, known := w.courses[v.Addr]; !known && !w.closed {
			w.vips = append(w.vips, v.Addr)
			w.begin(at, v.Addr, false)
			events = append(events, report.NewSighted(at, v.Addr.String(), w.courses[v.Addr].Verdict))
		}
	}
	return append(events, w.turns(at)...)
}

// count takes note of whether these are all the nodes that there are. Where that
// is known once, whoever joins is found, and those that were known are watched.
func (w *watching) count(snap *cluster.Snapshot, first bool) {
	switch whole, why := snap.Whole(); {
	case len(snap.Nodes) == 0: // nobody answered
	case whole:
		w.others = ""
	case first:
		w.others = why
	}
}

// listed says whether some node gave a list of etcd's members. Without one a
// node that is not found may only be silent.
func listed(snap *cluster.Snapshot) bool {
	return slices.ContainsFunc(snap.Nodes, func(n cluster.Node) bool { return len(n.Members.Value()) > 0 })
}

func newWatchedNode(seen *cluster.Node, at time.Time) *watchedNode {
	n := &watchedNode{name: seen.Name, addr: seen.Addr, via: seen.Via}
	list, known := seen.Addresses.Get()
	if !known {
		n.err = cmp.Or(seen.Addresses.Err(), "it did not answer")
		return n
	}
	n.heard = at
	for _, a := range list {
		n.holds = append(n.holds, a.Prefix.Addr())
	}
	return n
}

// forget drops nodes and ends their watches.
func (w *watching) forget(which func(*watchedNode) bool) (gone []*watchedNode) {
	w.nodes = slices.DeleteFunc(w.nodes, func(n *watchedNode) bool {
		if !which(n) {
			return false
		}
		n.stop()
		gone = append(gone, n)
		return true
	})
	return gone
}

func (n *watchedNode) stop() {
	if n.end != nil {
		n.end()
		n.end = nil
	}
}
