package talos

import (
	"net/netip"
	"slices"

	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
)

// ordered is a world whose answers may come in any order.
type ordered struct {
	name      string
	endpoints []string
	nodes     []string
	vips      []netip.Addr
	forwarded bool
	arrange   func(*world, []*fakeNode)
	want      string // the rows, allThree where nothing is said
	wantVIPs  string // 10.5.0.50 where nothing is said
	// also is announced as a node in some orders: another address of one, or a VIP
	// where nobody has told yet that it is one.
	also string
	// anyRelay says that any endpoint may forward.
	anyRelay bool
	// typed says that Addresses are not enough to be right: they have no types of
	// machines, and, where discovery is unanimous, not etcd's word for their addresses.
	typed bool
}

var inAnyOrder = []ordered{
	{name: "the endpoint is the VIP", endpoints: []string{"10.5.0.50"}, arrange: func(_ *world, n []*fakeNode) { discoverAll(n) }},
	{name: "and discovery is off", endpoints: []string{"10.5.0.50"}},
	{name: "the VIP and a node", endpoints: []string{"10.5.0.50", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) { discoverAll(n) }},
	{name: "all nodes, and discovery is off", endpoints: []string{"10.5.0.2", "10.5.0.3", "10.5.0.4"}},
	{name: "an endpoint by name, with another address where nobody is", endpoints: []string{"localhost"}, arrange: func(w *world, n []*fakeNode) {
		discoverAll(n)
		w.alias("127.0.0.1:50000", "10.5.0.2:50000")
	}},
	{name: "one machine at two endpoints", endpoints: []string{"10.5.0.102", "10.5.0.2", "10.5.0.3"}, arrange: func(w *world, n []*fakeNode) {
		discoverAll(n)
		n[0].carry("10.5.0.102/24")
		w.alias("10.5.0.102:50000", "10.5.0.2:50000")
	}, want: "cp-1@10.5.0.102, cp-2@10.5.0.3, cp-3@10.5.0.4", also: "10.5.0.2"},
	{name: "a node listed twice, as endpoint and as node", endpoints: []string{"10.5.0.2", "10.5.0.2"}, nodes: []string{"10.5.0.2", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) { discoverAll(n) }},
	{name: "a machine with two addresses, of which discovery has another first", endpoints: []string{"10.5.0.2", "10.5.0.3"}, arrange: twoHomed, typed: true},
	{name: "and the other address leads nowhere", endpoints: []string{"10.5.0.2", "10.5.0.3"}, arrange: func(w *world, n []*fakeNode) {
		twoHomed(w, n)
		w.hide("10.5.0.104:50000")
	}, typed: true},
	{name: "and is an endpoint at the other address", endpoints: []string{"10.5.0.104", "10.5.0.3"}, arrange: twoHomed, want: "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.104", also: "10.5.0.4"},
	{name: "which leads nowhere", endpoints: []string{"10.5.0.104", "10.5.0.3"}, arrange: func(w *world, n []*fakeNode) {
		twoHomed(w, n)
		w.hide("10.5.0.104:50000")
		w.isolate("10.5.0.104")
	}, want: "cp-1@10.5.0.2, cp-2@10.5.0.3, !cp-3@10.5.0.104"},
	{name: "one refuses, and discovery has it with its domain", endpoints: []string{"10.5.0.2", "10.5.0.3"}, arrange: func(w *world, n []*fakeNode) {
		withDomains(n)
		w.remove("10.5.0.4")
	}, want: "cp-1@10.5.0.2, cp-2@10.5.0.3, !cp-3@10.5.0.4"},
	{name: "one that nobody reaches but a relay", endpoints: []string{"10.5.0.2"}, arrange: func(w *world, n []*fakeNode) {
		discoverAll(n)
		w.hide("10.5.0.4:50000")
	}, want: "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4 via 10.5.0.2"},
	{name: "one that nobody reaches but relays, of which the VIP's owner is one", endpoints: []string{"10.5.0.50", "10.5.0.3"}, arrange: func(w *world, n []*fakeNode) {
		discoverAll(n)
		w.hide("10.5.0.4:50000")
	}, want: "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4 via any", anyRelay: true},
	{name: "a worker among the nodes", endpoints: []string{"10.5.0.2"}, nodes: []string{"10.5.0.9", "10.5.0.3"}, arrange: aWorker},
	{name: "a worker among the endpoints", endpoints: []string{"10.5.0.9", "10.5.0.50"}, nodes: []string{"10.5.0.9", "10.5.0.3"}, arrange: aWorker, typed: true},
	{name: "two VIPs with two owners", endpoints: []string{"10.5.0.50", "10.5.0.60"}, arrange: func(w *world, n []*fakeNode) {
		discoverAll(n)
		for _, one := range n {
			one.forgetVIPs()
			one.configureVIP("10.5.0.50", "10.5.0.60")
		}
		n[1].carry("10.5.0.60/32")
		w.alias("10.5.0.60:50000", "10.5.0.3:50000")
	}, wantVIPs: "[10.5.0.50 10.5.0.60]"},
	{name: "a VIP that is given, and an endpoint", endpoints: []string{"10.5.0.60", "10.5.0.2"}, vips: []netip.Addr{netip.MustParseAddr("10.5.0.60")}, arrange: func(w *world, n []*fakeNode) {
		w.alias("10.5.0.60:50000", "10.5.0.3:50000")
	}, wantVIPs: "[10.5.0.50 10.5.0.60]"},
	{name: "a member that was never started", endpoints: []string{"10.5.0.2"}, arrange: func(_ *world, n []*fakeNode) {
		for _, one := range n {
			one.members = append(slices.Clone(one.members), etcdMember(0xa4, "", "10.5.0.5"))
		}
	}},
	{name: "a load balancer", endpoints: []string{"10.9.9.9"}, arrange: func(w *world, n []*fakeNode) {
		discoverAll(n)
		w.alias("10.9.9.9:50000", "10.5.0.3:50000")
	}},
	{name: "a load balancer and the VIP", endpoints: []string{"10.9.9.9", "10.5.0.50"}, arrange: func(w *world, _ []*fakeNode) {
		w.alias("10.9.9.9:50000", "10.5.0.3:50000")
	}},
	{name: "the owner does not tell of the VIP", endpoints: []string{"10.5.0.50", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) {
		n[0].unknown = etcd.ConfigType
	}, also: "10.5.0.50"},
	{name: "a node does not tell of the VIP, which discovery has as the first address", endpoints: []string{"10.5.0.3", "10.5.0.4"}, arrange: func(_ *world, n []*fakeNode) {
		n[1].unknown = etcd.ConfigType
		vipFirst(n)
	}, also: "10.5.0.50"},
	{name: "discovery has the VIP as the first address", endpoints: []string{"10.5.0.3", "10.5.0.4"}, arrange: func(_ *world, n []*fakeNode) { vipFirst(n) }},
	{name: "only one node has the VIP configured, and another is asked", endpoints: []string{"10.5.0.3", "10.5.0.4"}, arrange: func(_ *world, n []*fakeNode) {
		vipFirst(n)
		for _, one := range n[1:] {
			one.forgetVIPs()
			one.configureVIP()
		}
	}, also: "10.5.0.50"},
	{name: "nobody tells of the VIP, which is nobody's own address for that", endpoints: []string{"10.5.0.3", "10.5.0.4"}, arrange: func(_ *world, n []*fakeNode) {
		vipFirst(n)
		for _, one := range n {
			one.unknown = etcd.ConfigType
		}
	}, wantVIPs: "[]", typed: true},
	{name: "two VIPs, each configured on one node", endpoints: []string{"10.5.0.50", "10.5.0.60"}, arrange: func(w *world, n []*fakeNode) {
		for i, vips := range [][]string{{"10.5.0.50"}, {"10.5.0.60"}, nil} {
			n[i].forgetVIPs()
			n[i].configureVIP(vips...)
		}
		n[1].carry("10.5.0.60/32")
		w.alias("10.5.0.60:50000", "10.5.0.3:50000")
	}, wantVIPs: "[10.5.0.50 10.5.0.60]"},
	{name: "two VIPs on the one node that is asked at both", endpoints: []string{"10.5.0.50", "10.5.0.60"}, arrange: func(w *world, n []*fakeNode) {
		discoverAll(n)
		n[0].forgetVIPs()
		n[0].configureVIP("10.5.0.50", "10.5.0.60")
		n[0].carry("10.5.0.60/32")
		w.alias("10.5.0.60:50000", "10.5.0.2:50000")
	}, wantVIPs: "[10.5.0.50 10.5.0.60]"},
	{name: "the VIP on a machine with two addresses, and domains", endpoints: []string{"10.5.0.50", "10.5.0.3"}, arrange: func(w *world, n []*fakeNode) {
		n[0].carry("10.5.0.102/24")
		w.alias("10.5.0.102:50000", "10.5.0.2:50000")
		for _, one := range n {
			one.discovers("cp-1.example.com", machinetype.TypeControlPlane, "10.5.0.50", "10.5.0.102", "10.5.0.2")
			one.discovers("cp-2.example.com", machinetype.TypeControlPlane, "10.5.0.3")
			one.discovers("cp-3.example.com", machinetype.TypeControlPlane, "10.5.0.4")
		}
	}, typed: true},
	{name: "etcd advertises the VIP as the owner's, who has another address, and discovery is off", endpoints: []string{"10.5.0.50", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) {
		for _, one := range n {
			one.members = slices.Clone(one.members)
			one.members[0] = etcdMember(0xa1, "cp-1", "10.5.0.50")
		}
	}},
	{name: "etcd advertises the VIP as the owner's", endpoints: []string{"10.5.0.3", "10.5.0.4"}, arrange: func(_ *world, n []*fakeNode) {
		discoverAll(n)
		for _, one := range n {
			one.members = slices.Clone(one.members)
			one.members[0] = etcdMember(0xa1, "cp-1", "10.5.0.50")
		}
	}},
	{name: "etcd has no quorum", endpoints: []string{"10.5.0.50", "10.5.0.4"}, arrange: func(_ *world, n []*fakeNode) {
		discoverAll(n)
		for _, one := range n {
			one.members = nil
		}
	}},
	{name: "one is not granted", endpoints: []string{"10.5.0.2", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) {
		discoverAll(n)
		n[0].denied.Store(true)
	}},
	{name: "two machines with one name", endpoints: []string{"10.5.0.2", "10.5.0.3"}, arrange: func(_ *world, n []*fakeNode) {
		n[2].name = "cp-2"
	}, want: "cp-1@10.5.0.2, cp-2 (10.5.0.3:50000)@10.5.0.3, cp-2 (10.5.0.4:50000)@10.5.0.4"},
	{name: "a node that only the talosconfig knows", endpoints: []string{"10.5.0.2"}, nodes: []string{"10.5.0.9"}, arrange: func(w *world, n []*fakeNode) {
		discoverAll(n)
		w.node("cp-new", "10.5.0.9", 0xa9).configureVIP("10.5.0.50")
	}, want: "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4, cp-new@10.5.0.9"},
	{name: "a proxy", endpoints: []string{"10.5.0.2"}, nodes: []string{"10.5.0.3", "10.5.0.4"}, forwarded: true, arrange: func(_ *world, n []*fakeNode) { discoverAll(n) }},
}

// aWorker is at 10.5.0.9, and discovers the others.
func aWorker(w *world, nodes []*fakeNode) {
	discoverAll(nodes)
	worker := w.node("worker", "10.5.0.9", 0)
	worker.setType(machinetype.TypeWorker)
	discoverTo(nodes, []*fakeNode{worker})
}

// vipFirst lets all discover each other, the owner by its VIP first.
func vipFirst(nodes []*fakeNode) {
	for _, n := range nodes {
		n.discovers("cp-1", machinetype.TypeControlPlane, "10.5.0.50", "10.5.0.2")
		discoverTo(nodes[1:], []*fakeNode{n})
	}
}

// forgetVIPs takes the node's configuration of them away.
func (n *fakeNode) forgetVIPs() {
	n.world.t.Helper()
	if err := n.state.Destroy(n.world.t.Context(), etcd.NewConfig(etcd.NamespaceName, etcd.ConfigID).Metadata()); err != nil {
		n.world.t.Fatal(err)
	}
}
