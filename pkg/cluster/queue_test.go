package cluster

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/vip"
)

func TestQueueShowsItsGhosts(t *testing.T) {
	idle := func(i int) change { return on(i, func(n *Node) { n.Campaigns = Got([]string{}) }) }
	unknown := func(i int) change { return on(i, func(n *Node) { n.Campaigns = Missed[[]string](errDown) }) }
	members := func(i int, hosts ...string) change {
		return on(i, func(n *Node) {
			var list []Member
			for _, host := range hosts {
				list = append(list, Member{ID: "id-" + host, Hostname: host})
			}
			n.Members = Got(list)
		})
	}
	for _, tt := range []struct {
		name  string
		s     *Snapshot
		queue string // a ghost is in brackets
		why   string // a part of the first ghost's reason
		heir  string
	}{
		{"nobody asked", three(), "", "", ""},
		{"all campaign", three(elected("cp-1", "cp-3", "cp-2")), "cp-1 cp-3 cp-2", "", "cp-3"},
		{"one does not campaign", three(elected("cp-1", "cp-3", "cp-2"), idle(3)), "cp-1 [cp-3] cp-2", "cp-3 does not campaign", "cp-2"},
		{"it is not known whether it campaigns", three(elected("cp-1", "cp-3", "cp-2"), unknown(3)), "cp-1 cp-3 cp-2", "", "cp-3"},
		{"a host that is no node", three(elected("cp-1", "old-cp", "cp-2")), "cp-1 [old-cp] cp-2", "host old-cp is no node", "cp-2"},
		{"a host that may be a silent node", three(elected("cp-1", "new-cp", "cp-2"), on(3, func(n *Node) { n.Hostname = Missed[string](errDown) })), "cp-1 new-cp cp-2", "", "new-cp"},
		{"a node that queued up anew", three(elected("cp-1", "cp-2", "cp-3", "cp-2")), "cp-1 [cp-2] cp-3 cp-2", "cp-2 has 2 keys", "cp-3"},
		{"the owner queued up anew", three(elected("cp-1", "cp-2", "cp-1")), "cp-1 cp-2 [cp-1]", "cp-1 has 2 keys", "cp-2"},
		{"the first is a ghost of one that has not the address", three(elected("cp-2", "cp-3", "cp-2")), "[cp-2] cp-3 cp-2", "cp-2 has 2 keys", "cp-3"},
		{"a key without a lease", three(elected("cp-1", "cp-2"), theAddress(func(v *VIP) { v.Elections[0].Election.value.Candidates[1].Lease = "0" })), "cp-1 [cp-2]", "no lease", ""},
		{"no member of etcd", three(elected("cp-1", "cp-2"), members(1, "cp-1", "cp-3")), "cp-1 [cp-2]", "no member of etcd", ""},
		{"no member of etcd, though its own list has it", three(elected("cp-1", "cp-2"), members(1, "cp-1", "cp-3"), members(2, "cp-1", "cp-2", "cp-3")), "cp-1 [cp-2]", "no member of etcd", ""},
		{"no member as its own list tells, which proves nothing", three(elected("cp-1", "cp-2"), members(2, "cp-1")), "cp-1 cp-2", "", "cp-2"},
		{"no member by one list, and a member by another", three(elected("cp-1", "cp-2"), members(1, "cp-1", "cp-3"), members(3, "cp-1", "cp-2")), "cp-1 cp-2", "", "cp-2"},
		{"one that was bootstrapped by itself makes no ghost of the members", three(elected("cp-1", "cp-2"), members(1, "cp-1", "cp-2"), members(2, "cp-1", "cp-2"), members(3, "cp-3")), "cp-1 cp-2", "", "cp-2"},
		{"a member of etcd", three(elected("cp-1", "cp-2"), members(1, "cp-1", "cp-2")), "cp-1 cp-2", "", "cp-2"},
		{"no member, though an address begins like its own", three(elected("cp-1", "cp-2"), memberAt("cp-9", "https://10.5.0.30:2380")), "cp-1 [cp-2]", "no member of etcd", ""},
		{"a member by its address", three(elected("cp-1", "cp-2"), memberAt("renamed", "https://10.5.0.3:2380")), "cp-1 cp-2", "", "cp-2"},
		{"two nodes of one name may each have a key", three(elected("cp-1", "cp-1"), on(2, func(n *Node) { n.Hostname = Got("cp-1") })), "cp-1 cp-1", "", "cp-1"},
		{"ghosts only behind the owner", three(elected("cp-1", "cp-3"), idle(3)), "cp-1 [cp-3]", "cp-3 does not campaign", ""},
		{"the newest view counts", three(elected("cp-1", "cp-2"), elected("cp-2", "cp-1")), "cp-2 cp-1", "", "cp-1"},
		{"the newest view counts, whoever told it first", three(elected("cp-1", "cp-2"), elected("cp-2", "cp-1"), swapViews), "cp-2 cp-1", "", "cp-1"},
		{"a view that failed is passed over", three(elected("cp-1", "cp-2"), failedView), "cp-1 cp-2", "", "cp-2"},
		{"all views failed", three(failedView), "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			queue := tt.s.Queue(theVIP)
			var words []string
			why := ""
			for _, q := range queue {
				if word := q.Hostname; q.Ghost == "" {
					words = append(words, word)
				} else {
					words = append(words, "["+word+"]")
					why += q.Ghost + "; "
				}
			}
			if got := strings.Join(words, " "); got != tt.queue || !strings.Contains(why, tt.why) {
				t.Errorf("Queue(%s) = %s (%s); want %s (%s)", theVIP, got, why, tt.queue, tt.why)
			}
			heir, ghosts := Heir(queue)
			if name := hostOf(heir); name != tt.heir {
				t.Errorf("Heir(%s) = %q; want %q", tt.queue, name, tt.heir)
			}
			for _, g := range ghosts {
				if g.Ghost == "" {
					t.Errorf("Heir(%s): %s is no ghost", tt.queue, g.Hostname)
				}
			}
		})
	}
}

