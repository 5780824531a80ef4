package talos

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// machinesOf returns one visit for each control-plane node: none for a VIP or a
// worker, and the best of those that reached the same machine. No node can talk
// another one out of the rows: not by taking its name or member ID, nor by
// calling its address a VIP or its own.
func machinesOf(visits []*visit, vips []netip.Addr) []*visit {
	var rows []*visit
	covered := func(v *visit) bool {
		return slices.ContainsFunc(rows, func(r *visit) bool { return covers(r, v, visits, vips) })
	}
	for _, v := range byWorth(visits, vips) {
		if v.ok() && isControlPlane(v, vips) && !slices.ContainsFunc(rows, func(r *visit) bool { return same(r, v, visits, vips) }) {
			rows = append(rows, v)
		}
	}
	for _, v := range visits {
		if silent(v, vips) && !sibling(v, visits) && !covered(v) {
			rows = append(rows, v)
		}
	}
	for _, v := range visits { // at what somebody calls a VIP
		elsewhere := func(r *visit) bool { return same(r, v, visits, vips) || slices.Contains(ownAddrs(v, vips), r.at) }
		if v.ok() && slices.Contains(vips, v.at) && provenControlPlane(v) && !slices.ContainsFunc(rows, elsewhere) {
			rows = append(rows, v)
		}
	}
	return append(rows, homeless(rows, visits, vips)...)
}

// lendMembers gives a row etcd's members as its machine listed them where it was
// asked elsewhere, as at the VIP, and only there: nobody else may have been.
func lendMembers(rows, visits []*visit, vips []netip.Addr) {
	for _, row := range rows {
		if !row.ok() || row.reply.asked&ofMembers != 0 {
			continue
		}
		for _, v := range visits {
			if v != row && v.ok() && v.reply.asked&ofMembers != 0 && same(row, v, visits, vips) {
				row.reply.node.Members = v.reply.node.Members
			}
		}
	}
}

// homeless are rows for the machines that are named at VIPs only, where whoever
// has the VIP may have answered, or at no machine's address.
func homeless(rows, visits []*visit, vips []netip.Addr) []*visit {
	var more []*visit
	for _, v := range visits {
		if !v.ok() {
			continue
		}
		for _, m := range machines(&v.reply.node) {
			is := func(r *visit) bool { return alike(m.hostname, nameOf(r)) }
			if len(usable(m.addrs, vips)) > 0 || m.hostname == "" || slices.ContainsFunc(rows, is) || slices.ContainsFunc(more, is) {
				continue
			}
			r := &reply{}
			r.miss(errHomeless, questions(Addresses, 0))
			more = append(more, &visit{origin: fromMembers, hostname: m.hostname, named: true, reply: r, direct: &attempt{}})
		}
	}
	return more
}

var errHomeless = errors.New("no address is known at which it alone could be asked")

// byWorth puts first what was dialled at an address of the machine's own. The
// VIP is never one.
func byWorth(visits []*visit, vips []netip.Addr) []*visit {
	cost := func(v *visit) int {
		switch {
		case !v.ok():
			return 3
		case v.via != "":
			return 2
		case !slices.Contains(ownAddrs(v, vips), v.at):
			return 1
		}
		return 0
	}
	sorted := slices.DeleteFunc(slices.Clone(visits), func(v *visit) bool { return slices.Contains(vips, v.at) })
	slices.SortStableFunc(sorted, func(a, b *visit) int { return cost(a) - cost(b) })
	return sorted
}

func isControlPlane(v *visit, vips []netip.Addr) bool {
	if v.reply.node.Type.Known() || v.reply.node.VIPs.Known() {
		return provenControlPlane(v)
	}
	return v.origin != fromNodes && !slices.Contains(vips, v.at)
}

// provenControlPlane says whether a node said that it is one: by its type, or by
// its configuration of etcd, which no worker has.
func provenControlPlane(v *visit) bool {
	if typ, known := v.reply.node.Type.Get(); known {
		return typ == "controlplane" || typ == "init"
	}
	return v.reply.node.VIPs.Known()
}

// same says whether two visits reached the same machine: each has the address
// at which the other was asked, and neither host name nor etcd member tell them
// apart. A name alone would hide that two machines share it, which Talos's
// election does not survive; a member's ID, that one of them lies. It decides
// only where a node tells no addresses.
func same(a, b *visit, visits []*visit, vips []netip.Addr) bool {
	idA, idB := memberOf(a, visits, vips), memberOf(b, visits, vips)
	nameA, okA := a.reply.node.Hostname.Get()
	nameB, okB := b.reply.node.Hostname.Get()
	if idA != "" && idB != "" && idA != idB || okA && okB && nameA != nameB {
		return false
	}
	ownA, ownB := ownAddrs(a, vips), ownAddrs(b, vips)
	if len(ownA) == 0 || len(ownB) == 0 {
		return idA != "" && idA == idB
	}
	return overlap(ownA, ownB) && standsFor(a, ownA, ownB, visits) && standsFor(b, ownB, ownA, visits)
}

