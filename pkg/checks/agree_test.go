package checks

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// twists are what a cluster's etcd may suffer, by what they are called.
var twists = []struct {
	name string
	on   func(i int) change
}{
	{"down", down},
	{"forbidden", forbidden},
	{"leaderless", leaderless},
	{"stopped", stoppedEtcd},
	{"dead address", func(int) change { return deadAddress }},
	{"two leaders", func(i int) change { return etcd(i, func(e *cluster.EtcdStatus) { e.Leader = memberID(i) }) }},
	{"another term", func(i int) change { return etcd(i, func(e *cluster.EtcdStatus) { e.Term = 9 }) }},
	{"an error", func(i int) change { return etcd(i, func(e *cluster.EtcdStatus) { e.Errors = []string{"corrupt"} }) }},
	{"lists one fewer", func(i int) change {
		return listed(i, func(l []cluster.Member) []cluster.Member { return l[:max(0, len(l)-1)] })
	}},
	{"all list one fewer", func(int) change {
		return func(s *cluster.Snapshot) {
			for i := range s.Nodes {
				listed(i+1, func(l []cluster.Member) []cluster.Member { return l[:max(0, len(l)-1)] })(s)
			}
		}
	}},
	{"lists a learner", func(i int) change {
		return listed(i, func(l []cluster.Member) []cluster.Member { return append(l, cluster.Member{ID: "f9", Learner: true}) })
	}},
	{"list not known", func(i int) change {
		return node(i, func(n *cluster.Node) { n.Members = cluster.Missed[[]cluster.Member](errDown) })
	}},
	{"status not known", func(i int) change {
		return node(i, func(n *cluster.Node) { n.Etcd = cluster.Missed[cluster.EtcdStatus](errDown) })
	}},
	{"an alarm", func(i int) change {
		return node(i, func(n *cluster.Node) { n.Alarms = cluster.Got([]cluster.Alarm{{MemberID: "a1", Alarm: "NOSPACE"}}) })
	}},
	{"nobody tells the alarms", func(int) change {
		return func(s *cluster.Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].Alarms = cluster.Missed[[]cluster.Alarm](errRight)
			}
		}
	}},
	{"a URL on the VIP", func(i int) change {
		return listed(i, func(l []cluster.Member) []cluster.Member {
			if len(l) > 0 {
				l[0].PeerURLs = []string{"https://192.0.2.50:2380"}
			}
			return l
		})
	}},
	{"asked twice", func(i int) change { return again(i, grows(10)) }},
	{"a new term the second time", func(i int) change {
		return again(i, func(e *cluster.EtcdStatus) { e.Term += 2 })
	}},
	{"a node not seen", func(int) change {
		return func(s *cluster.Snapshot) { s.Nodes = s.Nodes[:len(s.Nodes)-1] }
	}},
}

// TestEtcdAndDoctorAgree says that vipctl etcd finds etcd healthy just when the
// doctor's checks of what its members are and say all pass. Whether their number
// is odd and bears a loss is not asked: that is the plan, and not its health.
func TestEtcdAndDoctorAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	healths := map[bool]int{}
	list, err := Choose(All(), Choice{Only: []string{
		"etcd-members-agree", "etcd-voters-healthy", "etcd-one-leader", "etcd-no-learner-or-alarm", "etcd-not-on-vip",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		s := healthy(1 + rng.IntN(5))
		var done []string
		for range rng.IntN(4) {
			if len(s.Nodes) == 0 {
				break
			}
			twist, i := twists[rng.IntN(len(twists))], 1+rng.IntN(len(s.Nodes))
			twist.on(i)(s)
			done = append(done, fmt.Sprintf("%s %d", twist.name, i))
		}
		state := EtcdVerdict(s)
		bad := ""
		for _, r := range Run(s, list) {
			if r.Status == Fail || r.Status != Pass && r.ID != "etcd-not-on-vip" {
				bad += fmt.Sprintf("%s = %v %s\n", r.ID, r.Status, r.Message)
			}
		}
		healths[state.Health == EtcdHealthy]++
		if (state.Health == EtcdHealthy) != (bad == "") {
			t.Errorf("%d nodes with %s: EtcdVerdict = %v for %q, and the doctor finds\n%s",
				len(s.Nodes), strings.Join(done, ", "), state.Health, state.Reasons, bad)
		}
	}
	if healths[true] < 100 || healths[false] < 200 {
		t.Errorf("the clusters were healthy %d times, and %d times not; want both often", healths[true], healths[false])
	}
}
