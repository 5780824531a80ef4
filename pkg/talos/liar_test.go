package talos

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
)

// discoverAll lets the discovery of each name all of them.
func discoverAll(nodes []*fakeNode) { discoverTo(nodes, nodes) }

// discoverTo lets some know of nodes by discovery.
func discoverTo(nodes, some []*fakeNode) {
	for _, n := range some {
		for _, other := range nodes {
			n.discovers(other.name, machinetype.TypeControlPlane, other.addr)
		}
	}
}

// claimMember makes the node say that it is another member of etcd.
func (n *fakeNode) claimMember(id uint64) {
	n.world.t.Helper()
	r := etcd.NewMember(etcd.NamespaceName, etcd.LocalMemberID)
	if err := n.state.Destroy(n.world.t.Context(), r.Metadata()); err != nil {
		n.world.t.Fatal(err)
	}
	r.TypedSpec().MemberID = etcd.FormatMemberID(id)
	n.put(r)
}

// No node that lies, or is wrong, hides another, makes us ask strangers, or has
// its words reach a terminal as commands.
func TestLyingNode(t *testing.T) {
	for _, tt := range []struct {
		name      string
		endpoints []string // cp-1, which lies, where nothing is said
		arrange   func(*world, []*fakeNode)
		want      string
		addresses string // want of the address witness alone, where it is another
	}{
		{name: "it takes another's name", arrange: func(_ *world, n []*fakeNode) { n[0].name = "cp-2" },
			want: "cp-2 (10.5.0.2:50000)@10.5.0.2, cp-2 (10.5.0.3:50000)@10.5.0.3, cp-3@10.5.0.4"},
		{name: "it takes another's name, member ID and address", arrange: func(_ *world, n []*fakeNode) {
			n[0].name = "cp-2"
			n[0].claimMember(0xa2)
			n[0].carry("10.5.0.3/24")
		}, want: "cp-2 (10.5.0.2:50000)@10.5.0.2, cp-2 (10.5.0.3:50000)@10.5.0.3, cp-3@10.5.0.4"},
		{name: "it says that it is another, and nothing of its own address", arrange: func(_ *world, n []*fakeNode) {
			n[0].name = "cp-2"
			n[0].claimMember(0xa2)
			n[0].carry("10.5.0.3/24")
			n[0].shed("10.5.0.2/24")
		}, want: "cp-2 (10.5.0.2:50000)@10.5.0.2, cp-2 (10.5.0.3:50000)@10.5.0.3, cp-3@10.5.0.4"},
		{name: "it has the address of one that is silent", arrange: func(w *world, n []*fakeNode) {
			n[0].carry("10.5.0.3/24")
			w.remove("10.5.0.3")
		}, want: "cp-1@10.5.0.2, !cp-2@10.5.0.3, cp-3@10.5.0.4"},
		{name: "it calls another's address a VIP", endpoints: []string{"10.5.0.2", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) {
			n[0].reconfigureVIP("10.5.0.50", "10.5.0.3")
		}, want: allThree},
		{name: "it calls another's address a VIP, which no endpoint is", arrange: func(_ *world, n []*fakeNode) {
			n[0].reconfigureVIP("10.5.0.50", "10.5.0.3")
		}, want: allThree},
		{name: "it calls the address of one that is silent a VIP", arrange: func(w *world, n []*fakeNode) {
			n[0].reconfigureVIP("10.5.0.50", "10.5.0.3")
			w.remove("10.5.0.3")
		}, want: "cp-1@10.5.0.2, !cp-2@invalid IP, cp-3@10.5.0.4"},
		{name: "it leaves a member out that discovery knows", arrange: func(_ *world, n []*fakeNode) {
			discoverAll(n[1:])
			n[0].own = n[0].members[:2]
			n[0].discovers("cp-2", machinetype.TypeControlPlane, "10.5.0.3")
		}, want: allThree},
		{name: "it leaves a member out, and discovery is off", arrange: func(_ *world, n []*fakeNode) { n[0].own = n[0].members[:2] }, want: allThree},
		{name: "it is a member no more, and knows the past only", endpoints: []string{"10.5.0.2", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) {
			n[0].own = n[0].members[:1]
			n[1].own, n[2].own = n[1].members[1:], n[2].members[1:]
		}, want: allThree},
		{name: "it has an etcd of its own", endpoints: []string{"10.5.0.2", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) {
			n[0].own = []*machineapi.EtcdMember{etcdMember(0xb1, "cp-1", "10.5.0.2")}
		}, want: allThree},
		{name: "it names another's second address as a stranger's, where nobody is", arrange: func(_ *world, n []*fakeNode) {
			n[0].members = append([]*machineapi.EtcdMember{etcdMember(0xee, "ghost", "10.5.0.77")}, n[0].members...)
			for _, one := range n[:2] {
				one.discovers("cp-2", machinetype.TypeControlPlane, "10.5.0.3", "10.5.0.77")
			}
		}, want: "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4, !ghost@10.5.0.77"},
		{name: "it names thousands of members", arrange: func(_ *world, n []*fakeNode) {
			discoverAll(n)
			for i := range 5000 {
				n[0].own = append(n[0].own, etcdMember(uint64(i+1), fmt.Sprint("m", i), fmt.Sprintf("10.7.%d.%d", i/250, 1+i%250)))
			}
		}, want: allThree},
		{name: "it names addresses that are no machine's", arrange: func(_ *world, n []*fakeNode) {
			discoverAll(n)
			n[0].own = append([]*machineapi.EtcdMember{}, n[0].members...)
			for i, addr := range []string{"127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "169.254.1.1", "fe80::1", "::ffff:127.0.0.1", "::ffff:224.0.0.1"} {
				n[0].own = append(n[0].own, etcdMember(uint64(0xf00+i), fmt.Sprint("m", i), addr))
			}
			n[0].reconfigureVIP("10.5.0.50", "127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0")
		}, want: allThree + ", !m0@invalid IP, !m1@invalid IP, !m10@invalid IP, !m2@invalid IP, !m3@invalid IP, !m4@invalid IP, !m5@invalid IP, !m6@invalid IP, !m7@invalid IP, !m8@invalid IP, !m9@invalid IP", addresses: allThree},
		{name: "it has thousands of VIPs", arrange: func(_ *world, n []*fakeNode) {
			var vips []string
			for i := range 5000 {
				vips = append(vips, fmt.Sprintf("10.7.%d.%d", i/250, 1+i%250))
			}
			n[0].reconfigureVIP(vips...)
		}, want: allThree},
		{name: "its name is a command to the terminal", arrange: func(_ *world, n []*fakeNode) { n[0].name = "\x1b]0;owned\x07cp\u009b2J" },
			want: `"\x1b]0;owned\acp\u009b2J"@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			nodes := threeNodes(w)
			tt.arrange(w, nodes)
			endpoints := tt.endpoints
			if endpoints == nil {
				endpoints = []string{"10.5.0.2"}
			}
			for _, facts := range []Facts{Addresses, Ownership} {
				snap, err := w.client(endpoints...).Collect(t.Context(), CollectOptions{Facts: facts})
				want := tt.want
				if facts == Addresses {
					want = cmp.Or(tt.addresses, want)
				}
				if got := names(snap); err != nil || got != want {
					t.Errorf("Collect(%v) = %s, %v; want %s", facts, got, err, want)
				}
				for _, v := range snap.VIPs {
					if v.Addr != vip50 && v.Addr != netip.MustParseAddr("10.5.0.3") {
						t.Errorf("%s counts as a VIP", v.Addr)
					}
				}
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.dials) > 5 {
				t.Errorf("dialled %v; want the nodes alone", w.dials)
			}
		})
	}
}

func (n *fakeNode) reconfigureVIP(vips ...string) {
	n.world.t.Helper()
	if err := n.state.Destroy(n.world.t.Context(), etcd.NewConfig(etcd.NamespaceName, etcd.ConfigID).Metadata()); err != nil {
		n.world.t.Fatal(err)
	}
	n.configureVIP(vips...)
}

// However many hang, and whatever they are waited for, all is over in time.
func TestManyThatHang(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	for i := range maxMachines - 3 {
		addr := fmt.Sprintf("10.7.0.%d", i+1)
		nodes[0].members = append(nodes[0].members, etcdMember(uint64(0xf00+i), fmt.Sprint("m", i), addr))
		w.cutPower(addr + ":50000")
	}
	c := w.client("10.5.0.2", "no-such-host.invalid")
	c.cfg.Timeout = 3 * time.Second
	begun := time.Now()
	snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
	if took := time.Since(begun); err != nil || took > 4*c.cfg.Timeout { // each in turn: forty times that
		t.Errorf("Collect = %v after %v; want it within %v", err, took, c.cfg.Timeout)
	}
	if len(snap.Nodes) != maxMachines || !strings.HasPrefix(names(snap), allThree) {
		t.Errorf("%d rows: %s; want a row for each member", len(snap.Nodes), names(snap))
	}
}

// However many lie together, and however little each names: the whole of a look
// has an end.
func TestVisitsAreBounded(t *testing.T) {
	w := newWorld(t)
	timed, cancel := context.WithCancel(t.Context())
	cancel() // nobody is waited for
	s := newSurvey(timed, w.client("10.5.0.2"), CollectOptions{Facts: Ownership})
	for i := range 2 * maxVisits {
		s.meet(machine{addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})}}, nil)
	}
	if len(s.visits) != maxVisits {
		t.Errorf("%d machines are asked where %d were named; want %d at most", len(s.visits), 2*maxVisits, maxVisits)
	}
	for s.pending > 0 {
		(<-s.events)()
	}
	close(s.over)
}