// standsFor says whether a visit can be to a machine that has these addresses.
// What was asked at an address that it does not call its own stands behind a
// load balancer, unless others know another machine there.
func standsFor(v *visit, own, addrs []netip.Addr, visits []*visit) bool {
	if slices.Contains(own, v.at) {
		return slices.Contains(addrs, v.at)
	}
	return !calledOtherwise(v.at, v, visits)
}

// calledOtherwise says whether another node than the visited one names a machine
// at the address that cannot be the visited one, going by its name.
func calledOtherwise(addr netip.Addr, v *visit, visits []*visit) bool {
	name, known := v.reply.node.Hostname.Get()
	return known && slices.ContainsFunc(visits, func(other *visit) bool {
		return other != v && other.ok() && slices.ContainsFunc(machines(&other.reply.node), func(m machine) bool {
			return m.hostname != "" && !alike(m.hostname, name) && slices.Contains(m.addrs, addr)
		})
	})
}

// memberOf is the ID of the etcd member that runs on the visited node: as it
// says itself, or as that member's address says; "" where neither does.
func memberOf(v *visit, visits []*visit, vips []netip.Addr) string {
	if id, ok := v.reply.memberID.Get(); ok {
		return id
	}
	own := ownAddrs(v, vips)
	for _, other := range visits {
		if !other.ok() {
			continue
		}
		for _, m := range other.reply.node.Members.Value() {
			if overlap(own, hosts(m)) {
				return m.ID
			}
		}
	}
	return ""
}

// silent says whether a visit was to a control-plane node that did not answer.
// A silent one of the talosconfig's nodes may be a worker, unless another node
// named it.
func silent(v *visit, vips []netip.Addr) bool {
	return !v.ok() && v.reply != nil && v.origin != fromNodes && !slices.Contains(vips, v.at)
}

// sibling says whether an endpoint that is a name was reached at another of its
// addresses, and no node calls this one its own: "localhost" is ::1 as well.
func sibling(v *visit, visits []*visit) bool {
	return v.target.serverName != "" && !v.named && slices.ContainsFunc(visits, func(o *visit) bool {
		return o.ok() && o.target.serverName == v.target.serverName
	})
}

// covers says whether a row stands for the machine that v failed to reach.
func covers(row, v *visit, visits []*visit, vips []netip.Addr) bool {
	addrs := []netip.Addr{row.at}
	if row.ok() {
		addrs = append(addrs, ownAddrs(row, vips)...)
		if calledOtherwise(v.at, row, visits) {
			return false
		}
	}
	if slices.Contains(addrs, v.at) {
		return true
	}
	for _, other := range visits {
		if !other.ok() {
			continue
		}
		for _, m := range machines(&other.reply.node) {
			known := usable(m.addrs, vips)
			if slices.Contains(known, v.at) && overlap(known, addrs) {
				return true
			}
		}
	}
	return false
}

// overlap says whether an address is in both lists, however long a node made them.
func overlap(a, b []netip.Addr) bool {
	if min(len(a), len(b)) <= 8 {
		return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
	}
	in := make(map[netip.Addr]bool, len(a))
	for _, addr := range a {
		in[addr] = true
	}
	return slices.ContainsFunc(b, func(addr netip.Addr) bool { return in[addr] })
}

// name makes nodes of the rows, gives each a name that no other has, and
// remembers which target a name stands for.
func (c *Client) name(rows []*visit) []cluster.Node {
	count := map[string]int{}
	for _, v := range rows {
		count[nameOf(v)]++
	}
	nodes, targets := make([]cluster.Node, 0, len(rows)), map[string]member{}
	for _, v := range rows {
		n := v.reply.node
		n.Name, n.Addr, n.Via = nameOf(v), v.at, v.via
		if v.via != "" && v.direct.reply.err != nil {
			n.ViaReason = v.direct.reply.err.Error()
		}
		if count[n.Name] > 1 {
			n.Name = fmt.Sprintf("%s (%s)", n.Name, v.target)
		}
		nodes = append(nodes, n)
		targets[n.Name] = member{target: v.target, hostname: n.Hostname.Value()}
	}
	for _, v := range rows { // after all names, one of which may look like another's address
		if v.at.IsValid() {
			targets[v.at.String()] = member{target: v.target, hostname: v.reply.node.Hostname.Value()}
		}
	}
	slices.SortFunc(nodes, func(a, b cluster.Node) int { return cmp.Compare(a.Name, b.Name) })
	c.mu.Lock()
	c.nodes = targets
	c.mu.Unlock()
	return nodes
}

func nameOf(v *visit) string {
	name := cmp.Or(v.reply.node.Hostname.Value(), v.hostname, v.target.node)
	if name == "" {
		return v.at.String()
	}
	return name
}
