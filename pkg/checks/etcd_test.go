package checks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/cluster"
)

func leaderless(i int) change { return etcd(i, func(e *cluster.EtcdStatus) { e.Leader = "" }) }

func TestEtcdVerdict(t *testing.T) {
	listless := func(i int) change {
		return node(i, func(n *cluster.Node) { n.Members = cluster.Missed[[]cluster.Member](errDown) })
	}
	for _, tt := range []struct {
		name string
		s    *cluster.Snapshot
		want string // health, healthy/voters, quorum, tolerance, leader
	}{
		{"three healthy", healthy(3), "healthy 3/3 quorum 2 tolerance 1 leader cp-1"},
		{"five healthy", healthy(5), "healthy 5/5 quorum 3 tolerance 2 leader cp-1"},
		{"one of one", healthy(1), "healthy 1/1 quorum 1 tolerance 0 leader cp-1"},
		{"one without a leader", healthy(3, leaderless(3)), "degraded 2/3 quorum 2 tolerance 0 leader cp-1"},
		{"one down", healthy(3, down(3)), "degraded 2/3 quorum 2 tolerance 0 leader cp-1"},
		{"the lists' first is down", healthy(3, down(1)), "degraded 2/3 quorum 2 tolerance 0 leader cp-1"},
		{"two down may still have a quorum", healthy(3, down(2), down(3)), "unknown 1/3 quorum 2 tolerance 0 leader cp-1"},
		{"two without a leader", healthy(3, leaderless(2), leaderless(3)), "noQuorum 1/3 quorum 2 tolerance 0 leader cp-1"},
		{"nobody lists members, nobody has a leader", healthy(3,
			everywhere(3, leaderless), everywhere(3, listless), discovered(3)), "noQuorum 0/0 quorum 0 tolerance 0 leader "},
		{"nobody lists members, one was not asked", healthy(3,
			everywhere(2, leaderless), everywhere(2, listless), down(3), discovered(3)), "unknown 0/0 quorum 0 tolerance 0 leader "},
		{"nobody lists members, one has no leader and Talos has the others stopped", healthy(3, leaderless(1), listless(1),
			stoppedEtcd(2), stoppedEtcd(3), discovered(3)), "noQuorum 0/0 quorum 0 tolerance 0 leader "},
		{"etcd is stopped on the one node that was named, and there may be others", healthy(1, stoppedEtcd(1), discovered(1)), "unknown 0/0 quorum 0 tolerance 0 leader "},
		{"two are stopped", healthy(3, stoppedEtcd(2), stoppedEtcd(3)), "noQuorum 1/3 quorum 2 tolerance 0 leader cp-1"},
		{"one answered at first, and fell silent: it may be gone", healthy(3, again(1, grows(1)), again(2, grows(1)), silentLater(3)), "degraded 2/3 quorum 2 tolerance 0 leader cp-1"},
		{"two fell silent: the quorum may be gone", healthy(3, again(1, grows(1)), silentLater(2), silentLater(3)), "unknown 1/3 quorum 2 tolerance 0 leader cp-1"},
		{"two leaders", healthy(3, etcd(3, func(e *cluster.EtcdStatus) { e.Leader = "a3" })), "degraded 3/3 quorum 2 tolerance 1 leader "},
		{"a learner", healthy(4, everywhere(4, func(i int) change { return listed(i, learner) })), "degraded 3/3 quorum 2 tolerance 1 leader cp-1"},
		{"an alarm", healthy(3, node(1, func(n *cluster.Node) {
			n.Alarms = cluster.Got([]cluster.Alarm{{MemberID: "a1", Alarm: "CORRUPT"}})
		})), "degraded 3/3 quorum 2 tolerance 1 leader cp-1"},
		{"an alarm that every member's status tells is no lost quorum", healthy(3, everywhere(3, func(i int) change {
			return etcd(i, func(e *cluster.EtcdStatus) { e.Alarms = []cluster.Alarm{{MemberID: "a1", Alarm: "NOSPACE"}} })
		})), "degraded 3/3 quorum 2 tolerance 1 leader cp-1"},
		{"nobody lists the alarms, and every member's status tells of none", healthy(3, everywhere(3, unlistedAlarms)), "healthy 3/3 quorum 2 tolerance 1 leader cp-1"},
		{"the leader is silent, and a node that was bootstrapped by mistake leads itself", healthy(4, down(1), bootstrapped(4), everywhere(3, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member { return l[:min(3, len(l))] })
		}), down(1)), "degraded 2/3 quorum 2 tolerance 0 leader cp-1"},
		{"two that each lead themselves, and two that follow one of them", healthy(4, bootstrapped(1), everywhere(4, func(i int) change {
			return etcd(i, func(e *cluster.EtcdStatus) {
				if i > 1 {
					e.Leader = "a2"
				}
			})
		}), everywhere(4, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member { return l[max(0, len(l)-3):] })
		})), "degraded 3/3 quorum 2 tolerance 1 leader cp-2"},
		{"the leader's list counts, whatever more of the others list", healthy(3, listed(2, func(l []cluster.Member) []cluster.Member { return l[:2] }),
			listed(3, func(l []cluster.Member) []cluster.Member { return l[:2] })), "degraded 3/3 quorum 2 tolerance 1 leader cp-1"},
		{"two of five follow nobody, and the three that were not seen may have a quorum", healthy(5, everywhere(2, leaderless), func(s *cluster.Snapshot) { s.Nodes = s.Nodes[:2] }),
			"unknown 0/5 quorum 3 tolerance 0 leader "},
		{"nothing", &cluster.Snapshot{}, "unknown 0/0 quorum 0 tolerance 0 leader "},
	} {
		e := EtcdVerdict(tt.s)
		got := fmt.Sprintf("%v %d/%d quorum %d tolerance %d leader %s", e.Health, e.Healthy, e.Voters, e.Quorum, e.Tolerance, e.Leader)
		if got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
		if (len(e.Reasons) == 0) != (e.Health == EtcdHealthy) {
			t.Errorf("%s: %v for reasons %q", tt.name, e.Health, e.Reasons)
		}
	}
}