// memberAt has cp-1 list itself, and a member at that URL.
func memberAt(name, url string) change {
	return on(1, func(n *Node) {
		n.Members = Got([]Member{{ID: "a1", Hostname: "cp-1"}, {ID: "a9", Hostname: name, PeerURLs: []string{url}}})
	})
}

// swapViews lets the newer of two views come first.
func swapViews(s *Snapshot) { slices.Reverse(s.VIPs[1].Elections) }

func failedView(s *Snapshot) {
	s.VIPs[1].Elections = append(s.VIPs[1].Elections, ElectionView{Node: "cp-3", Election: Missed[Election](errDown)})
}

func hostOf(q *Queued) string {
	if q == nil {
		return ""
	}
	return q.Hostname
}

func TestFindingsBesideTheVerdict(t *testing.T) {
	server := func(i int, said Seen[APIServer]) change { return on(i, func(n *Node) { n.APIServer = said }) }
	shown := Got(APIServer{Certificate: Certificate{Fingerprint: "f1"}})
	onTheVIP := func(f func(*VIP)) change { return func(s *Snapshot) { f(s.vip(theVIP)) } }
	silent := onTheVIP(func(v *VIP) { v.APIServer, v.Apid = Got(APIServer{Error: "no answer"}), Missed[Certificate](errDown) })
	for _, tt := range []struct {
		name string
		s    *Snapshot
		want string // the troubles, or a part of the only text
	}{
		{"all well", three(elected("cp-1", "cp-2")), ""},
		{"the owner's apiserver is gone", three(server(1, Got(APIServer{Error: "connection refused"}))), "owner not serving: cp-1 has the address, and its kube-apiserver does not answer: connection refused"},
		{"the owner's apiserver is not ready", three(server(1, Got(APIServer{Answered: true, Status: 500}))), "is not ready: HTTP 500"},
		{"the owner's apiserver was not asked", three(server(1, Seen[APIServer]{})), ""},
		{"another's apiserver is gone", three(server(2, Got(APIServer{Error: "refused"}))), ""},
		{"the owner was read through another, so its apiserver's silence tells nothing", three(on(1, func(n *Node) { n.Via, n.APIServer = "10.5.0.3", Got(APIServer{Error: "no answer"}) })), ""},
		{"nobody answers on the VIP, and the owner does", three(silent, server(1, shown)), "unreachable: cp-1 has the address and answers on its own, but nobody answers on 10.5.0.50 from here"},
		{"nobody answers on the VIP, and the owner is on another segment", three(silent, server(1, shown), on(1, func(n *Node) {
			for i, a := range n.Addresses.value {
				if a.Prefix.Addr() != theVIP {
					n.Addresses.value[i].Prefix = netip.MustParsePrefix("10.9.0.2/24")
				}
			}
		})), "from here: it has no other address in that subnet"},
		{"nobody answers on the VIP, and another node reaches the owner", three(silent, on(1, func(n *Node) {
			n.Via, n.ViaReason = "10.5.0.3", "no answer"
			n.APIServer, n.Apid = Got(APIServer{Error: "no answer"}), Missed[Certificate](errDown)
		})), "unreachable: cp-1 has the address and is reached by other nodes"},
		{"nobody answers on the VIP, and every node is routed to by choice", three(silent, on(1, func(n *Node) {
			n.Via, n.APIServer, n.Apid = "omni.example", Got(APIServer{Error: "no answer"}), Missed[Certificate](errDown)
		})), ""},
		{"apid answers on the VIP", three(silent, server(1, shown), onTheVIP(func(v *VIP) { v.Apid = Got(Certificate{Fingerprint: "a1"}) })), ""},
		{"nobody looked at the VIP", three(server(1, shown)), ""},
		{"a ghost", three(elected("cp-1", "old-cp")), "ghost in the queue: host old-cp is no node of the cluster, and the key key-2 is there"},
		{"another machine has the IPv6 address", three(on(1, func(n *Node) { n.Addresses.value[1].Flags = "dadfailed,permanent" })), "duplicate address: cp-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			verdict := vip.Judge(tt.s.Claims(theVIP))
			got := tt.s.Findings(theVIP, verdict)
			if (len(got) > 0) != (tt.want != "") || len(got) > 1 || len(got) == 1 && !strings.Contains(got[0].Text, tt.want) {
				t.Errorf("Findings(%s) = %v; want %q", theVIP, got, tt.want)
			}
			if verdict.Ownership != vip.Owned {
				t.Errorf("Judge = %+v; want owned", verdict)
			}
		})
	}
	all := three(elected("cp-1", "old-cp"), server(1, Got(APIServer{Error: "refused"})), on(1, func(n *Node) { n.Addresses.value[1].Flags = "dadfailed" }))
	var order []string
	for _, f := range all.Findings(theVIP, vip.Judge(all.Claims(theVIP))) {
		order = append(order, f.Trouble.String())
	}
	if got := strings.Join(order, " "); got != "duplicateAddress ownerNotServing ghost" {
		t.Errorf("Findings in the order %s; want the gravest first", got)
	}
}

