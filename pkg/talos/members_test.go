package talos

import (
	"testing"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
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
