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
	// Via is the endpoint through which its node was read, "" where it was dialled,
	// and ViaReason why.
	Via, ViaReason string
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
			member.Via, member.ViaReason = n.Via, n.ViaReason
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

// lastSaid is the node's status of etcd, the later sample where there is one.
func lastSaid(n *cluster.Node) cluster.Seen[cluster.EtcdStatus] {
	if n.EtcdLater.Known() {
		return n.EtcdLater
	}
	return n.Etcd
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
	case !ok && n.Reachable.Value() && strings.HasPrefix(n.Etcd.Err(), cluster.NoAnswer): // of Talos, which asks etcd
		return Unknown, "status not known: the node answers, and etcd on it does not"
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

// unlistedAlarms is for nodes of which none lists the alarms, though somebody's member
// told those that it knows of: that is no fault of the cluster.
func (e *EtcdState) unlistedAlarms(s *cluster.Snapshot) []EtcdNote {
	why := ""
	for i := range s.Nodes {
		n := &s.Nodes[i]
		switch {
		case n.Alarms.Known():
			return nil
		case !saidNothing(n): // that a node is silent is said elsewhere
			why = cmp.Or(why, n.Name+": "+n.Alarms.Err())
		}
	}
	if why == "" || !slices.ContainsFunc(e.Members, func(m EtcdMember) bool { return m.Said.Known() }) {
		return nil
	}
	return []EtcdNote{{"alarmsNotListed", "nobody listed etcd's alarms (" + why + "): what is said of them rests on each member's own status", ""}}
}

// nobodyIsLed says that every node's etcd answered and has no leader, or does not
// run. The members are not listed then: etcd lists them through its leader. Where
// there may be nodes that nobody named, those may have a quorum among themselves.
func nobodyIsLed(s *cluster.Snapshot) bool {
	if whole, _ := s.Whole(); !whole {
		return false
	}
	for i := range s.Nodes {
		said, ok := lastSaid(&s.Nodes[i]).Get()
		if ok && said.Leader != "" || !ok && !stopped(&s.Nodes[i]) {
			return false
		}
	}
	return len(s.Nodes) > 0
}
