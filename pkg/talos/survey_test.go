package talos

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
)

// campaigning publishes a kubelet's lifecycle.
func (n *fakeNode) campaigning(phase resource.Phase, finalizers ...string) {
	r := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID)
	for _, f := range finalizers {
		r.Metadata().Finalizers().Add(f)
	}
	r.Metadata().SetPhase(phase)
	n.put(r)
}

func (n *fakeNode) wants(prefix string, layer network.ConfigLayer) {
	r := network.NewAddressSpec(network.NamespaceName, "eth0/"+prefix)
	*r.TypedSpec() = network.AddressSpecSpec{Address: netip.MustParsePrefix(prefix), LinkName: "eth0", ConfigLayer: layer}
	n.put(r)
}

func TestCollectElectionFacts(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[0].campaigning(resource.PhaseRunning, "vip/eth1", "other", "vip/eth0")
	nodes[1].campaigning(resource.PhaseTearingDown, "vip/eth0")
	nodes[0].wants("10.5.0.50/32", network.ConfigOperator)
	nodes[0].wants("10.5.0.2/24", network.ConfigMachineConfiguration)
	nodes[1].wants("10.5.0.3/24", network.ConfigLayer(77))
	nodes[1].clockAhead = -90 * time.Second
	snap, err := w.client("10.5.0.2").Collect(t.Context(), CollectOptions{Again: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	links := func(name string) string { return strings.Join(snap.Node(name).Campaigns.Value(), " ") }
	layers := func(name string) (out []string) {
		for _, l := range snap.Node(name).Layers.Value() {
			out = append(out, l.Prefix.String()+" "+l.Link+" "+l.Layer)
		}
		slices.Sort(out)
		return out
	}
	for _, check := range []struct{ what, got, want string }{
		{"links that are campaigned on", links("cp-1"), "eth0 eth1"},
		{"campaigns of one that is shutting down", links("cp-2"), ""},
		{"campaigns of one whose kubelet never ran", links("cp-3"), ""},
		{"their errors", snap.Node("cp-1").Campaigns.Err() + snap.Node("cp-2").Campaigns.Err() + snap.Node("cp-3").Campaigns.Err(), ""},
		{"layers", strings.Join(layers("cp-1"), ", "), "10.5.0.2/24 eth0 configuration, 10.5.0.50/32 eth0 operator"},
		{"a layer of a newer Talos", strings.Join(layers("cp-2"), ", "), "10.5.0.3/24 eth0 layer 77"},
	} {
		if check.got != check.want {
			t.Errorf("%s = %q; want %q", check.what, check.got, check.want)
		}
	}
	if c, ok := snap.Node("cp-2").Clock.Get(); !ok || c.Error <= 0 || c.Ahead+90 > c.Error || c.Ahead+90 < -c.Error {
		t.Errorf("clock of one that is 90 s behind = %+v, %v; want -90 within its error", c, ok)
	}
	for _, n := range snap.Nodes {
		if first, later := n.Etcd.Value().Index, n.EtcdLater.Value().Index; later != first+1 {
			t.Errorf("%s: raft index %d, later %d (%s); want it asked twice", n.Name, first, later, n.EtcdLater.Err())
		}
	}
	if snap.EtcdLaterAfter != 0.3 {
		t.Errorf("EtcdLaterAfter = %v; want 0.3", snap.EtcdLaterAfter)
	}
}

// The hook hears of everything once, in time for others to be asked meanwhile.
func TestLearned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[2].hangAll.Store(true)
	c := w.client("10.5.0.50", "10.5.0.2")
	c.cfg.Timeout = 4 * time.Second
	begun := time.Now()
	heard, last := map[netip.Addr]int{}, time.Duration(0)
	given := netip.MustParseAddr("10.5.0.60")
	first := true
	snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership, VIPs: []netip.Addr{given}, Learned: func(l Learned) {
		if first && !slices.Equal(l.VIPs, []netip.Addr{given}) {
			t.Errorf("learned %+v first; want the VIP that was given", l)
		}
		first = false
		for _, a := range slices.Concat(l.VIPs, l.Nodes) {
			heard[a]++
		}
		last = time.Since(begun)
		if slices.Contains(l.Nodes, vip50) || slices.Contains(l.Nodes, given) {
			t.Errorf("learned %+v; want no VIP among the nodes", l)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Addr{given}
	for _, v := range snap.VIPs {
		want = append(want, v.Addr)
	}
	for _, n := range snap.Nodes {
		want = append(want, n.Addr)
	}
	for _, a := range want {
		if heard[a] != 1 {
			t.Errorf("%s was announced %d times; want once", a, heard[a])
		}
	}
	if len(heard) != 5 || last > c.cfg.Timeout*3/4 {
		t.Errorf("heard of %v, the last after %v; want 3 nodes and 2 VIPs long before the hanging node's time is up", heard, last)
	}
}

// Who is reached at the VIP is no node there, however late its configuration
// tells of the VIP; and a VIP that somebody took for a node is told of as a VIP.
func TestLearnedAtTheVIP(t *testing.T) {
	for _, test := range []struct {
		name          string
		late, unknown resource.Type
	}{
		{"the owner tells of the VIP late", etcd.ConfigType, ""},
		{"the owner does not tell of it, another does", "", etcd.ConfigType},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			nodes := threeNodes(w)
			nodes[0].late, nodes[0].unknown = test.late, test.unknown
			for _, n := range nodes[1:] {
				n.late = etcd.ConfigType
			}
			var got Learned
			_, err := w.client("10.5.0.50", "10.5.0.3").Collect(t.Context(), CollectOptions{Facts: Ownership, Learned: func(l Learned) {
				got.VIPs, got.Nodes = append(got.VIPs, l.VIPs...), append(got.Nodes, l.Nodes...)
			}})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.VIPs, []netip.Addr{vip50}) {
				t.Errorf("learned the VIPs %v; want 10.5.0.50", got.VIPs)
			}
			if test.unknown == "" && slices.Contains(got.Nodes, vip50) {
				t.Errorf("learned the nodes %v; want no VIP among them", got.Nodes)
			}
		})
	}
}

