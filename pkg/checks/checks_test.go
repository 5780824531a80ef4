package checks

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// row is one snapshot that a check is given, and what it must find.
type row struct {
	name    string
	s       *cluster.Snapshot
	status  Status
	message string // a part of it
}

func link(i int, state string) change {
	return node(i, func(n *cluster.Node) {
		n.Links = cluster.Got([]cluster.Link{{Name: "eth0", State: state}})
	})
}

// rows are those of each check, by its ID.
var rows = together(clusterRows, vipRows, etcdRows)

func together(parts ...map[string][]row) map[string][]row {
	all := make(map[string][]row)
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

// clusterRows are for the checks of Talos and of the kube-apiservers.
var clusterRows = map[string][]row{
	"clocks-agree": {
		{"they do", healthy(3), Pass, "3 clocks agree"},
		{"one is 5 s ahead", healthy(3, clock(2, 5, 0.02)), Warn, "the clock of cp-2 is 5 s ahead of that of cp-3: etcd warns of more than 1 s"},
		{"one is 5 s behind", healthy(3, clock(2, -5, 0.02)), Warn, "the clock of cp-2 is 5 s behind that of cp-1"},
		{"one is two minutes ahead", healthy(3, clock(3, 120, 0.02)), Fail, "the clock of cp-3 is 120 s ahead of that of cp-2: certificates and tokens may be refused"},
		{"two minutes at the most, for the answer took so long", healthy(3, clock(3, 60, 60)), Pass, "3 clocks agree"},
		{"half a second is nothing", healthy(3, clock(2, 0.5, 0.02)), Pass, "3 clocks agree"},
		{"of two, one is off", healthy(2, clock(1, 9, 0.02)), Warn, "the clock of cp-1 is 9 s ahead of that of cp-2"},
		{"all differ from ours alike", healthy(3, clock(1, -90, 0.02), clock(2, -90, 0.02), clock(3, -90, 0.02)), Pass, "3 clocks agree; that of this machine is 90 s ahead of them"},
		{"ours is behind", healthy(1, clock(1, 90, 0.02)), Pass, "that of this machine is 90 s behind them"},
		{"no time server answers a node", healthy(3, node(2, func(n *cluster.Node) { n.Clock = cluster.Missed[cluster.Clock](errDown) })), Skip, "cp-2: clock not known"},
		{"a snapshot in which nobody asked", healthy(1, node(1, func(n *cluster.Node) { n.Clock = cluster.Seen[cluster.Clock]{} })), Unknown, "not asked"},
		{"one is down, and the others agree", healthy(3, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
	},
	"apiserver-certificate-lasts": {
		{"they do", healthy(3), Pass, "3 certificates last for more than a week"},
		{"one ends in three days", healthy(3, expires(2, 72*time.Hour)), Warn, "cp-2: the certificate expires on 2026-03-04, in 3.0 days"},
		{"one has ended", healthy(3, expires(2, -time.Hour)), Fail, "cp-2: the certificate expired on 2026-03-01"},
		{"one does not say", healthy(3, server(2, cluster.APIServer{Answered: true, Certificate: cluster.Certificate{Fingerprint: "x"}})), Unknown, "cp-2: it is not known when"},
		{"none was presented", healthy(3, server(2, cluster.APIServer{Error: "connection refused"})), Unknown, "cp-2: no certificate was presented: connection refused"},
		{"one is down", healthy(3, down(2)), Unknown, "not known of cp-2: see nodes-answer; the other 2 are well"},
	},
	"node-ip-not-vip": {
		{"none does", healthy(3), Pass, "no kubelet has 192.0.2.50"},
		{"one does", healthy(3, node(2, func(n *cluster.Node) { n.NodeIPs = cluster.Got([]netip.Addr{nodeAddr(2), testVIP}) })), Fail, "the kubelet of cp-2 has the node's address from the VIP, 192.0.2.50"},
		{"one is down", healthy(3, down(2)), Unknown, "not known of cp-2: see nodes-answer; the other 2 are well"},
		{"no VIP", healthy(3, func(s *cluster.Snapshot) { s.VIPs = nil }), Skip, "no VIP is known"},
	},
	"nodes-answer": {
		{"all answer", healthy(3), Pass, "3 of 3 nodes answer"},
		{"one is down", healthy(3, down(2)), Fail, "cp-2 (192.0.2.2) does not answer: context deadline exceeded"},
		{"one answers through an endpoint only", healthy(3, node(3, func(n *cluster.Node) { n.Via = "192.0.2.1" })), Warn, "cp-3 answers through 192.0.2.1 only"},
		{"one was not asked", healthy(3, node(3, func(n *cluster.Node) { n.Reachable = cluster.Seen[bool]{} })), Unknown, "not asked"},
	},
	"nodes-ready": {
		{"all are", healthy(3), Pass, "3 nodes are running and ready"},
		{"one is rebooting", healthy(3, node(2, func(n *cluster.Node) { n.Stage = cluster.Got(cluster.Stage{Stage: "rebooting"}) })), Fail, "cp-2 is rebooting"},
		{"one is not ready", healthy(3, node(2, func(n *cluster.Node) {
			n.Stage = cluster.Got(cluster.Stage{Stage: "running", Unmet: []string{"nodeReady: no"}})
		})), Fail, "cp-2 is not ready: nodeReady: no"},
		{"one is down", healthy(3, down(2)), Unknown, "not known of cp-2: see nodes-answer; the other 2 are well"},
	},
	"versions-alike": {
		{"alike", healthy(3), Pass, "3 nodes run v1.13.9"},
		{"in the middle of an upgrade", healthy(3, node(3, func(n *cluster.Node) { n.Version = cluster.Got(cluster.Version{Tag: "v1.13.8"}) })), Warn, "cp-3 runs v1.13.8"},
		{"one is down", healthy(3, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
	},
	"hostnames-differ": {
		{"they do", healthy(3), Pass, "3 different"},
		{"two are alike", healthy(3, node(3, func(n *cluster.Node) { n.Hostname = cluster.Got("cp-1") })), Fail, "192.0.2.1 and 192.0.2.3 are both called cp-1"},
		{"one has none", healthy(3, node(3, func(n *cluster.Node) { n.Hostname = cluster.Got("") })), Fail, "192.0.2.3 has no host name"},
		{"one is down", healthy(3, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
	},
	"endpoint-not-vip": {
		{"the nodes' addresses", healthy(3), Pass, "endpoints: 3, none of them the VIP"},
		{"the VIP among them", healthy(3, func(s *cluster.Snapshot) {
			s.Endpoints[0] = cluster.Endpoint{Name: testVIP.String(), Addresses: []netip.Addr{testVIP}}
		}), Fail, "endpoint 192.0.2.50 is the VIP"},
		{"a name of the VIP", healthy(3, func(s *cluster.Snapshot) {
			s.Endpoints[0] = cluster.Endpoint{Name: "k8s.example", Addresses: []netip.Addr{nodeAddr(1), testVIP}}
		}), Fail, "endpoint k8s.example is the VIP 192.0.2.50"},
		{"a name that was not resolved", healthy(3, func(s *cluster.Snapshot) {
			s.Endpoints[0] = cluster.Endpoint{Name: "k8s.example", Error: "k8s.example cannot be resolved"}
		}), Unknown, "endpoint k8s.example cannot be resolved"},
		{"an endpoint behind a proxy, which resolves it", healthy(3, func(s *cluster.Snapshot) {
			s.Endpoints[0] = cluster.Endpoint{Name: "k8s.example"}
		}), Unknown, "k8s.example has no known address"},
		{"no endpoints", healthy(3, func(s *cluster.Snapshot) { s.Endpoints = nil }), Unknown, "no endpoint is known"},
		{"no VIP", healthy(3, func(s *cluster.Snapshot) { s.VIPs = nil }), Skip, "no VIP is known"},
	},
	"apiserver-ready": {
		{"the kubelet says so", healthy(3), Pass, "3 nodes"},
		{"one is dead", healthy(3, server(2, cluster.APIServer{Error: "connection refused"})), Fail, "cp-2: kube-apiserver does not answer: connection refused"},
		{"only the certificate was asked for", healthy(3, server(2, cluster.APIServer{Certificate: cluster.Certificate{Fingerprint: "f2"}})), Unknown, "was not asked whether it is ready"},
		{"one is not ready", healthy(3, server(2, apiServer(2, 500))), Fail, "cp-2: kube-apiserver answers with HTTP 500"},
		{"the kubelet says no", healthy(3, node(2, func(n *cluster.Node) { n.StaticPod = cluster.Got(cluster.APIServerPod{Phase: "Running"}) })), Fail, "its pod (Running) is not ready"},
		{"200 needs no kubelet", healthy(3, server(2, apiServer(2, 200)), node(2, func(n *cluster.Node) { n.StaticPod = cluster.Seen[cluster.APIServerPod]{} })), Pass, "3 nodes"},
		{"401, and the kubelet is silent", healthy(3, node(2, func(n *cluster.Node) { n.StaticPod = cluster.Missed[cluster.APIServerPod](errDown) })), Unknown, "readiness needs a kubeconfig"},
		{"the kubelet says so, for the kubeconfig cannot be read", healthy(3, unreadKubeconfig), Pass, "by their kubelets' word where they tell a stranger nothing: kubeconfig /50%: permission denied"},
		{"and the kubelet is silent", healthy(3, unreadKubeconfig, node(2, func(n *cluster.Node) { n.StaticPod = cluster.Missed[cluster.APIServerPod](errDown) })),
			Unknown, "cp-2: kube-apiserver answers; its readiness needs a kubeconfig: kubeconfig /50%: permission denied"},
		{"one is down", healthy(3, down(2)), Unknown, "not known of cp-2: see nodes-answer; the other 2 are well"},
		{"one is cut off, and its port is silent, too", healthy(3, down(2), server(2, cluster.APIServer{Error: "no route to host"})), Unknown, "not known of cp-2: see nodes-answer"},
		{"one's Talos API is silent, and its port refuses", healthy(3, down(2), server(2, cluster.APIServer{Error: "connection refused"})), Fail, "cp-2: kube-apiserver does not answer: connection refused"},
	},
	"apiserver-certificate": {
		{"all name it", healthy(3), Pass, "192.0.2.50"},
		{"a candidate's does not", healthy(3, server(2, cluster.APIServer{Answered: true, Certificate: cluster.Certificate{Fingerprint: "x"}})), Warn, "cp-2: the certificate does not name 192.0.2.50"},
		{"the one on the VIP does not", healthy(3, onVIP(cluster.Got(cluster.APIServer{Answered: true, Certificate: cluster.Certificate{Fingerprint: "x"}}))), Fail, "192.0.2.50: the certificate does not name"},
		{"none was presented", healthy(3, server(2, cluster.APIServer{Error: "connection refused"})), Unknown, "cp-2: no certificate was presented"},
		{"one is down", healthy(3, down(2)), Unknown, "not known of cp-2: see nodes-answer"},
	},
}

func TestChecks(t *testing.T) {
	for _, c := range All() {
		covered := make(map[Status]bool)
		for _, r := range rows[c.ID] {
			covered[r.status] = true
			t.Run(c.ID+"/"+r.name, func(t *testing.T) {
				got := c.Judge(r.s)
				if got.Status != r.status || !strings.Contains(got.Message, r.message) {
					t.Errorf("Judge = %v %q; want %v and %q in it", got.Status, got.Message, r.status, r.message)
				}
				if (got.Status == Fail || got.Status == Warn) && got.Hint == "" {
					t.Errorf("%v %q has no hint", got.Status, got.Message)
				}
			})
		}
		if !covered[Pass] || !covered[Unknown] && !covered[Skip] || !covered[Fail] && !covered[Warn] {
			t.Errorf("%s: no row for each of pass, unknown, and fail or warn", c.ID)
		}
	}
	ids, _ := names(All())
	for id := range rows {
		if !slices.Contains(ids, id) {
			t.Errorf("rows for %s, which is no check", id)
		}
	}
}

func TestNothingKnownNeverPasses(t *testing.T) {
	nothing := map[string]*cluster.Snapshot{
		"zero":                    {},
		"nodes not asked":         {Nodes: make([]cluster.Node, 3), VIPs: []cluster.VIP{{Addr: testVIP}}},
		"every node down":         healthy(3, onVIP(cluster.Missed[cluster.APIServer](errDown)), everywhere(3, down), noEndpoints),
		"no rights on any":        healthy(3, onVIP(cluster.Missed[cluster.APIServer](errRight)), everywhere(3, forbiddenAll), noEndpoints),
		"a VIP and nothing else":  {VIPs: []cluster.VIP{{Addr: testVIP}}},
		"endpoints, but no VIP":   {Endpoints: healthy(3).Endpoints},
		"nodes down, and no VIPs": healthy(3, everywhere(3, down), noEndpoints, func(s *cluster.Snapshot) { s.VIPs = nil }),
	}
	for name, s := range nothing {
		for _, r := range Run(s, All()) {
			if r.Status == Pass {
				t.Errorf("%s: %s = pass %q", name, r.ID, r.Message)
			}
			if r.Message == "" {
				t.Errorf("%s: %s has no message", name, r.ID)
			}
		}
	}
}

func noEndpoints(s *cluster.Snapshot) { s.Endpoints = nil }

func forbiddenAll(i int) change { return silentNode(i, errRight) }

func TestWorst(t *testing.T) {
	for _, tt := range []struct {
		name string
		have []Status
		want Status
	}{
		{"all pass", []Status{Pass, Pass}, Pass},
		{"a fail counts before all", []Status{Warn, Fail, Unknown, Pass}, Fail},
		{"a warning", []Status{Pass, Warn, Skip}, Warn},
		{"unknown is a warning", []Status{Pass, Unknown}, Warn},
		{"skip beside pass is silent", []Status{Skip, Pass}, Pass},
		{"skip alone is not good", []Status{Skip, Skip}, Warn},
		{"nothing is not good", nil, Warn},
	} {
		var results []Result
		for _, s := range tt.have {
			results = append(results, Result{Finding: Finding{Status: s}})
		}
		if got := Worst(results); got != tt.want {
			t.Errorf("%s: Worst(%v) = %v; want %v", tt.name, tt.have, got, tt.want)
		}
	}
}

func TestHintOnASplitBrain(t *testing.T) {
	two := carries(3, "192.0.2.50/32", "eth0")
	for _, tt := range []struct {
		name string
		s    *cluster.Snapshot
		want string
	}{
		{"nobody knows how they came to it", healthy(3, two), "vipctl owner --election shows whom etcd elected; a reboot takes the address off the other: talosctl -n 192.0.2.1 reboot or talosctl -n 192.0.2.3 reboot"},
		{"one has it left over", healthy(3, two, wants(1, "operator"), node(3, func(n *cluster.Node) { n.Layers = cluster.Got([]cluster.Layered{}) })),
			"cp-3 should not have it: talosctl -n 192.0.2.3 reboot takes it off; until then clients may reach either node"},
		{"one has it by its configuration, which no reboot takes away", healthy(3, two, wants(1, "operator"), wants(3, "configuration")),
			"cp-3 should not have it: talosctl -n 192.0.2.3 edit machineconfig"},
		{"etcd was asked, and elected the other", healthy(3, two, func(s *cluster.Snapshot) {
			s.VIPs[0].Elections = []cluster.ElectionView{{Node: "cp-1", Election: cluster.Got(cluster.Election{
				Revision: 1, Candidates: []cluster.Candidate{{Hostname: "cp-1", Lease: "a1"}},
			})}}
		}), "cp-3 should not have it: vipctl owner --election shows the queue, and vipctl etcd whether 192.0.2.3 is still a member; talosctl -n 192.0.2.3 reboot"},
		{"both have it left over", healthy(3, two, node(1, func(n *cluster.Node) { n.Layers = cluster.Got([]cluster.Layered{}) }),
			node(3, func(n *cluster.Node) { n.Layers = cluster.Got([]cluster.Layered{}) })), "vipctl owner --election shows whom etcd elected"},
	} {
		if got := vipOneOwner(tt.s); got.Status != Fail || !strings.Contains(got.Hint, tt.want) {
			t.Errorf("%s: vipOneOwner = %v with the hint %q; want %q", tt.name, got.Status, got.Hint, tt.want)
		}
		v := tt.s.Judge(testVIP)
		if got := Remedy(tt.s, vip.Finding{Trouble: vip.TwoOwners}, testVIP, v); !strings.Contains(got, tt.want) {
			t.Errorf("%s: Remedy(two owners) = %q; want %q", tt.name, got, tt.want)
		}
	}
}

// severalOfOne is one of what is many: "1 nodes", "1 certificates last".
var severalOfOne = regexp.MustCompile(`\b1 \w{3,}s\b`)

// TestGrammarOfOne: on a single node no check says that one of something are.
func TestGrammarOfOne(t *testing.T) {
	for name, s := range map[string]*cluster.Snapshot{
		"healthy":       healthy(1),
		"without a VIP": healthy(1, func(s *cluster.Snapshot) { s.VIPs, s.Nodes[0].VIPs = nil, cluster.Got([]netip.Addr{}) }),
		"down":          healthy(1, down(1)),
	} {
		for _, r := range Run(s, All()) {
			for _, said := range severalOfOne.FindAllString(r.Message, -1) {
				if said != "1 makes" { // a quorum
					t.Errorf("one node, %s: %s says %q; want the singular in %q", name, r.ID, said, r.Message)
				}
			}
		}
	}
}