// bootstrapped makes a node's etcd a cluster of its own, of which it is the only
// member, in the same term and with a longer log.
func bootstrapped(i int) change {
	return node(i, func(n *cluster.Node) {
		n.Members = cluster.Got([]cluster.Member{{ID: "ff", Hostname: n.Name}})
		n.Etcd = cluster.Got(cluster.EtcdStatus{MemberID: "ff", Leader: "ff", Term: 7, Index: 5000, AppliedIndex: 5000})
	})
}

// again gives a node its second sample.
func again(i int, change func(*cluster.EtcdStatus)) change {
	return func(s *cluster.Snapshot) {
		s.EtcdLaterAfter = 1
		said := s.Nodes[i-1].Etcd.Value()
		change(&said)
		s.Nodes[i-1].EtcdLater = cluster.Got(said)
	}
}

// silentLater has a node not answer the second time.
func silentLater(i int) change {
	return node(i, func(n *cluster.Node) { n.EtcdLater = cluster.Missed[cluster.EtcdStatus](errDown) })
}

func grows(by uint64) func(*cluster.EtcdStatus) {
	return func(e *cluster.EtcdStatus) { e.Index += by; e.AppliedIndex += by }
}

func stoppedEtcd(i int) change {
	return node(i, func(n *cluster.Node) {
		n.Etcd, n.Members = cluster.Missed[cluster.EtcdStatus](errDown), cluster.Missed[[]cluster.Member](errDown)
		n.Services = cluster.Got([]cluster.Service{{ID: "etcd", State: "Waiting"}})
	})
}

// discovered lets discovery on the first node name so many control-plane nodes.
func discovered(nodes int) change {
	return node(1, func(n *cluster.Node) {
		var known []cluster.PeerAddress
		for i := range nodes {
			known = append(known, cluster.PeerAddress{Hostname: fmt.Sprintf("cp-%d", i+1), ControlPlane: true})
		}
		n.Discovery = cluster.Got(known)
	})
}

func database(size, inUse int64) func(*cluster.EtcdStatus) {
	return func(e *cluster.EtcdStatus) { e.DBSize, e.DBInUse = size<<20, inUse<<20 }
}

