package checks

import (
	"slices"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// EtcdOutsider is a control-plane node that no listed member is on.
type EtcdOutsider struct {
	Node string
	// ID is the member that its etcd says it is, "" where it does not say.
	ID string
	// Via and ViaReason are as those of a member.
	Via, ViaReason string
	// Status is Fail where the node answered, and Unknown where it did not, so
	// that it may be another name of a node that is listed; Problem says which.
	Status  Status
	Problem string
}

// absence says why no node of the snapshot is the member's.
func absence(s *cluster.Snapshot, m cluster.Member) string {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if id := lastSaid(n).Value().MemberID; id != "" && (n.Name == m.Hostname || n.Hostname.Value() == m.Hostname) {
			return "the etcd of its node says that it is another member, " + id
		}
	}
	return "no control-plane node of this name was seen"
}

// rollCall returns the members as the leader's node lists them, or else as the
// most nodes do; of several such lists the first. Where nodes follow different
// leaders, as when one was bootstrapped into a cluster of its own, those that
// follow the one with the most followers come first. It is nil where nobody lists
// them.
func rollCall(s *cluster.Snapshot) []cluster.Member {
	var best *cluster.Node
	worth := func(n *cluster.Node) []int {
		said := lastSaid(n).Value()
		alike, followers, leads := 0, 0, 0
		for i := range s.Nodes {
			if census(s.Nodes[i].Members.Value()) == census(n.Members.Value()) {
				alike++
			}
			if said.Leader != "" && lastSaid(&s.Nodes[i]).Value().Leader == said.Leader {
				followers++
			}
		}
		if said.Leader != "" && said.Leader == said.MemberID {
			leads = 1
		}
		return []int{followers, leads, alike}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if len(n.Members.Value()) > 0 && (best == nil || slices.Compare(worth(n), worth(best)) > 0) {
			best = n
		}
	}
	if best == nil {
		return nil
	}
	return best.Members.Value()
}

// nodeOf finds a member's node: by the ID that its etcd says it has, else among
// the nodes that do not say by its name, and last by the address in its URLs.
func nodeOf(s *cluster.Snapshot, m cluster.Member) *cluster.Node {
	for i := range s.Nodes {
		if said, ok := lastSaid(&s.Nodes[i]).Get(); ok && said.MemberID == m.ID {
			return &s.Nodes[i]
		}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if !lastSaid(n).Known() && m.Hostname != "" && (n.Name == m.Hostname || n.Hostname.Value() == m.Hostname) {
			return n
		}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if !lastSaid(n).Known() && slices.ContainsFunc(urlsOf(m), func(u string) bool { return hostOf(u) == n.Addr }) {
			return n
		}
	}
	return nil
}

func urlsOf(m cluster.Member) []string { return slices.Concat(m.PeerURLs, m.ClientURLs) }

// outsiders are the nodes that no listed member is on; none where nobody lists
// the members.
func outsiders(s *cluster.Snapshot) []EtcdOutsider {
	roll := rollCall(s)
	if len(roll) == 0 {
		return nil
	}
	var inside []*cluster.Node
	for _, m := range roll {
		inside = append(inside, nodeOf(s, m))
	}
	var found []EtcdOutsider
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if slices.Contains(inside, n) {
			continue
		}
		o := EtcdOutsider{Node: n.Name, ID: lastSaid(n).Value().MemberID, Status: Fail, Via: n.Via, ViaReason: n.ViaReason}
		twin := slices.IndexFunc(inside, func(other *cluster.Node) bool { return other != nil && lastSaid(other).Value().MemberID == o.ID })
		switch {
		case o.ID != "" && twin >= 0:
			o.Problem = "its etcd says that it is member " + o.ID + ", and so does that of " + inside[twin].Name + ": one machine under two names, or a copied disk"
		case o.ID != "":
			o.Problem = "its etcd says that it is member " + o.ID + ", and no such member is listed: it was removed, or belongs to another cluster"
		case n.Reachable.Value():
			o.Problem = "no member of etcd is on this control-plane node: " + lastSaid(n).Err()
		default:
			o.Status, o.Problem = Unknown, "does not answer, and no member of etcd is known to be there: "+n.Reachable.Err()
		}
		found = append(found, o)
	}
	return found
}

// withEtcd are the nodes that have a say in etcd: all but those that said nothing
// and that no member can be on, for each is known to be on another. Such is a
// dead endpoint, or a node that is long gone and that discovery still lists.
func withEtcd(s *cluster.Snapshot) (nodes []*cluster.Node) {
	homeless := slices.ContainsFunc(members(s), func(m EtcdMember) bool { return m.Node == "" })
	aside := outsiders(s)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if homeless || !slices.ContainsFunc(aside, func(o EtcdOutsider) bool { return o.Status == Unknown && o.Node == n.Name }) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
