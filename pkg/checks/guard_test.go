package checks

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

func TestGuard(t *testing.T) {
	aim := Aim{VIP: testVIP, Target: "cp-1", Owner: "cp-1"}
	for _, tt := range []struct {
		name string
		s    *cluster.Snapshot
		aim  Aim
		want string // a part of an objection, "" for none
	}{
		{"a healthy cluster", healthy(3), aim, ""},
		{"another target, chosen by hand", healthy(3), Aim{VIP: testVIP, Target: "cp-2"}, ""},
		{"five nodes, one voter down, as the others bear two losses", healthy(5, down(5)), aim, "cp-5 (192.0.2.5) does not answer"},
		{"a node is down", healthy(3, down(3)), aim, "etcd may lose its quorum without cp-1"},
		{"a node is rebooting", healthy(3, node(2, func(n *cluster.Node) { n.Stage = cluster.Got(cluster.Stage{Stage: "rebooting"}) })), aim, "cp-2 is rebooting"},
		{"a voter has no leader", healthy(3, leaderless(3)), aim, "etcd loses its quorum without cp-1"},
		{"two voters", healthy(2), aim, "etcd has 2 voters, and a drill needs 3"},
		{"two leaders", healthy(3, etcd(3, func(e *cluster.EtcdStatus) { e.Leader = "a3" })), aim, "follows a3"},
		{"a learner", healthy(4, everywhere(4, func(i int) change { return listed(i, learner) })), aim, "is a learner"},
		{"alarms not known", healthy(3, everywhere(3, unlistedAlarms), node(3, func(n *cluster.Node) { n.Etcd = cluster.Missed[cluster.EtcdStatus](errRight) })),
			aim, "alarms of etcd not known"},
		{"alarms that every member tells, and no list", healthy(3, everywhere(3, unlistedAlarms)), aim, ""},
		{"no owner", healthy(3, ownerless()), aim, "192.0.2.50 is unowned"},
		{"two owners", healthy(3, carries(3, "192.0.2.50/32", "eth0")), aim, "192.0.2.50 is splitBrain"},
		{"the owner has changed", healthy(3, moved(2)), aim, "192.0.2.50 has moved from cp-1 to cp-2"},
		{"an owner, and a silent node", healthy(3, node(3, func(n *cluster.Node) { n.Addresses = cluster.Missed[[]cluster.Address](errDown) })), aim, "cp-3 is silent"},
		{"an owner, and the VIP's server is silent, which hides no owner", healthy(3, onVIP(cluster.Got(cluster.APIServer{Error: "no answer"}))), aim, ""},
		{"another node's server answers on the VIP", healthy(3, onVIP(cluster.Got(apiServer(2, 401)))), aim, "192.0.2.50 is disputed: answered elsewhere"},
		{"an endpoint is the VIP", healthy(3, func(s *cluster.Snapshot) {
			s.Endpoints = []cluster.Endpoint{{Name: "192.0.2.50", Addresses: []netip.Addr{testVIP}}}
		}), aim, "endpoint 192.0.2.50 is the VIP"},
		{"an endpoint's name that is not resolved does no harm", healthy(3, func(s *cluster.Snapshot) {
			s.Endpoints = append(s.Endpoints, cluster.Endpoint{Name: "old.example"})
		}), aim, ""},
		{"a target that is no node", healthy(3), Aim{VIP: testVIP, Target: "cp-9"}, `no control-plane node is called "cp-9"`},
		{"a VIP that is no node's", healthy(3), Aim{VIP: netip.MustParseAddr("192.0.2.77"), Target: "cp-1"}, "192.0.2.77 is unowned"},
		{"boot time not known", healthy(3, node(1, func(n *cluster.Node) { n.BootTime = cluster.Missed[time.Time](errDown) })), aim, "boot time not known"},
		{"nothing known", &cluster.Snapshot{}, aim, "no control-plane node was seen"},
	} {
		expect(t, tt.name, Guard(tt.s, tt.aim), tt.want)
	}
}

func TestWhole(t *testing.T) {
	aim := Aim{VIP: testVIP, Target: "cp-1", Owner: "cp-1"}
	after := func(changes ...change) *cluster.Snapshot {
		rebooted := node(1, func(n *cluster.Node) { n.BootTime = cluster.Got(testTime) })
		return healthy(3, append([]change{rebooted, moved(2)}, changes...)...)
	}
	for _, tt := range []struct {
		name    string
		now     *cluster.Snapshot
		reboots bool
		want    string
	}{
		{"rebooted, with another owner", after(), true, ""},
		{"as before, for a fault that does not reboot", healthy(3), false, ""},
		{"as before, for one that does", healthy(3), true, "cp-1 has not booted since 2026-03-01T11:00:00Z"},
		{"the clock stepped by a second, and it has not rebooted", healthy(3, node(1, func(n *cluster.Node) {
			n.BootTime = cluster.Got(testTime.Add(-time.Hour + time.Second))
		})), true, "has not booted"},
		{"boot time not known", after(node(1, func(n *cluster.Node) { n.BootTime = cluster.Missed[time.Time](errDown) })), true, "boot time not known"},
		{"the old owner is down", after(down(1)), true, "cp-1 (192.0.2.1) does not answer"},
		{"no owner", after(onlyCarries(2, "192.0.2.2/24", "eth0"), ownerless()), true, "192.0.2.50 is unowned"},
		{"an apiserver is not ready", after(server(1, apiServer(1, 500))), true, "HTTP 500"},
		{"an apiserver whose readiness is not known", after(node(1, func(n *cluster.Node) {
			n.StaticPod = cluster.Missed[cluster.APIServerPod](errDown)
		})), true, "readiness needs"},
		{"a member came back under another ID", after(everywhere(3, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member { l[0].ID = "b1"; return l })
		})), true, "the members of etcd were cp-1 (a1), cp-2 (a2), cp-3 (a3), and are cp-1 (b1)"},
	} {
		expect(t, tt.name, Whole(tt.now, healthy(3), aim, tt.reboots), tt.want)
	}
}

// expect wants an objection with want in it, or none where want is "".
func expect(t *testing.T, name string, got Objections, want string) {
	t.Helper()
	text := strings.Join(got.Reasons(), "\n")
	if want == "" && len(got) > 0 || !strings.Contains(text, want) {
		t.Errorf("%s: objections\n%s\nwant %q", name, text, want)
	}
	if (got.Err() == nil) != (len(got) == 0) {
		t.Errorf("%s: Err() = %v for %d objections", name, got.Err(), len(got))
	}
}

func TestObjectionsErrHasHint(t *testing.T) {
	err := Objections{{Message: "a"}, {Message: "b", Hint: "do this"}}.Err()
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || hinted.Hint() != "do this" || err.Error() != "a; b" {
		t.Errorf("Err() = %v; want a; b with the hint", err)
	}
}