func TestEtcdReasonsAndNotes(t *testing.T) {
	const apart = "cp-3: the etcd of its node says that it is another member, ff; " +
		"cp-3: its etcd says that it is member ff, and no such member is listed: it was removed, or belongs to another cluster; " +
		"cp-1, cp-2 list cp-1, cp-3 does not; cp-1, cp-2 list cp-2, cp-3 does not; cp-1, cp-2 list cp-3, cp-3 does not; cp-3 lists cp-3, cp-1, cp-2 do not; "
	rejoined := func(l []cluster.Member) []cluster.Member { // cp-3 under another ID
		l[2].ID = "b3"
		return l
	}
	for _, tt := range []struct {
		name    string
		s       *cluster.Snapshot
		health  EtcdHealth
		reasons string // joined by "; "; none must be left out
		notes   string // what they are about
	}{
		{"all is well", healthy(3, everywhere(3, func(i int) change { return again(i, grows(40)) })), EtcdHealthy, "", "leaderOwnsVIP"},
		{"one lists fewer", healthy(3, listed(3, func(l []cluster.Member) []cluster.Member { return l[:2] })), EtcdDegraded,
			"cp-1, cp-2 list cp-3, cp-3 does not", "leaderOwnsVIP"},
		{"one lists a voter that is a learner to the others", healthy(3, listed(3, learner)), EtcdDegraded,
			"cp-3 lists cp-3 as learner, cp-1, cp-2 do not; cp-1, cp-2 list cp-3 as voter, cp-3 does not", "leaderOwnsVIP"},
		{"a peer URL that only one lists", healthy(3, listed(2, func(l []cluster.Member) []cluster.Member {
			l[0].PeerURLs = []string{"https://192.0.2.1:2380", "https://192.0.2.9:2380"}
			return l
		})), EtcdDegraded, "cp-2 lists cp-1 as peer URL https://192.0.2.9:2380, cp-1, cp-3 do not", "leaderOwnsVIP"},
		{"what a node lists whose own etcd is down is another's list", healthy(3, node(3, func(n *cluster.Node) {
			n.Etcd = cluster.Missed[cluster.EtcdStatus](errDown)
			n.Members = cluster.Got(n.Members.Value()[:2])
		})), EtcdDegraded, "cp-3: status not known: context deadline exceeded", ""},
		{"who else may have a quorum is not known", healthy(1, stoppedEtcd(1), discovered(1)), EtcdUnknown,
			"cp-1: service etcd does not run: Waiting; no node lists the members; which other control-plane nodes there are is not known: discovery names none, and etcd's members are not known: context deadline exceeded", ""},
		{"no node lists the members: what each says is told", healthy(3, down(3), leaderless(1), node(1, func(n *cluster.Node) {
			n.Members = cluster.Missed[[]cluster.Member](errDown)
		}), stoppedEtcd(2), discovered(3)), EtcdUnknown, "cp-1 knows of no leader; cp-2: service etcd does not run: Waiting; cp-3 does not answer; no node lists the members", "silentNodes"},
		{"etcd hangs, and its node does not", healthy(3, node(3, func(n *cluster.Node) {
			n.Etcd = cluster.Missed[cluster.EtcdStatus](errors.New("no answer from 192.0.2.3:50000 within 1 s"))
		})), EtcdDegraded, "cp-3: status not known: the node answers, and etcd on it does not", ""},
		{"a member that was removed goes on", healthy(3, everywhere(3, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member { return l[:2] })
		})), EtcdDegraded, "cp-3: its etcd says that it is member a3, and no such member is listed: it was removed, or belongs to another cluster", "evenVoters"},
		{"a node without a member", healthy(3, stoppedEtcd(3), everywhere(2, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member { return l[:2] })
		})), EtcdDegraded, "cp-3: no member of etcd is on this control-plane node: context deadline exceeded", "evenVoters"},
		{"a silent address that nobody lists", healthy(3, down(3), everywhere(2, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member { return l[:2] })
		})), EtcdHealthy, "", "evenVoters elsewhere"},
		{"the node rejoined, and another member of that name is listed", healthy(3, everywhere(3, func(i int) change { return listed(i, rejoined) })), EtcdDegraded,
			"cp-3: the etcd of its node says that it is another member, a3; cp-3: its etcd says that it is member a3, and no such member is listed: it was removed, or belongs to another cluster", ""},
		{"a member that never started", healthy(3, everywhere(3, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member { return append(l, cluster.Member{ID: "f9", Learner: true}) })
		})), EtcdDegraded, "f9: was added and never started; f9 is a learner and does not vote", "leaderOwnsVIP"},
		{"a URL holds the VIP", healthy(3, everywhere(3, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member {
				l[1].ClientURLs = []string{"https://192.0.2.50:2379"}
				return l
			})
		})), EtcdDegraded, "member cp-2 has the URL https://192.0.2.50:2379", "leaderOwnsVIP"},
		{"an election while we looked", healthy(3, everywhere(3, func(i int) change {
			return again(i, func(e *cluster.EtcdStatus) { e.Term, e.Leader = 4, "a2" })
		})), EtcdDegraded, "an election took place while we looked: term 3 -> 4", ""},
		{"an election in one of two clusters of etcd, of which the other's term is higher", healthy(3, bootstrapped(3), again(3, grows(0)), again(1, func(e *cluster.EtcdStatus) { e.Term, e.Leader = 4, "a2" }),
			again(2, func(e *cluster.EtcdStatus) { e.Term, e.Leader = 4, "a2" })), EtcdDegraded,
			apart + "cp-1 follows a2 in term 4, cp-3 follows ff in term 7; an election took place while we looked: term 3 -> 4", ""},
		{"another cluster's log is no measure of this one's", healthy(3, bootstrapped(3), everywhere(3, func(i int) change { return again(i, grows(0)) })), EtcdDegraded,
			apart + "cp-1 follows a1 in term 3, cp-3 follows ff in term 7", ""},
		{"two nodes that say they are one member", healthy(3, etcd(3, func(e *cluster.EtcdStatus) { e.MemberID = "a2" })), EtcdDegraded,
			"cp-3: the etcd of its node says that it is another member, a2; cp-3: its etcd says that it is member a2, and so does that of cp-2: one machine under two names, or a copied disk", ""},
		{"a log that stands still", healthy(3, again(1, grows(40)), again(2, grows(40)), etcd(3, func(e *cluster.EtcdStatus) { e.Index = 700 }), again(3, grows(0))), EtcdDegraded,
			"cp-3: its log stands still at entry 700, and another was at 900 already 1 s before", "leaderOwnsVIP"},
		{"a log that catches up", healthy(3, again(1, grows(40)), again(2, grows(40)), etcd(3, func(e *cluster.EtcdStatus) { e.Index = 700 }), again(3, grows(50))), EtcdHealthy, "", "behind leaderOwnsVIP"},
		{"one that is asked a little earlier is not behind", healthy(3, again(1, grows(40)), again(2, grows(40)), again(3, grows(10))), EtcdHealthy, "", "leaderOwnsVIP"},
		{"a member that loses its leader between the samples", healthy(3, again(1, grows(1)), again(2, grows(1)), again(3, func(e *cluster.EtcdStatus) { e.Leader = "" })), EtcdDegraded,
			"cp-3 knows of no leader", ""},
		{"a member that goes silent between the samples", healthy(3, again(1, grows(1)), again(2, grows(1)), silentLater(3)), EtcdDegraded, "cp-3: etcd answered at first, and 1 s later: context deadline exceeded", ""},
		{"a member that applies too late to serve", healthy(3, etcd(2, func(e *cluster.EtcdStatus) { e.Index = 6000 })), EtcdDegraded,
			"cp-2: has not applied 5100 entries, and refuses requests", ""},
		{"nobody lists the alarms", healthy(3, everywhere(3, unlistedAlarms)), EtcdHealthy, "", "alarmsNotListed leaderOwnsVIP"},
		{"a node that is read through another", healthy(3, node(2, func(n *cluster.Node) { n.Via, n.ViaReason = "192.0.2.1", "its certificate expired on 2026-11-20" })), EtcdHealthy, "", "readVia leaderOwnsVIP"},
		{"nodes that a proxy alone leads to, as was asked for", healthy(3, everywhere(3, func(i int) change { return node(i, func(n *cluster.Node) { n.Via = "proxy.example" }) })), EtcdHealthy, "", "leaderOwnsVIP"},
		{"nodes of which a proxy says why it reads one through another", healthy(3, node(2, func(n *cluster.Node) { n.Via, n.ViaReason = "192.0.2.1", "no answer" }), func(s *cluster.Snapshot) { s.Forwarded = true }),
			EtcdHealthy, "", "leaderOwnsVIP"},
		{"no member's status is told: no alarms are the least of it", healthy(1, forbidden(1)), EtcdUnknown,
			"no node lists the members; which other control-plane nodes there are is not known: discovery names none, and etcd's members are not known: " + errRight.Error(), ""},
		{"four voters", healthy(4), EtcdHealthy, "", "evenVoters leaderOwnsVIP"},
		{"versions of etcd differ", healthy(3, etcd(1, func(e *cluster.EtcdStatus) { e.Version = "3.5.9" }), etcd(2, func(e *cluster.EtcdStatus) { e.Version = "3.6.12" })), EtcdHealthy, "", "etcdVersions leaderOwnsVIP"},
		{"versions of Talos differ", healthy(3, node(2, func(n *cluster.Node) { n.Version = cluster.Got(cluster.Version{Tag: "v1.14.0"}) })), EtcdHealthy, "", "talosVersions leaderOwnsVIP"},
		{"a database that is mostly free", healthy(3, etcd(1, database(500, 200))), EtcdHealthy, "", "fragmentation leaderOwnsVIP"},
		{"one that is small and mostly free", healthy(3, etcd(1, database(100, 20))), EtcdHealthy, "", "leaderOwnsVIP"},
		{"a database near the quota", healthy(3, etcd(1, database(1700, 1600))), EtcdHealthy, "", "databaseSize leaderOwnsVIP"},
		{"the owner does not lead", healthy(3, everywhere(3, func(i int) change { return etcd(i, func(e *cluster.EtcdStatus) { e.Leader = "a2" }) })), EtcdHealthy, "", ""},
	} {
		e := EtcdVerdict(tt.s)
		var about []string
		for _, n := range append(e.Notes, e.LeaderOwnerNotes(0)...) {
			about = append(about, n.About)
		}
		if got := strings.Join(e.Reasons, "; "); e.Health != tt.health || got != tt.reasons {
			t.Errorf("%s: EtcdVerdict = %v for %q; want %v for %q", tt.name, e.Health, got, tt.health, tt.reasons)
		}
		if got := strings.Join(about, " "); got != tt.notes {
			t.Errorf("%s: notes on %q; want %q", tt.name, got, tt.notes)
		}
	}
}

