//go:build linux

package node

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Times of the node lifecycle controller (Kubernetes v1.36
// pkg/controller/nodelifecycle/config/v1alpha1/defaults.go; the grace period
// was 40 s before v1.32).
const (
	nodeMonitorEvery = 5 * time.Second
	nodeMonitorGrace = 50 * time.Second
)

// heartbeats judges whose kubelet is silent: by this machine's own clock, from
// when it saw a lease renewed, so that clocks need not agree.
type heartbeats map[string]heartbeat

// heartbeat is a lease's renewal, and when it was seen.
type heartbeat struct {
	renewed metav1.MicroTime
	seen    time.Time
}

// see takes note of a lease and says whether its node is silent by now.
func (h heartbeats) see(lease coordinationv1.Lease, now time.Time) (silent bool) {
	var renewed metav1.MicroTime
	if lease.Spec.RenewTime != nil {
		renewed = *lease.Spec.RenewTime
	}
	last, known := h[lease.Name]
	if !known || !last.renewed.Equal(&renewed) {
		h[lease.Name] = heartbeat{renewed: renewed, seen: now}
		return false
	}
	return now.Sub(last.seen) > nodeMonitorGrace
}

// watchNodes does, until ctx ends, the one thing of kube-controller-manager
// that clients of a control plane wait for: it marks a node whose lease is
// silent. Every machine does so; who comes second finds the node changed.
func (m *machine) watchNodes(ctx context.Context) {
	seen := heartbeats{}
	for pause(ctx, nodeMonitorEvery) {
		var leases coordinationv1.LeaseList
		if m.parts.controller.get(ctx, leasesPath, &leases) != nil {
			clear(seen) // what is silent may be the apiserver
			continue
		}
		for _, lease := range leases.Items {
			if seen.see(lease, time.Now()) {
				m.markSilent(ctx, lease.Name)
			}
		}
	}
}

// markSilent sets the conditions of a node that is not heard of, if they are
// not set already. A node that changed meanwhile is looked at again next time.
func (m *machine) markSilent(ctx context.Context, name string) {
	var n corev1.Node
	path := nodesPath + "/" + name
	if m.parts.controller.get(ctx, path, &n) != nil || !silence(n.Status.Conditions, metav1.Now()) {
		return
	}
	if err := m.parts.controller.update(ctx, path+"/status", &n); err == nil {
		m.log.Printf("node %s: the kubelet stopped posting node status", name)
	}
}

// silence makes the conditions unknown and says whether any of them was not.
func silence(conditions []corev1.NodeCondition, now metav1.Time) (changed bool) {
	for i := range conditions {
		c := &conditions[i]
		if c.Status == corev1.ConditionUnknown {
			continue
		}
		c.Status, c.LastTransitionTime = corev1.ConditionUnknown, now
		c.Reason, c.Message = "NodeStatusUnknown", "Kubelet stopped posting node status."
		changed = true
	}
	return changed
}
