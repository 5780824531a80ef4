package checks

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// TestHintsNameWhomToAsk: a hint is read in a hurry, and what it names is typed.
func TestHintsNameWhomToAsk(t *testing.T) {
	unready := node(2, func(n *cluster.Node) { n.Stage = cluster.Got(cluster.Stage{Stage: "running"}) })
	booting := node(3, func(n *cluster.Node) { n.Stage = cluster.Got(cluster.Stage{Stage: "booting"}) })
	dead := node(1, func(n *cluster.Node) { n.APIServer = cluster.Got(cluster.APIServer{Error: "connection refused"}) })
	silent := func(s *cluster.Snapshot) { s.VIPs[0].APIServer = cluster.Got(cluster.APIServer{Error: "no answer"}) }
	alarm := node(1, func(n *cluster.Node) { n.Alarms = cluster.Got([]cluster.Alarm{{Alarm: "NOSPACE", MemberID: "a1"}}) })
	down := func(n *cluster.Node) { n.Reachable = cluster.Missed[bool](errors.New("no route to host")) }
	for _, tt := range []struct {
		name  string
		check func(*cluster.Snapshot) Finding
		s     *cluster.Snapshot
		want  string
		not   string
	}{
		{"nodes that are not ready", nodesReady, healthy(3, unready, booting), "talosctl -n 192.0.2.2,192.0.2.3 get machinestatus", "NODE"},
		{"a node that is read through another", nodesAnswer, healthy(3, node(2, func(n *cluster.Node) { n.Via, n.ViaReason = "192.0.2.1", "no connection comes about" })),
			"from here; meanwhile talosctl -e 192.0.2.1 -n 192.0.2.2 reaches cp-2", "NODE"},
		{"a node in maintenance mode was reached", nodesAnswer, healthy(3, node(2, func(n *cluster.Node) {
			n.Reachable = cluster.Missed[bool](errors.New("the node is in maintenance mode"))
		})),
			"talosctl apply-config --insecure -n 192.0.2.2", "port 50000"},
		{"a node with an old certificate, too", nodesAnswer, healthy(3, node(2, func(n *cluster.Node) { n.Via, n.ViaReason = "192.0.2.1", "its certificate expired on 2026-11-20" })),
			"clocks, this machine's first: a node renews its certificate by itself, and when it boots; meanwhile talosctl -e 192.0.2.1", "port 50000"},
		{"one of them, and one that is silent", nodesAnswer, healthy(3, node(1, down), node(2, func(n *cluster.Node) {
			n.Reachable = cluster.Missed[bool](errors.New("the node is in maintenance mode"))
		})),
			"port 50000 of its own address is open from here; talosctl apply-config", "NODE"},
		{"a node whose etcd is down does not campaign", vipCampaigns, healthy(3, campaigns(2), node(2, func(n *cluster.Node) {
			n.Services = cluster.Got([]cluster.Service{{ID: "etcd", State: "Waiting"}})
		})), "talosctl -n 192.0.2.2 service etcd, and talosctl -n 192.0.2.2 logs etcd", "get links"},
		{"nor does one whose kubelet is down", vipCampaigns, healthy(3, campaigns(2), node(2, func(n *cluster.Node) {
			n.Services = cluster.Got([]cluster.Service{{ID: "etcd", State: "Running"}, {ID: "kubelet", State: "Waiting"}})
		})), "talosctl -n 192.0.2.2 service kubelet, and talosctl -n 192.0.2.2 logs kubelet", "etcd"},
		{"nor does one that boots", vipCampaigns, healthy(3, campaigns(3), booting), "talosctl -n 192.0.2.3 get machinestatus", "get links"},
		{"nor do two whose links are called otherwise", vipCampaigns, healthy(3, campaigns(2), campaigns(3)),
			"talosctl -n 192.0.2.2 get operatorspecs shows to role os:admin; talosctl -n 192.0.2.3 get links", "NODE"},
		{"a dead kube-apiserver", apiServerReady, healthy(3, dead), "talosctl -n 192.0.2.1 containers -k", "NODE"},
		{"another on a node in maintenance mode, where talosctl shows no containers", apiServerReady, healthy(3, dead, node(2, func(n *cluster.Node) {
			*n = cluster.Node{
				Name: n.Name, Addr: n.Addr, Reachable: cluster.Missed[bool](errors.New("the node is in maintenance mode: it has no configuration")),
				APIServer: cluster.Got(cluster.APIServer{Error: "connection refused"}),
			}
		})), "talosctl apply-config --insecure -n 192.0.2.2 -f FILE gives the node its configuration back; talosctl -n 192.0.2.1 containers -k", "192.0.2.2 containers"},
		{"one whose Talos is silent", apiServerReady, healthy(3, node(1, down), dead), "check that the node is on, and that port 50000", "containers"},
		{"a VIP that is silent, for its owner does not serve", vipAnswers, healthy(3, dead, silent), "talosctl -n 192.0.2.1 service kubelet restart hands 192.0.2.50 to the next node, but without quorum (vipctl etcd) to none", "see vip-one-owner"},
		{"a VIP that is silent, while its owner answers", vipAnswers, healthy(3, silent), "port security", "see vip-one-owner"},
		{"a release with a fault: the VIP's owner is upgraded last", vipRelease, healthy(3, everywhere(3, func(i int) change { return runs(i, "v1.13.7") })),
			"talosctl -n 192.0.2.2 upgrade --image INSTALLER:v1.13.8, then talosctl -n 192.0.2.3 upgrade --image INSTALLER:v1.13.8, then talosctl -n 192.0.2.1 upgrade", "in between"},
		{"one line back: there is nothing in between", vipRelease, healthy(1, runs(1, "v1.11.9")), "INSTALLER:v1.12.11", "in between"},
		{"a node without the VIP, not the others", vipConfiguredAlike, healthy(3, node(2, func(n *cluster.Node) { n.VIPs = cluster.Got([]netip.Addr{}) })), "talosctl -n 192.0.2.2 edit machineconfig", "192.0.2.1"},
		{"one with both, two lines back: the later fix counts", vipRelease, healthy(1, runs(1, "v1.10.9")), "INSTALLER:v1.12.11 (INSTALLER is the node's machine.install.image without its tag); no minor release in between may be left out", "v1.11.3"},
		{"one node's kubelet has the VIP", nodeIPNotVIP, healthy(3, node(2, func(n *cluster.Node) { n.NodeIPs = cluster.Got([]netip.Addr{testVIP}) })),
			"(!192.0.2.50/32), in talosctl -n 192.0.2.2 edit machineconfig", "restart the kubelet;"},
		{"etcd advertises it: nobody can restart etcd", etcdNotOnVIP, healthy(3, node(3, func(n *cluster.Node) { n.Advertise = cluster.Got([]netip.Addr{testVIP}) })),
			"in talosctl -n 192.0.2.3 edit machineconfig; then reboot these nodes, one after the other", "service etcd"},
		{"certificates that end are renewed node by node", certificatesLast, healthy(3, expires(1, -time.Hour), expires(2, -time.Hour)),
			"talosctl -n 192.0.2.1 reboot, then talosctl -n 192.0.2.2 reboot", "192.0.2.1,192.0.2.2 reboot"},
		{"a certificate that ends soon, not the others", certificatesLast, healthy(3, expires(2, time.Hour)), "talosctl -n 192.0.2.2 logs controller-runtime", "192.0.2.1"},
		{"a member's URL is the VIP, by everybody's list", etcdNotOnVIP, healthy(3, everywhere(3, func(i int) change {
			return listed(i, func(l []cluster.Member) []cluster.Member {
				l[1].PeerURLs = []string{"https://192.0.2.50:2380"}
				return l
			})
		})), "talosctl -n 192.0.2.2 edit machineconfig", "192.0.2.1"},
		{"an IPv6 VIP is left out as one address", nodeIPNotVIP, healthy(1, node(1, func(n *cluster.Node) { n.NodeIPs = cluster.Got([]netip.Addr{testVIP6}) }), func(s *cluster.Snapshot) { s.VIPs[0].Addr = testVIP6 }),
			"(!2001:db8::50/128)", "/32"},
		{"a clock that is off, not the one it is compared with", clocksAgree, healthy(3, clock(3, 5, 0.02)), "talosctl -n 192.0.2.3 get timestatus", "192.0.2.2"},
		{"a voter that is down, not the others", votersHealthy, healthy(3, leaderless(2)), "talosctl -n 192.0.2.2 service etcd", "192.0.2.1"},
		{"the etcd of the only node that was named", votersHealthy, healthy(1, stoppedEtcd(1)), "talosctl -n 192.0.2.1 service etcd, and talosctl -n 192.0.2.1 logs etcd", "NODE"},
		{"an election blames nobody", votersHealthy, healthy(3, again(1, func(e *cluster.EtcdStatus) { e.Term++ })), "talosctl -n 192.0.2.1,192.0.2.2,192.0.2.3 logs etcd", "NODE"},
		{"the VIP as an endpoint", endpointNotVIP, healthy(3, func(s *cluster.Snapshot) {
			s.Context = "lab"
			s.Endpoints[0] = cluster.Endpoint{Name: testVIP.String(), Addresses: []netip.Addr{testVIP}}
		}), "talosctl --context lab config endpoint 192.0.2.1 192.0.2.2 192.0.2.3", "ADDRESS"},
		{"the VIP as an endpoint, and no node's address is known", endpointNotVIP, &cluster.Snapshot{
			VIPs: []cluster.VIP{{Addr: testVIP}}, Nodes: []cluster.Node{{Name: "cp-1"}, {Name: "vip", Addr: testVIP}},
			Endpoints: []cluster.Endpoint{{Name: testVIP.String(), Addresses: []netip.Addr{testVIP}}},
		}, "talosctl config endpoint ADDRESS...", testVIP.String()},
		{"two minor releases apart: none may be left out", versionsAlike, healthy(3, runs(2, "v1.11.9")), "talosctl -n 192.0.2.2 upgrade --image INSTALLER:v1.13.9 (INSTALLER is the node's machine.install.image without its tag); no minor release in between", "192.0.2.1"},
		{"the newest is a build of its own, which has no installer", versionsAlike, healthy(3, runs(2, "v1.14.0-alpha.0-35-gabcdef0")), "finish the upgrade", "INSTALLER"},
		{"the newest is a release as well as a build of it", versionsAlike, healthy(4, runs(1, "v1.13.9-dirty"), runs(3, "v1.13.9-dirty"), runs(4, "v1.13.8")), "talosctl -n 192.0.2.4 upgrade --image INSTALLER:v1.13.9", "192.0.2.1"},
		{"the middle of an upgrade: who is behind", versionsAlike, healthy(3, runs(2, "v1.13.8")), "talosctl -n 192.0.2.2 upgrade --image INSTALLER:v1.13.9", "192.0.2.1"},
		{"two of one name: the later one", hostnamesDiffer, healthy(3, node(3, func(n *cluster.Node) { n.Hostname = cluster.Got("cp-1") })), "talosctl -n 192.0.2.3 edit machineconfig", "192.0.2.1"},
		{"members' data differ: nothing is disarmed", noLearnerOrAlarm, healthy(1, node(1, func(n *cluster.Node) {
			n.Alarms = cluster.Got([]cluster.Alarm{{MemberID: "a1", Alarm: "CORRUPT"}})
		})), "talosctl -n 192.0.2.1 etcd snapshot 192.0.2.1.db", "disarm"},
		{"an alarm, and the first node is silent: another disarms it", noLearnerOrAlarm, healthy(3, silentNode(1, errDown), etcd(2, func(e *cluster.EtcdStatus) {
			e.Alarms = []cluster.Alarm{{MemberID: "a2", Alarm: "NOSPACE"}}
		})), "then talosctl -n 192.0.2.2 etcd alarm disarm", "learner"},
		{"an alarm, and no learner", noLearnerOrAlarm, healthy(3, alarm), "alarm disarm", "learner"},
	} {
		got := tt.check(tt.s)
		if got.Status == Pass || strings.HasPrefix(got.Hint, ";") || !strings.Contains(got.Hint, tt.want) || strings.Contains(got.Hint, tt.not) {
			t.Errorf("%s: %v %q with the hint %q; want %q, and no %q", tt.name, got.Status, got.Message, got.Hint, tt.want, tt.not)
		}
	}
}