// TestNotesNameTheirNodes: what a note says is of a node, and its hint is for it.
func TestNotesNameTheirNodes(t *testing.T) {
	older := etcd(1, func(e *cluster.EtcdStatus) { e.Version = "3.5.9" })
	newer := etcd(2, func(e *cluster.EtcdStatus) { e.Version = "3.6.12" })
	for _, tt := range []struct {
		name, about, message, hint string
		s                          *cluster.Snapshot
	}{
		{"a silent node lists no alarms, and is no reason", "alarmsNotListed", "(cp-2: " + errRight.Error() + ")", "", healthy(3, everywhere(3, unlistedAlarms), down(1))},
		{"versions of etcd that one Talos does not bring", "etcdVersions", "3.5.9 on cp-1; 3.6.12 on cp-2", "talosctl -n 192.0.2.1,192.0.2.2,192.0.2.3 get etcdspecs", healthy(3, older, newer)},
		{"those that two releases of Talos bring", "etcdVersions", "3.5.9 on cp-1", "talosctl -n 192.0.2.1 upgrade", healthy(3, older, newer, runs(1, "v1.13.8"))},
		{"a node that is read through another", "readVia", "cp-2 was read through 192.0.2.1: no answer", "port 50000", healthy(3, node(2, func(n *cluster.Node) { n.Via, n.ViaReason = "192.0.2.1", "no answer" }))},
	} {
		notes := EtcdVerdict(tt.s).Notes
		i := slices.IndexFunc(notes, func(n EtcdNote) bool { return n.About == tt.about })
		if i < 0 || !strings.Contains(notes[i].Message, tt.message) || !strings.Contains(notes[i].Hint, tt.hint) {
			t.Errorf("%s: notes %+v; want one on %s, with %q and the hint %q", tt.name, notes, tt.about, tt.message, tt.hint)
		}
	}
}

