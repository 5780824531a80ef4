package checks

import (
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

func nameless(list []cluster.Member) []cluster.Member {
	list = learner(list)
	list[len(list)-1].Hostname = ""
	return list
}

func learner(list []cluster.Member) []cluster.Member {
	list[len(list)-1].Learner = true
	return list
}

var rows = map[string][]row{
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
	"vip-campaigns": {
		{"all do", healthy(3), Pass, "every node that has 192.0.2.50 configured campaigns"},
		{"one does not", healthy(3, campaigns(3)), Fail, "cp-3 has 192.0.2.50 configured and does not campaign for it: its link does not exist"},
		{"the owner has it whatever its finalizers", healthy(3, campaigns(1)), Pass, "192.0.2.50"},
		{"one that reboots does not", healthy(3, campaigns(3), node(3, func(n *cluster.Node) {
			n.Stage = cluster.Got(cluster.Stage{Stage: "rebooting"})
		})), Warn, "cp-3 has 192.0.2.50 configured and does not campaign for it now: it is rebooting"},
		{"one without etcd does not", healthy(3, campaigns(3), stoppedEtcd(3)), Warn, "for it now: its etcd is not running"},
		{"one whose kubelet is down does not", healthy(3, campaigns(3), node(3, func(n *cluster.Node) {
			n.Services = cluster.Got([]cluster.Service{{ID: "kubelet", State: "Running", HealthKnown: true}})
		})), Warn, "for it now: its kubelet is not running and healthy"},
		{"one on fewer links than another", healthy(3, campaigns(1, "eth0", "eth1"), campaigns(2, "eth0", "eth1")), Warn, "cp-3 campaigns on eth0 only, and cp-1, with the same VIPs, on eth0, eth1"},
		{"one on fewer links, with fewer VIPs", healthy(3, campaigns(1, "eth0", "eth1"), campaigns(2, "eth0", "eth1"), node(3, func(n *cluster.Node) {
			n.VIPs = cluster.Got([]netip.Addr{testVIP, netip.MustParseAddr("192.0.2.51")})
		})), Pass, "192.0.2.50"},
		{"one that does not have it configured", healthy(3, campaigns(3), node(3, func(n *cluster.Node) { n.VIPs = cluster.Got([]netip.Addr{}) })), Pass, "192.0.2.50"},
		{"none has it configured", healthy(1, node(1, func(n *cluster.Node) { n.VIPs = cluster.Got([]netip.Addr{}) })), Skip, "no node has 192.0.2.50 configured"},
		{"one is down", healthy(3, down(2)), Unknown, "not known of cp-2: see nodes-answer; the other 2 are well"},
		{"no rights", healthy(3, node(2, func(n *cluster.Node) { n.Campaigns = cluster.Missed[[]string](errRight) })), Skip, "cp-2: campaigns not known"},
	},
	"vip-witnesses-agree": {
		{"the certificate", healthy(3), Pass, "192.0.2.50 is on cp-1, also by certificate"},
		{"the certificate and the wire", healthy(3, wired("02:00:00:00:00:01")), Pass, "192.0.2.50 is on cp-1, also by certificate, arp"},
		{"the certificate, and the wire cannot be asked", healthy(3, func(s *cluster.Snapshot) {
			s.VIPs[0].ARP = cluster.Missed[[]cluster.ARPReply](errDown)
		}), Pass, "also by certificate; arp could not be asked (context deadline exceeded)"},
		{"a host on the wire that may be the silent node", healthy(3, wired("02:00:00:00:00:01", "06:00:00:00:00:66"), deadAddress), Fail, "foreign host, or 192.0.2.9: cp-1 holds the address, but 06:00:00:00:00:66 answers for it on the wire"},
		{"nothing but the nodes", healthy(3, onVIP(cluster.Seen[cluster.APIServer]{}), func(s *cluster.Snapshot) {
			s.VIPs[0].ARP = cluster.Missed[[]cluster.ARPReply](errDown)
		}), Skip, "192.0.2.50: nobody but the nodes themselves says who has it: arp could not be asked"},
		{"a foreign host answers as well", healthy(3, wired("02:00:00:00:00:01", "06:00:00:00:00:66")), Fail, "foreign host: cp-1 holds the address, but 06:00:00:00:00:66 answers for it on the wire"},
		{"the wire still has the former owner", healthy(3, wired("02:00:00:00:00:02")), Fail, "stale ARP: cp-1 holds the address, but the wire answers with cp-2's hardware address"},
		{"two answer, one of them for the other", healthy(3, wired("02:00:00:00:00:01", "02:00:00:00:00:03")), Fail, "proxy ARP: "},
		{"the owner has it by its configuration", healthy(3, wants(1, "configuration")), Fail, "static address: cp-1 has the address by its configuration"},
		{"nothing of Talos wants it there", healthy(3, node(1, func(n *cluster.Node) { n.Layers = cluster.Got([]cluster.Layered{}) })), Fail, "leftover address: cp-1"},
		{"by election, as it should be", healthy(3, wants(1, "operator")), Pass, "on cp-1"},
		{"another node's server answers", healthy(3, onVIP(cluster.Got(apiServer(2, 401)))), Fail, "answered elsewhere: "},
		{"a dead kube-apiserver is another matter", healthy(3, wired("02:00:00:00:00:01"), server(1, cluster.APIServer{Error: "refused"}),
			onVIP(cluster.Got(cluster.APIServer{Error: "refused"}))), Pass, "also by arp"},
		{"a ghost, where the election was asked for", healthy(3, func(s *cluster.Snapshot) {
			s.VIPs[0].Elections = []cluster.ElectionView{{Node: "cp-1", Election: cluster.Got(cluster.Election{Revision: 9, Candidates: []cluster.Candidate{
				{Key: "k1", Hostname: "cp-1", Lease: "1"}, {Key: "k9", Hostname: "cp-9", Lease: "9"},
			}})}}
		}), Warn, "ghost in the queue: host cp-9 is no node of the cluster"},
		{"two owners", healthy(3, carries(3, "192.0.2.50/32", "eth0")), Skip, "192.0.2.50 has no one owner to compare with: see vip-one-owner"},
		{"none", healthy(3, ownerless()), Skip, "see vip-one-owner"},
		{"none, and one is silent", healthy(3, down(1), onVIP(cluster.Missed[cluster.APIServer](errDown))), Unknown, "see vip-one-owner"},
		{"no VIP", healthy(3, func(s *cluster.Snapshot) { s.VIPs = nil }), Skip, "no VIP is known"},
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
	"vip-release": {
		{"the newest", healthy(3), Pass, "3 nodes run releases without a known fault"},
		{"each the first with the fix of its line", healthy(3, runs(1, "v1.12.11"), runs(2, "v1.13.8"), runs(3, "v1.14.0-beta.1")), Pass, "3 nodes"},
		{"a line that never had the faults", healthy(3, everywhere(3, func(i int) change { return runs(i, "v2.0.0-alpha.0") })), Pass, "3 nodes"},
		{"one release before", healthy(3, runs(2, "v1.13.7")), Warn, "v1.13.7 on cp-2: a candidate whose campaign is cut short"},
		{"the same on two nodes is said once", healthy(3, runs(2, "v1.13.7"), runs(3, "v1.13.7")), Warn, "v1.13.7 on cp-2, cp-3: "},
		{"an older line with a fix of its own", healthy(1, runs(1, "v1.12.10")), Warn, "fixed in v1.12.11"},
		{"an older line without one", healthy(1, runs(1, "v1.11.9")), Warn, "fixed in v1.12.11"},
		{"a pre-release before the fix", healthy(1, runs(1, "v1.14.0-beta.0")), Warn, "fixed in v1.14.0-beta.1"},
		{"a pre-release of the line that never had them", healthy(1, runs(1, "v1.14.0-rc.1")), Pass, "1 node "},
		{"both faults", healthy(1, runs(1, "v1.11.2")), Warn, "; v1.11.2 on cp-1: an IPv4 VIP is its own broadcast address"},
		{"a pre-release without the broadcast's fix", healthy(1, runs(1, "v1.12.0-alpha.0")), Warn, "fixed in v1.12.0-alpha.1"},
		{"a build of its own after the fix", healthy(1, runs(1, "v1.13.9-dirty")), Pass, "1 node "},
		{"some commits after the fix", healthy(1, runs(1, "v1.13.8-3-gabcdef0-dirty")), Pass, "1 node "},
		{"some commits after a pre-release with the fix", healthy(1, runs(1, "v1.14.0-beta.1-12-gabcdef0")), Pass, "1 node "},
		{"a build of its own from before it may have it", healthy(1, runs(1, "v1.13.7-dirty")), Unknown, "cp-1 runs v1.13.7-dirty, a build of its own: whether it has the fix of v1.13.8 is not known"},
		{"some commits after a pre-release before it", healthy(1, runs(1, "v1.14.0-alpha.0-35-gabcdef0")), Unknown, "whether it has the fix of v1.14.0-beta.1"},
		{"a fork's build", healthy(1, runs(1, "v1.12.3+fork")), Unknown, "v1.12.3+fork, a build of its own"},
		{"no version at all", healthy(1, runs(1, "abcdef0-dirty")), Unknown, `cp-1: "abcdef0-dirty" is no release of Talos`},
		{"an empty one", healthy(1, runs(1, "")), Unknown, `cp-1: "" is no release`},
		{"one of its own beside one that is known", healthy(3, runs(1, "main"), runs(2, "v1.13.7")), Warn, `cp-1: "main" is no release`},
		{"an address shows what its build does", healthy(1, runs(1, "v1.11.2-dirty"), broadcastOf(testVIP, testVIP.String())), Warn, "v1.11.2-dirty on cp-1: an IPv4 VIP is its own broadcast address"},
		{"an address of such a build has a broadcast address of its own", healthy(1, runs(1, "v1.11.2-dirty"), broadcastOf(testVIP, "192.0.2.255")), Unknown, "has the fix of v1.11.3 is not known"},
		{"one that is no VIP is its own broadcast address", healthy(1, runs(1, "v1.11.2-dirty"), broadcastOf(nodeAddr(1), "192.0.2.1")), Unknown, "has the fix of v1.11.3 is not known"},
		{"two releases with one fault", healthy(3, runs(2, "v1.13.6"), runs(3, "v1.13.7")), Warn, "; v1.13.7 on cp-3: a candidate"},
		{"one is down", healthy(3, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
		{"no rights", healthy(1, node(1, func(n *cluster.Node) { n.Version = cluster.Missed[cluster.Version](errRight) })), Skip, "cp-1: version not known"},
		{"no VIP", healthy(3, func(s *cluster.Snapshot) { s.VIPs = nil }), Skip, "no VIP is known"},
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
	"vip-configured-alike": {
		{"alike", healthy(3), Pass, "192.0.2.50 on 3 nodes"},
		{"on two of three", healthy(3, node(3, func(n *cluster.Node) { n.VIPs = cluster.Got([]netip.Addr{}) })), Fail, "cp-3 does not have 192.0.2.50 configured"},
		{"on none", healthy(3, func(s *cluster.Snapshot) { s.VIPs = nil }, everywhere(3, func(i int) change {
			return node(i, func(n *cluster.Node) { n.VIPs = cluster.Got([]netip.Addr{}) })
		})), Fail, "3 nodes answer, and no VIP is configured anywhere"},
		{"on none of those that answer", healthy(3, func(s *cluster.Snapshot) { s.VIPs = nil }, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
		{"one is down", healthy(3, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
		{"no rights", healthy(3, forbidden(3)), Skip, "PermissionDenied"},
	},
	"vip-segment": {
		{"one segment", healthy(3), Pass, "192.0.2.50"},
		{"a node elsewhere", healthy(3, onlyCarries(3, "198.51.100.3/24", "eth0")), Fail, "cp-3 has no address in the subnet"},
		{"a node with another mask", healthy(3, onlyCarries(3, "192.0.2.3/25", "eth0")), Fail, "cp-3 is in 192.0.2.0/25, other nodes in 192.0.2.0/24"},
		{"the VIP on another link", healthy(3, onlyCarries(1, "192.0.2.50/32", "eth1"), carries(1, "192.0.2.1/24", "eth0")), Fail, "cp-1 has 192.0.2.50 on eth1, and its subnet 192.0.2.0/24 on eth0"},
		{"only the VIP itself lies in its subnet", healthy(3, onlyCarries(1, "192.0.2.50/24", "eth0")), Fail, "cp-1 has no address"},
		{"a cloud moves it", healthy(1, node(1, func(n *cluster.Node) { n.Version = cluster.Got(cluster.Version{Platform: "hcloud"}) })), Skip, "the cloud moves the VIP"},
		{"one is down", healthy(3, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
	},
	"vip-link-up": {
		{"up", healthy(3), Pass, "192.0.2.50"},
		{"unknown counts as up", healthy(3, link(2, "unknown")), Pass, "192.0.2.50"},
		{"down on a candidate", healthy(3, link(2, "down")), Fail, "cp-2: link eth0 is down"},
		{"no link for it", healthy(3, onlyCarries(3, "198.51.100.3/24", "eth0")), Unknown, "which link"},
		{"one is down", healthy(3, down(3)), Unknown, "not known of cp-3: see nodes-answer; the other 2 are well"},
	},
	"vip-one-owner": {
		{"one", healthy(3), Pass, "192.0.2.50 is owned by cp-1"},
		{"none", healthy(3, ownerless()), Fail, "192.0.2.50 is on no node"},
		{"two", healthy(3, carries(3, "192.0.2.50/32", "eth0")), Fail, "split brain: 192.0.2.50 is on cp-1 and cp-3"},
		{"one, and a foreign host answers as well", healthy(3, wired("06:00:00:00:00:66")), Warn, "192.0.2.50 is on cp-1 alone, and another witness contradicts: see vip-witnesses-agree"},
		{"one, and this machine is on no segment of it", healthy(3, func(s *cluster.Snapshot) { s.VIPs[0].ARP = cluster.Missed[[]cluster.ARPReply](errDown) }), Pass, "192.0.2.50 is owned by cp-1"},
		{"two a moment ago, and one now", healthy(3, func(s *cluster.Snapshot) { s.Earlier = healthy(3, carries(3, "192.0.2.50/32", "eth0")) }), Pass, "192.0.2.50 is owned by cp-1"},
		{"one a moment ago, and two now", healthy(3, carries(3, "192.0.2.50/32", "eth0"), func(s *cluster.Snapshot) { s.Earlier = healthy(3) }), Fail, "may be a handover"},
		{"one, and another is silent", healthy(3, down(3)), Warn, "cp-3 is silent (context deadline exceeded)"},
		{"none on the one node that was named, and there may be others", healthy(1, ownerless(), stoppedEtcd(1)), Unknown, "nobody who answered has it; others are silent (which other"},
		{"none, and one is silent", healthy(3, down(1)), Unknown, "cp-1 is silent"},
		{"no VIP", healthy(3, func(s *cluster.Snapshot) { s.VIPs = nil }), Skip, "no VIP"},
	},
	"vip-answers": {
		{"401 is an answer", healthy(3), Pass, "192.0.2.50"},
		{"200", healthy(3, onVIP(cluster.Got(apiServer(1, 200)))), Pass, "192.0.2.50"},
		{"500", healthy(3, onVIP(cluster.Got(apiServer(1, 500)))), Fail, "HTTP 500: not ready"},
		{"404", healthy(3, onVIP(cluster.Got(apiServer(1, 404)))), Fail, "no kube-apiserver"},
		{"nothing", healthy(3, onVIP(cluster.Got(cluster.APIServer{Error: "connection refused"}))), Fail, "192.0.2.50:6443 does not answer: connection refused"},
		{"not asked", healthy(3, onVIP(cluster.Seen[cluster.APIServer]{})), Unknown, "not asked"},
		{"only the certificate was asked for", healthy(3, onVIP(cluster.Got(cluster.APIServer{Certificate: cluster.Certificate{Fingerprint: "f1"}}))), Unknown, "was not asked whether it is ready"},
	},
	"vip-answered-by-owner": {
		{"the owner's", healthy(3), Pass, "owner's certificate"},
		{"another node's", healthy(3, onVIP(cluster.Got(apiServer(2, 401)))), Fail, "192.0.2.50 is on cp-1, and answered by cp-2"},
		{"a stranger's", healthy(3, onVIP(cluster.Got(apiServer(9, 401)))), Fail, "no control-plane node's"},
		{"perhaps that of a silent node", healthy(3, onVIP(cluster.Got(apiServer(3, 401))), down(3)), Unknown, "may be that of cp-3"},
		{"no owner known", healthy(3, onlyCarries(1, "192.0.2.1/24", "eth0")), Unknown, "no owner is known"},
		{"two nodes have the same", healthy(3, server(2, apiServer(1, 401))), Unknown, "present the same certificate"},
		{"not seen", healthy(3, onVIP(cluster.Missed[cluster.APIServer](errDown))), Unknown, "not known"},
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

// An IPv6 VIP has one fault fewer to be told of.
func TestReleaseWithAnIPv6VIP(t *testing.T) {
	s := healthy(1, runs(1, "v1.11.2"), func(s *cluster.Snapshot) { s.VIPs[0].Addr = testVIP6 })
	if got := vipRelease(s); got.Status != Warn || strings.Contains(got.Message, "broadcast") {
		t.Errorf("vipRelease = %v %q; want warn, and nothing of a broadcast address", got.Status, got.Message)
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