// One node tells of the members; the others are asked only where it does not.
// Who wants addresses alone asks nobody, unless discovery needs it.
func TestSharedQuestions(t *testing.T) {
	for _, tt := range []struct {
		name      string
		facts     Facts // Ownership where nothing is said
		endpoints []string
		arrange   func(*world, []*fakeNode)
		want      int32 // of the three nodes, how many were asked for members
	}{
		{name: "one is enough where discovery bears it out", endpoints: []string{"10.5.0.2", "10.5.0.3", "10.5.0.4"}, arrange: func(_ *world, n []*fakeNode) { discoverAll(n) }, want: 1},
		{name: "nor one that nobody bears out", endpoints: []string{"10.5.0.2"}, want: 3},
		{name: "nor one that another node's discovery contradicts", endpoints: []string{"10.5.0.2"}, arrange: func(_ *world, n []*fakeNode) {
			discoverTo(n, n[:2])
			n[2].discovers("cp-1", machinetype.TypeControlPlane, "10.5.0.2")
			n[2].discovers("cp-3", machinetype.TypeControlPlane, "10.5.0.4")
		}, want: 3},
		{name: "one that errs is not", endpoints: []string{"10.5.0.2"}, arrange: func(_ *world, n []*fakeNode) {
			n[0].members = nil
			n[0].discovers("cp-2", machinetype.TypeControlPlane, "10.5.0.3")
			n[0].discovers("cp-3", machinetype.TypeControlPlane, "10.5.0.4")
		}, want: 3},
		{name: "nor one that hangs", endpoints: []string{"10.5.0.2"}, arrange: func(_ *world, n []*fakeNode) {
			n[0].hangMembers.Store(true)
			n[0].discovers("cp-2", machinetype.TypeControlPlane, "10.5.0.3")
			n[0].discovers("cp-3", machinetype.TypeControlPlane, "10.5.0.4")
		}, want: 3},
		{name: "none for addresses, where discovery is unanimous", facts: Addresses, endpoints: []string{"10.5.0.2"}, arrange: func(_ *world, n []*fakeNode) { discoverAll(n) }, want: 0},
		{name: "even if no node is an endpoint by its own address", facts: Addresses, endpoints: []string{"10.5.0.50"}, arrange: func(_ *world, n []*fakeNode) { discoverAll(n) }, want: 0},
		{name: "all where discovery is off", facts: Addresses, endpoints: []string{"10.5.0.2"}, want: 3},
		{name: "all where the discovery of an endpoint was lost", facts: Addresses, endpoints: []string{"10.5.0.2", "10.5.0.4"}, arrange: func(_ *world, n []*fakeNode) {
			discoverAll(n[:2])
			discoverTo(n[2:], n[2:])
		}, want: 3},
		{name: "all where discovery knows the others only", facts: Addresses, endpoints: []string{"10.5.0.2"}, arrange: func(_ *world, n []*fakeNode) { discoverTo(n[1:], n) }, want: 3},
		{name: "all where two nodes know different others", facts: Addresses, endpoints: []string{"10.5.0.2", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) {
			discoverTo(n[:2], n[:1])
			discoverTo(n, n[1:])
		}, want: 3},
		{name: "one where a node of discovery hangs", facts: Addresses, endpoints: []string{"10.5.0.2"}, arrange: func(_ *world, n []*fakeNode) {
			discoverAll(n)
			n[2].hangAll.Store(true)
		}, want: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ask := func() (asked int32) {
				w := newWorld(t)
				nodes := threeNodes(w)
				if tt.arrange != nil {
					tt.arrange(w, nodes)
				}
				c := w.client(tt.endpoints...)
				c.cfg.Timeout = 4 * time.Second
				snap, err := c.Collect(t.Context(), CollectOptions{Facts: cmp.Or(tt.facts, Ownership)})
				if found := strings.ReplaceAll(names(snap), "!", ""); err != nil || found != allThree {
					t.Errorf("Collect = %s, %v; want %s", names(snap), err, allThree)
				}
				for _, n := range nodes {
					asked += min(n.memberLists.Load(), 1)
				}
				return asked
			}
			asked := ask()
			// A busy machine makes one wait for sharedPatience, but not every time.
			for range 5 {
				if asked <= tt.want {
					break
				}
				asked = ask()
			}
			if asked != tt.want {
				t.Errorf("%d nodes were asked for the members; want %d", asked, tt.want)
			}
		})
	}
}