func TestLeaderOwnerNote(t *testing.T) {
	e := EtcdVerdict(healthy(3))
	want := "cp-1 leads etcd and owns 192.0.2.50: a crash takes 61.8 - 65.5 s instead of 39.5 - 60.5 s"
	if notes := e.LeaderOwnerNotes(0); len(notes) != 1 || notes[0].Message != want {
		t.Errorf("LeaderOwnerNotes(0) = %+v; want %q", notes, want)
	}
	hint := "talosctl -n 192.0.2.1 etcd forfeit-leadership moves the leadership, and the VIP stays" // talosctl need not know a name
	if notes := e.LeaderOwnerNotes(0); len(notes) != 1 || notes[0].Hint != hint {
		t.Errorf("LeaderOwnerNotes(0) = %+v; want the hint %q", notes, hint)
	}
	e = EtcdVerdict(healthy(3, down(3))) // the crash may take the quorum
	if notes := e.LeaderOwnerNotes(0); len(notes) > 0 {
		t.Errorf("LeaderOwnerNotes(0) of 3 voters, one of them silent = %+v; want none", notes)
	}
	for _, voters := range []int{1, 2} { // the crash takes the quorum, and nobody takes over
		e := EtcdVerdict(healthy(voters))
		if notes := e.LeaderOwnerNotes(0); len(notes) > 0 {
			t.Errorf("LeaderOwnerNotes(0) of %d voters = %+v; want none", voters, notes)
		}
	}
}

