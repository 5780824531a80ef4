package talos

import (
	"net/netip"
	"testing"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// Each node's own list counts, for a list of any member's hides that they differ.
func TestOwnMembers(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[2].own = nodes[2].members[:2]
	snap, err := w.client("10.5.0.2").Collect(t.Context(), CollectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"cp-1": 3, "cp-2": 3, "cp-3": 2} {
		if got := len(snap.Node(name).Members.Value()); got != want {
			t.Errorf("%s lists %d members; want %d", name, got, want)
		}
	}
}

// A member without a name was added and never started, so nobody may be there.
func TestMemberThatNeverStarted(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	with := append([]*machineapi.EtcdMember{etcdMember(0xf9, "", "10.5.0.9")}, nodes[0].members...)
	for _, n := range nodes {
		n.members = with
	}
	snap, err := w.client("10.5.0.2").Collect(t.Context(), CollectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Nodes) != 3 || len(snap.Nodes[0].Members.Value()) != 4 {
		t.Errorf("%d nodes, %d members; want three nodes and four members", len(snap.Nodes), len(snap.Nodes[0].Members.Value()))
	}
}

// What discovery has for a host name is a member's only where it is one machine's.
func TestDiscoveredByName(t *testing.T) {
	peer := func(name, addr string, controlPlane bool) cluster.PeerAddress {
		return cluster.PeerAddress{Hostname: name, ControlPlane: controlPlane, Addresses: []netip.Addr{netip.MustParseAddr(addr)}}
	}
	for _, tt := range []struct {
		name    string
		members []string
		peers   []cluster.PeerAddress
		want    string
	}{
		{"one of each", []string{"cp-1", "cp-2"}, []cluster.PeerAddress{peer("cp-1", "10.5.0.2", true), peer("cp-2", "10.5.0.3", true)}, "10.5.0.2"},
		{"two machines of discovery share the name", []string{"cp-1"}, []cluster.PeerAddress{peer("cp-1", "10.5.0.2", true), peer("cp-1", "10.5.0.3", true)}, ""},
		{"two members share the name", []string{"cp-1", "cp-1"}, []cluster.PeerAddress{peer("cp-1", "10.5.0.2", true)}, ""},
		{"a worker has it", []string{"cp-1"}, []cluster.PeerAddress{peer("cp-1", "10.5.0.2", false)}, ""},
		{"discovery is off", []string{"cp-1"}, nil, ""},
	} {
		n := &cluster.Node{Discovery: cluster.Got(tt.peers)}
		var members []cluster.Member
		for _, name := range tt.members {
			members = append(members, cluster.Member{Hostname: name})
		}
		n.Members = cluster.Got(members)
		got := ""
		for _, addr := range discovered(n, "cp-1") {
			got += addr.String()
		}
		if got != tt.want {
			t.Errorf("%s: discovered(cp-1) = %q; want %q", tt.name, got, tt.want)
		}
	}
}

// Who forwards must be a control-plane node: a worker forwards to nobody.
func TestWhoForwards(t *testing.T) {
	for _, tt := range []struct {
		name   string
		typ    string
		origin origin
		heard  topic
		want   bool
	}{
		{"an endpoint", "controlplane", fromEndpoint, ofVIPs, true},
		{"an endpoint that is a worker", "worker", fromEndpoint, ofVIPs, false},
		{"one that has not said yet whether it has VIPs", "controlplane", fromEndpoint, 0, false},
		{"one that is named by another node only", "controlplane", fromMembers, ofVIPs, false},
	} {
		s := &survey{client: &Client{cfg: &Config{}}}
		a := &attempt{reply: reply{heard: tt.heard}}
		a.reply.node.Reachable, a.reply.node.Type = cluster.Got(true), cluster.Got(tt.typ)
		v := &visit{origin: tt.origin, direct: a}
		s.answered(v)
		if got := s.relay == v; got != tt.want {
			t.Errorf("%s: it is the relay: %t; want %t", tt.name, got, tt.want)
		}
	}
}
