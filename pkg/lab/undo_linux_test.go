package lab

import (
	"testing"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
)

// TestUndoOfAllWaitsForTheNodesThatBoot undoes what only a node that is up can,
// together with its power cut.
func TestUndoOfAllWaitsForTheNodesThatBoot(t *testing.T) {
	l := start(t, func(s *Spec) { s.BootTime = time.Second })
	r := reach{t, l}
	for _, fault := range []string{"member-removed", "power-off"} {
		if err := l.Inject(t.Context(), FaultRequest{Fault: fault, Node: "cp-3"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Undo(t.Context(), FaultRequest{All: true}); err != nil {
		t.Errorf("Undo(all) = %v; want nil", err)
	}
	members, err := r.talos("10.5.0.2", "reader").EtcdMemberList(t.Context(), &machineapi.EtcdMemberListRequest{})
	if err != nil || len(members.GetMessages()[0].GetMembers()) != 3 {
		t.Errorf("members of etcd = %v, %v; want 3", members, err)
	}
}
