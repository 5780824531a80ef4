package checks

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// EtcdMember is one member of etcd with what it says of itself.
type EtcdMember struct {
	cluster.Member
	// Node is the name of its node, "" where no node of the snapshot fits.
	Node string
	// Talos is the version of its node, "" where that is not known.
	Talos string
	// Said is the member's own status, the last that it told.
	Said   cluster.Seen[cluster.EtcdStatus]
	Leader bool
	// Behind is by how many entries its log is shorter than the longest that was
	// seen at the same time. Members are not asked at one instant, so that on a
	// busy cluster a few entries mean nothing.
	Behind uint64
	// Status is Pass, Fail, or Unknown where it could not be asked; Problem
	// says why it is not Pass.
	Status  Status
	Problem string
}

// Label is what to call the member: its host name, or its ID where it has none
// because it never started.
func (m EtcdMember) Label() string { return cmp.Or(m.Hostname, m.ID) }

// EtcdOutsider is a control-plane node that no listed member is on.
type EtcdOutsider struct {
	Node string
	// ID is the member that its etcd says it is, "" where it does not say.
	ID string
	// Status is Fail where the node answered, and Unknown where it did not, so
	// that it may be another name of a node that is listed; Problem says which.
	Status  Status
	Problem string
}

// EtcdVIPOwner is a node that owns a VIP.
type EtcdVIPOwner struct {
	VIP  netip.Addr
	Node string
	// At is how talosctl takes the node: its address where that is known.
	At         string
	Leadership vip.Leadership
}

// members joins the members of the roll with what each says of itself.
func members(s *cluster.Snapshot) []EtcdMember {
	roll := rollCall(s)
	list := make([]EtcdMember, 0, len(roll))
	for _, m := range roll {
		member := EtcdMember{Member: m}
		if n := nodeOf(s, m); n != nil {
			member.Node, member.Said, member.Talos = n.Name, lastSaid(n), n.Version.Value().Tag
			member.Status, member.Problem = memberHealth(n)
			if member.Status == Pass && fellSilent(n) { // a second is enough to be gone
				member.Status, member.Problem = Unknown, silence(s, n)
			}
		} else {
			member.Problem = absence(s, m)
		}
		if m.Hostname == "" && !member.Said.Known() { // etcd learns a member's name when that starts
			member.Problem = "was added and never started"
		}
		list = append(list, member)
	}
	measureBehind(list)
	slices.SortFunc(list, func(a, b EtcdMember) int { // those without a name come last
		if (a.Hostname == "") != (b.Hostname == "") {
			return strings.Compare(b.Hostname, a.Hostname)
		}
		return strings.Compare(a.Hostname+a.ID, b.Hostname+b.ID)
	})
	return list
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

// lastSaid is the node's status of etcd, the later sample where there is one.
func lastSaid(n *cluster.Node) cluster.Seen[cluster.EtcdStatus] {
	if n.EtcdLater.Known() {
		return n.EtcdLater
	}
	return n.Etcd
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
		o := EtcdOutsider{Node: n.Name, ID: lastSaid(n).Value().MemberID, Status: Fail}
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

// memberHealth judges one member by its own status, and by Talos's health
// check of its service.
func memberHealth(n *cluster.Node) (status Status, problem string) {
	said, ok := lastSaid(n).Get()
	service := etcdService(n)
	switch {
	case service.HealthKnown && !service.Healthy:
		return Fail, "Talos finds service etcd not healthy"
	case stopped(n):
		return Fail, "service etcd does not run: " + service.State
	case !ok:
		return Unknown, "status not known: " + n.Etcd.Err()
	case said.Leader == "":
		return Fail, noLeader
	case len(said.Errors) > 0:
		return Fail, strings.Join(said.Errors, ", ")
	case unapplied(said) > applyLimit:
		return Fail, fmt.Sprintf("has not applied %d entries, and refuses requests", unapplied(said))
	default:
		return Pass, ""
	}
}

// etcdService is Talos's service of that name.
func etcdService(n *cluster.Node) cluster.Service { return serviceOf(n, "etcd") }

// serviceOf is a service of Talos, the zero value where it is not known.
func serviceOf(n *cluster.Node, id string) cluster.Service {
	i := slices.IndexFunc(n.Services.Value(), func(s cluster.Service) bool { return s.ID == id })
	if i < 0 {
		return cluster.Service{}
	}
	return n.Services.Value()[i]
}

// stopped says that Talos knows of etcd, and does not have it running: it waits,
// was stopped, or failed.
func stopped(n *cluster.Node) bool {
	state := etcdService(n).State
	return state != "" && state != "Running"
}

// markLeader marks the leader that all who know of one agree on, and returns
// its host name.
func markLeader(list []EtcdMember) string {
	leader := ""
	for _, m := range list {
		named := m.Said.Value().Leader
		if named != "" && leader != "" && named != leader {
			return ""
		}
		leader = cmp.Or(named, leader)
	}
	for i := range list {
		if leader != "" && list[i].ID == leader {
			list[i].Leader = true
			return list[i].Hostname
		}
	}
	return ""
}

// vipOwners says of each VIP that has one owner whether that leads etcd.
func vipOwners(s *cluster.Snapshot, list []EtcdMember) []EtcdVIPOwner {
	var owners []EtcdVIPOwner
	leader := slices.IndexFunc(list, func(m EtcdMember) bool { return m.Leader })
	for _, v := range s.VIPs {
		verdict := vip.Judge(s.Claims(v.Addr))
		if verdict.Ownership != vip.Owned {
			continue
		}
		owner := EtcdVIPOwner{VIP: v.Addr, Node: verdict.Owners[0], At: reached(s, verdict.Owners[0])}
		switch {
		case leader >= 0 && list[leader].Node == owner.Node:
			owner.Leadership = vip.OwnerLeads
		case leader >= 0:
			owner.Leadership = vip.OwnerFollows
		}
		owners = append(owners, owner)
	}
	return owners
}

// alarms are etcd's alarms. Each node's answer is of the whole cluster: the list
// goes through raft, and a member's own status needs no quorum. One is enough,
// and NONE is none.
func alarms(s *cluster.Snapshot) []cluster.Alarm {
	var list []cluster.Alarm
	for i := range s.Nodes {
		for _, a := range slices.Concat(s.Nodes[i].Alarms.Value(), lastSaid(&s.Nodes[i]).Value().Alarms) {
			if a.Alarm != "" && a.Alarm != "NONE" && !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	return list
}

// nobodyIsLed says that every node's etcd answered and has no leader, or does not
// run. The members are not listed then: etcd lists them through its leader.
func nobodyIsLed(s *cluster.Snapshot) bool {
	for i := range s.Nodes {
		said, ok := lastSaid(&s.Nodes[i]).Get()
		if ok && said.Leader != "" || !ok && !stopped(&s.Nodes[i]) {
			return false
		}
	}
	return len(s.Nodes) > 0
}