func TestWithout(t *testing.T) {
	for _, tt := range []struct {
		name    string
		s       *cluster.Snapshot
		without string
		want    string // names, quorum, healthy/needed, silent, tolerance, leader, VIPs
	}{
		{"a node by name", healthy(3), "cp-2", "cp-2 pass 2/2 silent 0 tolerance 0 leader false"},
		{"the same by address and by ID", healthy(3), "192.0.2.2 a2 cp-2", "cp-2 pass 2/2 silent 0 tolerance 0 leader false"},
		{"the leader, which owns the VIP", healthy(3), "cp-1", "cp-1 pass 2/2 silent 0 tolerance 0 leader true 192.0.2.50 leader"},
		{"two of three", healthy(3), "cp-2 cp-3", "cp-2,cp-3 fail 1/2 silent 0 tolerance 0 leader false"},
		{"one of five", healthy(5), "cp-5", "cp-5 pass 4/3 silent 0 tolerance 1 leader false"},
		{"another than the silent one", healthy(3, down(3)), "cp-2", "cp-2 unknown 1/2 silent 1 tolerance 0 leader false"},
		{"the owner and the leader, who are two", healthy(5, everywhere(5, func(i int) change {
			return etcd(i, func(e *cluster.EtcdStatus) { e.Leader = "a2" })
		})), "cp-1 cp-2", "cp-1,cp-2 pass 3/3 silent 0 tolerance 0 leader true 192.0.2.50 leader"},
		{"a member that no node is known of", healthy(3, func(s *cluster.Snapshot) { s.Nodes = s.Nodes[:2] }), "192.0.2.3", "a3 pass 2/2 silent 0 tolerance 0 leader false"},
		{"nothing is known of the members", healthy(3, everywhere(3, down)), "cp-1", "cp-1 unknown 0/0 silent 0 tolerance 0 leader false"},
		{"a node whose member is listed under another node's name", healthy(3, everywhere(3, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member {
				l[1].Hostname, l[2].Hostname = l[2].Hostname, l[1].Hostname
				return l
			})
		})), "cp-2", "cp-2 pass 2/2 silent 0 tolerance 0 leader false"},
		{"a host name that two nodes have", healthy(3, sameName), "cp-1",
			"unknown node or member of etcd \"cp-1\": one of cp-1 (192.0.2.1:50000), cp-1 (192.0.2.2:50000), cp-3"},
		{"one of two nodes of one host name, by its address", healthy(3, sameName), "192.0.2.2", "cp-1 (192.0.2.2:50000) pass 2/2 silent 0 tolerance 0 leader false"},
		{"a stranger", healthy(3), "cp-9", "unknown node or member of etcd \"cp-9\": one of cp-1, cp-2, cp-3"},
		{"the VIP is nobody's name", healthy(3), "192.0.2.50", "unknown node or member of etcd \"192.0.2.50\": one of cp-1, cp-2, cp-3"},
		{"nor is the empty one", healthy(3, down(3)), ",", "unknown node or member of etcd \"\": one of cp-1, cp-2, cp-3"},
	} {
		e := EtcdVerdict(tt.s)
		loss, err := e.Without(tt.s, strings.Fields(strings.ReplaceAll(tt.without, ",", " "))...)
		if tt.without == "," {
			loss, err = e.Without(tt.s, "")
		}
		got := fmt.Sprintf("%s %v %d/%d silent %d tolerance %d leader %t", strings.Join(loss.Names, ","), loss.Quorum, loss.Healthy, loss.Needed, loss.Silent, loss.Tolerance, loss.Leader)
		for _, v := range loss.VIPs {
			got += fmt.Sprintf(" %s %s", v.VIP, v.Leadership)
		}
		if unknown, ok := errors.AsType[*UnknownNameError](err); ok {
			got = unknown.Error() + ": " + unknown.Hint()
		}
		if got != tt.want {
			t.Errorf("%s: Without(%s) = %s; want %s", tt.name, tt.without, got, tt.want)
		}
	}
}

