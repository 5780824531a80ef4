package talos

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// doubtful says whether the answer of the one node that was asked for etcd's
// members is at odds with what any node knows: it may be of a past in which it
// still was a member, of another etcd that was bootstrapped by mistake, or a lie.
// Discovery is each node's own, and another word for the same; where it is off
// nobody else vouches for the answer. A doubt that is unfounded costs a question
// a node.
func (s *survey) doubtful() bool {
	if !s.lead.ok() || !s.lead.reply.node.Members.Known() {
		return false
	}
	vips := s.vips()
	listed := listedMembers(&s.lead.reply.node, vips)
	return slices.ContainsFunc(s.visits, func(v *visit) bool {
		return v.toldAll() && provenControlPlane(v) && contradicts(v, listed, vips)
	})
}

// disunited says whether a node's discovery, once it has told it all, is off, does
// not know the node itself, or knows others than another node's does. Unanimous,
// it is another word for etcd's members.
func (s *survey) disunited(v *visit) bool {
	if !v.toldAll() {
		return false
	}
	vips := s.vips()
	mine := discoveredLeaders(v, vips)
	if !provenControlPlane(v) || !eachMeets([][]netip.Addr{append(ownAddrs(v, vips), v.at)}, mine) {
		return true
	}
	return slices.ContainsFunc(s.visits, func(o *visit) bool {
		if o == v || !o.toldAll() || !provenControlPlane(o) {
			return false
		}
		others := discoveredLeaders(o, vips)
		return !eachMeets(mine, others) || !eachMeets(others, mine)
	})
}

// toldAll says that a node told all that it was asked of the cluster, but for
// etcd's members.
func (v *visit) toldAll() bool {
	return v.ok() && v.reply.asked&^v.reply.heard&^ofMembers == 0
}

// discoveredLeaders are the addresses of each control-plane node that a node
// knows by discovery.
func discoveredLeaders(v *visit, vips []netip.Addr) [][]netip.Addr {
	var known [][]netip.Addr
	for _, p := range v.reply.node.Discovery.Value() {
		if p.ControlPlane {
			known = append(known, usable(p.Addresses, vips))
		}
	}
	return known
}

// listedMembers are the addresses of each of etcd's members that has started.
func listedMembers(n *cluster.Node, vips []netip.Addr) [][]netip.Addr {
	var listed [][]netip.Addr
	for _, m := range n.Members.Value() {
		if m.Hostname != "" {
			listed = append(listed, usable(hosts(m), vips))
		}
	}
	return listed
}

// contradicts says whether the members that are listed are not those that a
// node knows: itself, and discovery's control plane.
func contradicts(v *visit, listed [][]netip.Addr, vips []netip.Addr) bool {
	known := append(discoveredLeaders(v, vips), append(ownAddrs(v, vips), v.at))
	return !eachMeets(known, listed) || !eachMeets(listed, known)
}

// eachMeets says whether each machine of the one list is one of the other.
func eachMeets(list, others [][]netip.Addr) bool {
	return !slices.ContainsFunc(list, func(one []netip.Addr) bool {
		return !slices.ContainsFunc(others, func(o []netip.Addr) bool { return overlap(one, o) })
	})
}

// alike says whether two host names can be one machine's: discovery has them
// with their domain, etcd without (Talos v1.13.9).
func alike(a, b string) bool {
	a, _, _ = strings.Cut(a, ".")
	b, _, _ = strings.Cut(b, ".")
	return strings.EqualFold(a, b)
}
