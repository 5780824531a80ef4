package talos

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// machinesOf returns one visit for each control-plane node: none for a VIP or a
// worker, and the best of those that reached the same machine.
func machinesOf(visits []*visit, vips []netip.Addr) []*visit {
	var rows []*visit
	for _, v := range byWorth(visits, vips) {
		if v.ok() && isControlPlane(v, vips) && !slices.ContainsFunc(rows, func(r *visit) bool { return same(r, v, visits, vips) }) {
			rows = append(rows, v)
		}
	}
	for _, v := range visits {
		if silent(v, vips) && !sibling(v, visits) && !slices.ContainsFunc(rows, func(r *visit) bool { return covers(r, v, visits, vips) }) {
			rows = append(rows, v)
		}
	}
	return rows
}

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

// same says whether two visits reached the same machine: the same etcd member,
// or the same host name with an address in common. The name alone would hide
// that two machines share it, which Talos's election does not survive.
func same(a, b *visit, visits []*visit, vips []netip.Addr) bool {
	if idA, idB := memberOf(a, visits, vips), memberOf(b, visits, vips); idA != "" && idB != "" {
		return idA == idB
	}
	nameA, okA := a.reply.node.Hostname.Get()
	nameB, okB := b.reply.node.Hostname.Get()
	return okA && okB && nameA == nameB && overlap(ownAddrs(a, vips), ownAddrs(b, vips))
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

func overlap(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
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
		m := member{target: v.target, hostname: n.Hostname.Value()}
		targets[n.Name], targets[v.at.String()] = m, m
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