// sameName calls the second node by the first's host name.
func sameName(s *cluster.Snapshot) {
	for i := range 2 {
		s.Nodes[i].Hostname = cluster.Got("cp-1")
		s.Nodes[i].Name = fmt.Sprintf("cp-1 (192.0.2.%d:50000)", i+1)
	}
	for i := range s.Nodes {
		listed(i+1, func(l []cluster.Member) []cluster.Member {
			l[1].Hostname = "cp-1"
			return l
		})(s)
	}
}

func TestIndispensable(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    *cluster.Snapshot
		want string // indispensable | doubtful
	}{
		{"three of three", healthy(3), "|"},
		{"two of three", healthy(3, leaderless(3)), "cp-1,cp-2|"},
		{"two of three, and one is silent", healthy(3, down(3)), "|cp-1,cp-2"},
		{"without a quorum there is nothing left to lose", healthy(3, leaderless(2), leaderless(3)), "|"},
		{"one", healthy(1), "cp-1|"},
	} {
		e := EtcdVerdict(tt.s)
		if got := strings.Join(e.Indispensable, ",") + "|" + strings.Join(e.Doubtful, ","); got != tt.want {
			t.Errorf("%s: indispensable|doubtful = %s; want %s", tt.name, got, tt.want)
		}
	}
}

func TestSurvives(t *testing.T) {
	for _, tt := range []struct {
		name    string
		s       *cluster.Snapshot
		without []string
		want    Status
	}{
		{"three without one", healthy(3), []string{"cp-2"}, Pass},
		{"three without two", healthy(3), []string{"cp-2", "cp-3"}, Fail},
		{"five without two", healthy(5), []string{"cp-2", "cp-3"}, Pass},
		{"three, one down, without the one that is down", healthy(3, down(3)), []string{"cp-3"}, Pass},
		{"three, one down, without another", healthy(3, down(3)), []string{"cp-2"}, Unknown},
		{"three, one broken, without another", healthy(3, leaderless(3)), []string{"cp-2"}, Fail},
		{"nothing known", &cluster.Snapshot{}, nil, Unknown},
	} {
		e := EtcdVerdict(tt.s)
		if got := e.Survives(tt.without...); got != tt.want {
			t.Errorf("%s: Survives(%q) = %v; want %v", tt.name, tt.without, got, tt.want)
		}
	}
}

// Who was heard once told a term, whatever became of the second question.
func TestTermOfThoseHeardOnce(t *testing.T) {
	s := healthy(3, everywhere(3, silentLater))
	s.EtcdLaterAfter = 0.025
	got := EtcdVerdict(s)
	if r := got.Stability; r == nil || r.TermBefore != s.Nodes[0].Etcd.Value().Term || r.TermAfter != 0 {
		t.Errorf("Stability = %+v; want the term of the first sample, and none of the second", r)
	}
	if want := "cp-1: etcd answered at first, and 0.025 s later: " + errDown.Error(); !slices.Contains(got.Reasons, want) {
		t.Errorf("Reasons = %q; want %q among them", got.Reasons, want)
	}
}
