//go:build linux

package node

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A step looks at the lease so long after the first look, when it was last
// renewed at that time of the kubelet's clock.
func TestHeartbeatsAreJudgedByOurOwnClock(t *testing.T) {
	type step struct {
		after   time.Duration
		renewed int64
		silent  bool
	}
	for name, steps := range map[string][]step{
		"a lease just met is not silent, however old": {{0, 1, false}},
		"one renewed in time never is":                {{0, 1, false}, {49 * time.Second, 2, false}, {98 * time.Second, 3, false}},
		"one not renewed is, after the grace period":  {{0, 1, false}, {50 * time.Second, 1, false}, {51 * time.Second, 1, true}},
		"a kubelet whose clock jumps back is heard":   {{0, 1000, false}, {51 * time.Second, 5, false}},
		"one that comes back is heard at once":        {{0, 1, false}, {60 * time.Second, 1, true}, {61 * time.Second, 2, false}},
	} {
		seen, begin := heartbeats{}, time.Now()
		for _, s := range steps {
			lease := coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "cp-1"}}
			lease.Spec.RenewTime = new(metav1.NewMicroTime(time.Unix(s.renewed, 0)))
			if got := seen.see(lease, begin.Add(s.after)); got != s.silent {
				t.Errorf("%s: after %v, renewed at %d: silent = %v; want %v", name, s.after, s.renewed, got, s.silent)
			}
		}
	}
}

func TestSilentNodeIsUnknownAndComesBackReady(t *testing.T) {
	begin := metav1.NewTime(time.Unix(1000, 0))
	later, back := metav1.NewTime(time.Unix(1060, 0)), metav1.NewTime(time.Unix(1100, 0))
	all := conditions(begin, nil)
	n := &corev1.Node{Status: corev1.NodeStatus{Conditions: all}}
	if !isReady(n) {
		t.Fatalf("conditions() = %v; want a ready node", all)
	}
	if !silence(all, later) || isReady(n) {
		t.Errorf("silence() leaves %v; want none but unknown", all)
	}
	for _, c := range all {
		if c.Status != corev1.ConditionUnknown || !c.LastTransitionTime.Equal(&later) || c.Reason != "NodeStatusUnknown" {
			t.Errorf("condition = %+v; want it unknown since %v", c, later)
		}
	}
	if silence(all, back) {
		t.Error("silence() of a node that is marked = true; want false, so that nothing is written")
	}
	n.Status.Conditions = conditions(back, all)
	if c := n.Status.Conditions[3]; !isReady(n) || !c.LastTransitionTime.Equal(&back) {
		t.Errorf("the condition of a node that is back = %+v; want it ready since %v", c, back)
	}
	if c := conditions(later, conditions(begin, nil))[3]; !c.LastTransitionTime.Equal(&begin) || !c.LastHeartbeatTime.Equal(&later) {
		t.Errorf("the condition of a node that stayed ready = %+v; want it ready since %v", c, begin)
	}
}
