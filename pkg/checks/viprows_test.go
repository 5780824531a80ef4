package checks

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// vipRows are for the checks of the VIP.
var vipRows = map[string][]row{
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
}

// An IPv6 VIP has one fault fewer to be told of.
func TestReleaseWithAnIPv6VIP(t *testing.T) {
	s := healthy(1, runs(1, "v1.11.2"), func(s *cluster.Snapshot) { s.VIPs[0].Addr = testVIP6 })
	if got := vipRelease(s); got.Status != Warn || strings.Contains(got.Message, "broadcast") {
		t.Errorf("vipRelease = %v %q; want warn, and nothing of a broadcast address", got.Status, got.Message)
	}
}