// TestGhostsPass: a ghost that follows on a partition alarms whoever does not know
// that it goes by itself.
func TestGhostsPass(t *testing.T) {
	for _, tt := range []struct {
		name      string
		lease     string
		ttl, left Seen[float64]
		want      string // "" is nothing
	}{
		{"nobody kept the lease for more than a third of its time", "a1", Got(60.0), Got(31.0), "; it passes by itself in 31 s, when its lease has run out"},
		{"it may be kept alive", "a1", Got(60.0), Got(39.0), "; it passes by itself in 39 s, when its lease has run out, unless somebody keeps that alive"},
		{"the time is not known", "a1", Missed[float64](errDown), Missed[float64](errDown), "; it passes when its lease has run out"},
		{"without a lease it stays", "0", Missed[float64](errDown), Missed[float64](errDown), ""},
	} {
		q := Queued{Candidate: Candidate{Lease: tt.lease, TTL: tt.ttl, Remaining: tt.left}}
		if got := q.passes(); got != tt.want {
			t.Errorf("%s: passes() = %q; want %q", tt.name, got, tt.want)
		}
	}
	s := three(elected("cp-1", "old-cp"))
	if got := s.Findings(theVIP, vip.Judge(s.Claims(theVIP))); len(got) != 1 || !strings.Contains(got[0].Text, "; it passes") {
		t.Errorf("Findings = %v; want a ghost that passes", got)
	}
}