// A relay is asked beside the direct way, and long before the time is up.
func TestRelayIsHedged(t *testing.T) {
	for _, tt := range []struct {
		name    string
		arrange func(*world, []*fakeNode)
		want    string
		reason  string
		within  time.Duration
		answer  string // why the node does not
	}{
		{
			name: "dialling hangs", arrange: func(w *world, _ []*fakeNode) { w.cutPower("10.5.0.4:50000") },
			want: "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4 via 10.5.0.2", reason: "no answer from 10.5.0.4:50000", within: 4500 * time.Millisecond,
		},
		{
			name: "dialling is refused", arrange: func(w *world, _ []*fakeNode) { w.hide("10.5.0.4:50000") },
			want: "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4 via 10.5.0.2", reason: "connection refused", within: 1800 * time.Millisecond,
		},
		{
			name: "the node is dead: half of the time is enough", arrange: func(w *world, _ []*fakeNode) {
				w.cutPower("10.5.0.4:50000")
				w.isolate("10.5.0.4")
			},
			want: "cp-1@10.5.0.2, cp-2@10.5.0.3, !cp-3@10.5.0.4", within: 5 * time.Second,
			answer: "no answer from 10.5.0.4:50000 within some time: no connection comes about, nor through 10.5.0.2",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.arrange(w, threeNodes(w))
			c := w.client("10.5.0.2")
			c.cfg.Timeout = 6 * time.Second
			begun := time.Now()
			snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
			took := time.Since(begun)
			if err != nil || names(snap) != tt.want || took > tt.within {
				t.Errorf("Collect = %s, %v after %v; want %s within %v", names(snap), err, took, tt.want, tt.within)
			}
			if got := snap.Node("cp-3").ViaReason; !strings.HasPrefix(got, tt.reason) || (got == "") != (tt.reason == "") {
				t.Errorf("ViaReason = %q; want %q", got, tt.reason)
			}
			if got := duration.ReplaceAllString(snap.Node("cp-3").Reachable.Err(), "within some time"); got != tt.answer {
				t.Errorf("it does not answer for %q; want %q", got, tt.answer)
			}
		})
	}
}

func TestNoQuorumIsNoTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range threeNodes(w) {
		n.hangMembers.Store(true)
	}
	c := w.client("10.5.0.2", "10.5.0.3", "10.5.0.4")
	c.cfg.Timeout = 4 * time.Second
	begun := time.Now()
	snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
	if took := time.Since(begun); err != nil || names(snap) != allThree || took > c.cfg.Timeout*9/10 {
		t.Errorf("Collect = %s, %v after %v; want %s after half of the timeout of %v", names(snap), err, took, allThree, c.cfg.Timeout)
	}
	for _, n := range snap.Nodes {
		if !n.Addresses.Known() || !gaveUp(n.Members.Err(), c.cfg.Timeout/2) {
			t.Errorf("%s: addresses %q, members %q; want the former only", n.Name, n.Addresses.Err(), n.Members.Err())
		}
	}
}
