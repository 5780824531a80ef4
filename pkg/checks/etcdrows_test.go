package checks

import (
	"net/netip"

	"github.com/vipctl/vipctl/pkg/cluster"
)

func nameless(list []cluster.Member) []cluster.Member {
	list = learner(list)
	list[len(list)-1].Hostname = ""
	return list
}

func learner(list []cluster.Member) []cluster.Member {
	list[len(list)-1].Learner = true
	return list
}

// etcdRows are for the checks of etcd.
var etcdRows = map[string][]row{
	"etcd-members-agree": {
		{"they do", healthy(3), Pass, "3 nodes list the same 3 members"},
		{"one lists fewer", healthy(3, listed(3, func(l []cluster.Member) []cluster.Member { return l[:2] })), Fail, "cp-1, cp-2 list cp-3, cp-3 does not"},
		{"the order does not matter", healthy(3, listed(3, func(l []cluster.Member) []cluster.Member {
			return []cluster.Member{l[2], l[0], l[1]}
		})), Pass, "3 members"},
		{"one is down", healthy(3, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
		{"two are down", healthy(3, down(2), down(3)), Unknown, "not known of cp-2, cp-3: see nodes-answer; the other one is well"},
		{"a dead address that no member can be on", healthy(3, deadAddress), Pass, "3 nodes list the same 3 members"},
		{"a dead address that may be the node of a member", healthy(3, func(s *cluster.Snapshot) { s.Nodes = s.Nodes[:2] }, deadAddress), Unknown, "not known of 192.0.2.9"},
		{"a node that is no member", healthy(3, everywhere(3, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member { return l[:2] })
		})), Fail, "cp-3: its etcd says that it is member a3, and no such member is listed"},
	},
	"etcd-voters-healthy": {
		{"all are", healthy(3), Pass, "3 voters are healthy"},
		{"one has no leader", healthy(3, etcd(2, func(e *cluster.EtcdStatus) { e.Leader = "" })), Fail, "cp-2: knows of no leader"},
		{"one reports an error", healthy(3, etcd(2, func(e *cluster.EtcdStatus) { e.Errors = []string{"etcdserver: corrupt"} })), Fail, "cp-2: etcdserver: corrupt"},
		{"Talos finds one not healthy", healthy(3, node(2, func(n *cluster.Node) {
			n.Services = cluster.Got([]cluster.Service{{ID: "etcd", HealthKnown: true}})
		})), Fail, "cp-2: Talos finds service etcd not healthy"},
		{"one is a member without a node", healthy(3, func(s *cluster.Snapshot) { s.Nodes = s.Nodes[:2] }), Unknown, "cp-3: no control-plane node of this name"},
		{"one is down", healthy(3, down(2)), Unknown, "not known of cp-2: see nodes-answer; the other 2 are well"},
		{"an election took place between two samples", healthy(3, everywhere(3, func(i int) change {
			return again(i, func(e *cluster.EtcdStatus) { e.Term, e.Leader = 4, "a2" })
		})), Fail, "term 3 -> 4"},
		{"nobody lists the members, and Talos says that etcd does not run", healthy(1, stoppedEtcd(1)), Fail, "cp-1: service etcd does not run: Waiting; the members of etcd are not known"},
		{"nobody lists the members, and nobody tells", healthy(1, down(1)), Unknown, "the members of etcd are not known"},
	},
	"etcd-voters-odd": {
		{"three", healthy(3), Pass, "voters: 3"},
		{"four", healthy(4), Warn, "4 voters bear no more losses than 3"},
		{"a learner does not count", healthy(4, everywhere(4, func(i int) change { return listed(i, learner) })), Pass, "voters: 3"},
		{"not known", healthy(1, down(1)), Unknown, "not known"},
	},
	"etcd-one-leader": {
		{"one", healthy(3), Pass, "leader cp-1 in term 3"},
		{"two", healthy(3, etcd(3, func(e *cluster.EtcdStatus) { e.Leader = "a3" })), Fail, "cp-3 follows a3"},
		{"two terms", healthy(3, etcd(3, func(e *cluster.EtcdStatus) { e.Term = 4 })), Fail, "in term 4"},
		{"none", healthy(3, etcd(3, func(e *cluster.EtcdStatus) { e.Leader = "" })), Fail, "cp-3 knows of no leader"},
		{"one is down", healthy(3, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
	},
	"etcd-no-learner-or-alarm": {
		{"neither", healthy(3), Pass, "no learner, no alarm"},
		{"a learner", healthy(3, everywhere(3, func(i int) change { return listed(i, learner) })), Fail, "cp-3 is a learner"},
		{"a learner that never started has no name", healthy(3, everywhere(3, func(i int) change { return listed(i, nameless) })), Fail, "a3 is a learner"},
		{"an alarm", healthy(3, node(1, func(n *cluster.Node) {
			n.Alarms = cluster.Got([]cluster.Alarm{{MemberID: "a2", Alarm: "NOSPACE"}})
		})), Fail, "alarm NOSPACE of cp-2"},
		{"a member whose data differ", healthy(3, node(1, func(n *cluster.Node) {
			n.Alarms = cluster.Got([]cluster.Alarm{{MemberID: "a2", Alarm: "CORRUPT"}})
		})), Fail, "alarm CORRUPT of cp-2"},
		{"NONE is no alarm", healthy(3, node(1, func(n *cluster.Node) {
			n.Alarms = cluster.Got([]cluster.Alarm{{MemberID: "a2", Alarm: "NONE"}})
		})), Pass, "no learner, no alarm"},
		{"one answer is of all members", healthy(3, down(3)), Pass, "no learner, no alarm"},
		{"nobody lists the alarms, and every member's status tells of none", healthy(3, everywhere(3, unlistedAlarms)), Pass, "no learner, no alarm"},
		{"nobody lists the alarms, and a member's status tells of one", healthy(3, everywhere(3, unlistedAlarms), etcd(2, func(e *cluster.EtcdStatus) {
			e.Alarms = []cluster.Alarm{{MemberID: "a2", Alarm: "NOSPACE"}}
		})), Fail, "alarm NOSPACE of cp-2"},
		{"nobody lists the alarms, and a member tells nothing", healthy(3, everywhere(3, unlistedAlarms), down(3)), Skip, "cp-1: alarms of etcd not known"},
	},
	"etcd-quorum": {
		{"three of three", healthy(3), Pass, "3 of 3 voters are healthy, 2 make a quorum"},
		{"four of five", healthy(5, etcd(5, func(e *cluster.EtcdStatus) { e.Leader = "" })), Pass, "4 of 5 voters"},
		{"two of three", healthy(3, etcd(3, func(e *cluster.EtcdStatus) { e.Leader = "" })), Fail, "cp-1, cp-2 must not be lost"},
		{"two of two", healthy(2), Fail, "must not be lost"},
		{"one", healthy(1), Fail, "must not be lost"},
		{"one of three is down", healthy(3, down(3)), Unknown, "not known whether cp-1, cp-2 may be lost: it hangs on cp-3"},
		{"members not known", healthy(1, down(1)), Unknown, "not known"},
		{"members not known, for no node's etcd runs", healthy(3, everywhere(3, stoppedEtcd), discovered(3)), Fail, "no node's etcd follows a leader"},
		{"nor does the one's that was named, and there may be others", healthy(1, stoppedEtcd(1)), Unknown, "not known"},
	},
	"etcd-not-on-vip": {
		{"it does not", healthy(3), Pass, "192.0.2.50"},
		{"one node does", healthy(3, node(1, func(n *cluster.Node) { n.Advertise = cluster.Got([]netip.Addr{testVIP}) })), Fail, "etcd on cp-1 advertises 192.0.2.50"},
		{"a peer URL does", healthy(3, listed(1, func(l []cluster.Member) []cluster.Member {
			l[1].PeerURLs = []string{"https://192.0.2.50:2380"}
			return l
		})), Fail, "member cp-2 has the URL https://192.0.2.50:2380"},
		{"one is down", healthy(3, down(2)), Unknown, "not known of cp-2: see nodes-answer; the other 2 are well"},
	},
}
