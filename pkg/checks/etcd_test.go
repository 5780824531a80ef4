package checks

import (
	"fmt"
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
			everywhere(3, leaderless), everywhere(3, listless)), "noQuorum 0/0 quorum 0 tolerance 0 leader "},
		{"nobody lists members, one was not asked", healthy(3,
			everywhere(2, leaderless), everywhere(2, listless), down(3)), "unknown 0/0 quorum 0 tolerance 0 leader "},
		{"two leaders", healthy(3, etcd(3, func(e *cluster.EtcdStatus) { e.Leader = "a3" })), "degraded 3/3 quorum 2 tolerance 1 leader "},
		{"a learner", healthy(4, everywhere(4, func(i int) change { return listed(i, learner) })), "degraded 3/3 quorum 2 tolerance 1 leader cp-1"},
		{"an alarm", healthy(3, node(1, func(n *cluster.Node) {
			n.Alarms = cluster.Got([]cluster.Alarm{{MemberID: "a1", Alarm: "CORRUPT"}})
		})), "degraded 3/3 quorum 2 tolerance 1 leader cp-1"},
		{"an alarm that every member's status tells is no lost quorum", healthy(3, everywhere(3, func(i int) change {
			return etcd(i, func(e *cluster.EtcdStatus) { e.Alarms = []cluster.Alarm{{MemberID: "a1", Alarm: "NOSPACE"}} })
		})), "degraded 3/3 quorum 2 tolerance 1 leader cp-1"},
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
