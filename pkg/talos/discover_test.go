package talos

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"

	"github.com/vipctl/vipctl/pkg/cluster"
)

var vip50 = netip.MustParseAddr("10.5.0.50")

// names are the rows as "name@address", with "via" and "!" for the unreachable.
func names(s *cluster.Snapshot) string {
	var out []string
	for _, n := range s.Nodes {
		row := n.Name + "@" + n.Addr.String()
		if n.Via != "" {
			row += " via " + n.Via
		}
		if !n.Reachable.Known() {
			row = "!" + row
		}
		out = append(out, row)
	}
	return strings.Join(out, ", ")
}

const allThree = "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4"

func TestDiscovery(t *testing.T) {
	for _, tt := range []struct {
		name      string
		endpoints []string
		nodes     []string
		vips      []netip.Addr
		arrange   func(*world, []*fakeNode)
		want      string
		wantVIPs  string
	}{
		{name: "one endpoint names the others", endpoints: []string{"10.5.0.2"}, want: allThree},
		{name: "all endpoints", endpoints: []string{"10.5.0.2", "10.5.0.3", "10.5.0.4"}, want: allThree},
		{name: "an endpoint with a port, and one that is a URL", endpoints: []string{"10.5.0.2:50000", "https://10.5.0.3:50000"}, want: allThree},
		{name: "talosconfig nodes name one node and change nothing", endpoints: []string{"10.5.0.2"}, nodes: []string{"10.5.0.3"}, want: allThree},
		{name: "the endpoint is the VIP and no node", endpoints: []string{"10.5.0.50"}, want: allThree},
		{
			name: "the endpoint is the VIP and etcd has no quorum: its owner is asked at its own address", endpoints: []string{"10.5.0.50"},
			arrange: func(_ *world, n []*fakeNode) { n[0].members = nil },
			want:    "cp-1@10.5.0.2",
		},
		{
			name: "no quorum: discovery names the others, and its first address is the VIP", endpoints: []string{"10.5.0.3"},
			arrange: func(_ *world, n []*fakeNode) {
				n[1].members = nil
				n[1].discovers("cp-1", machinetype.TypeControlPlane, "10.5.0.50", "10.5.0.2")
				n[1].discovers("cp-3", machinetype.TypeControlPlane, "10.5.0.4")
				n[1].discovers("worker", machinetype.TypeWorker, "10.5.0.9")
			},
			want: allThree,
		},
		{
			name: "etcd advertises the VIP as the peer address of its owner", endpoints: []string{"10.5.0.3"},
			arrange: func(_ *world, n []*fakeNode) {
				n[1].members = slices.Clone(n[1].members)
				n[1].members[0] = etcdMember(0xa1, "cp-1", "10.5.0.50")
				n[1].discovers("cp-1", machinetype.TypeControlPlane, "10.5.0.50", "10.5.0.2")
			},
			want: allThree,
		},
		{
			name: "one machine at two addresses is one node", endpoints: []string{"10.5.0.102", "10.5.0.3"},
			arrange: func(w *world, n []*fakeNode) {
				n[0].carry("10.5.0.102/24")
				w.alias("10.5.0.102:50000", "10.5.0.2:50000")
			},
			want: "cp-1@10.5.0.102, cp-2@10.5.0.3, cp-3@10.5.0.4",
		},
		{
			name: "a member that refuses is a row", endpoints: []string{"10.5.0.2"},
			arrange: func(w *world, n []*fakeNode) { w.remove("10.5.0.4") },
			want:    "cp-1@10.5.0.2, cp-2@10.5.0.3, !cp-3@10.5.0.4",
		},
		{
			name: "an endpoint that refuses is a row by the name that etcd has for it", endpoints: []string{"10.5.0.4", "10.5.0.2"},
			arrange: func(w *world, n []*fakeNode) { w.remove("10.5.0.4") },
			want:    "cp-1@10.5.0.2, cp-2@10.5.0.3, !cp-3@10.5.0.4",
		},
		{
			name: "a node that cannot be dialled is read through an endpoint", endpoints: []string{"10.5.0.2"},
			arrange: func(w *world, n []*fakeNode) { w.hide("10.5.0.4:50000") },
			want:    "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4 via 10.5.0.2",
		},
		{
			name: "a talosconfig node that is a worker, and one that is nobody, are no rows", endpoints: []string{"10.5.0.2"}, nodes: []string{"10.5.0.9", "10.5.0.10"},
			arrange: func(w *world, _ []*fakeNode) {
				worker := w.node("worker", "10.5.0.9", 0)
				worker.setType(machinetype.TypeWorker)
			},
			want: allThree,
		},
		{
			name: "a talosconfig node that proves to be a control plane is one", endpoints: []string{"10.5.0.2"}, nodes: []string{"10.5.0.9"},
			arrange: func(w *world, _ []*fakeNode) { w.node("cp-new", "10.5.0.9", 0xa9).configureVIP("10.5.0.50") },
			want:    "cp-1@10.5.0.2, cp-2@10.5.0.3, cp-3@10.5.0.4, cp-new@10.5.0.9",
		},
		{
			name: "two machines with one name stay two", endpoints: []string{"10.5.0.2"},
			arrange: func(w *world, n []*fakeNode) { n[2].name = "cp-2" },
			want:    "cp-1@10.5.0.2, cp-2 (10.5.0.3:50000)@10.5.0.3, cp-2 (10.5.0.4:50000)@10.5.0.4",
		},
		{
			name: "a VIP given by hand is added, and no node's address", endpoints: []string{"10.5.0.2", "10.5.0.60"}, vips: []netip.Addr{netip.MustParseAddr("10.5.0.60")},
			want: allThree, wantVIPs: "[10.5.0.50 10.5.0.60]",
		},
		{
			name: "a node behind a load balancer is asked at its own address", endpoints: []string{"10.9.9.9"},
			arrange: func(w *world, n []*fakeNode) { w.alias("10.9.9.9:50000", "10.5.0.3:50000") },
			want:    allThree,
		},
		{name: "an endpoint by name", endpoints: []string{"localhost"}, arrange: func(w *world, _ []*fakeNode) {
			w.alias("127.0.0.1:50000", "10.5.0.2:50000")
		}, want: allThree},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			nodes := threeNodes(w)
			if tt.arrange != nil {
				tt.arrange(w, nodes)
			}
			c := w.open(w.config(tt.endpoints, tt.nodes))
			snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership, VIPs: tt.vips})
			if err != nil {
				t.Fatal(err)
			}
			if fewer, err := w.open(w.config(tt.endpoints, tt.nodes)).Collect(t.Context(), CollectOptions{Facts: Addresses, VIPs: tt.vips}); err != nil || names(fewer) != tt.want {
				t.Errorf("nodes of Addresses = %s, %v; want %s", names(fewer), err, tt.want)
			}
			if got := names(snap); got != tt.want {
				t.Errorf("nodes = %s; want %s", got, tt.want)
			}
			var vips []netip.Addr
			for _, v := range snap.VIPs {
				vips = append(vips, v.Addr)
			}
			want := tt.wantVIPs
			if want == "" {
				want = "[10.5.0.50]"
			}
			if got := strings.TrimSpace(addrs(vips)); got != want {
				t.Errorf("VIPs = %s; want %s", got, want)
			}
			if len(snap.Endpoints) != len(tt.endpoints) || snap.Endpoints[0].Name != tt.endpoints[0] || len(snap.Endpoints[0].Addresses) == 0 {
				t.Errorf("endpoints = %v; want %v with addresses", snap.Endpoints, tt.endpoints)
			}
		})
	}
}

func addrs(list []netip.Addr) string {
	var s []string
	for _, a := range list {
		s = append(s, a.String())
	}
	return "[" + strings.Join(s, " ") + "]"
}
