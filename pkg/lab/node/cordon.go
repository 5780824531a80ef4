//go:build linux

package node

import (
	"context"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// How long a machine that goes down tries to cordon its node, and the pause
// between attempts (Talos v1.13.9 v1alpha1_sequencer_tasks.go: a minute).
const (
	cordonTime  = time.Minute
	cordonRetry = 200 * time.Millisecond
)

// cordon marks the node as unschedulable, as Talos does before it drains it. A
// node that Kubernetes does not know is left alone. Where Talos would fail the
// sequence, as the API does not answer for a minute, this one goes on.
func (m *machine) cordon(ctx context.Context) {
	if m.parts.kubelet == nil || !exists(m, k8s.NewNodeStatus(k8s.NamespaceName, m.cfg.Name).Metadata()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cordonTime)
	defer cancel()
	m.journal.printf("waiting for node to be cordoned")
	for wait := time.Duration(0); pause(ctx, wait); wait = cordonRetry {
		if err := m.tryCordon(ctx); err == nil {
			return
		}
	}
	m.log.Printf("cordon the node: no answer of the API in %v", cordonTime)
}

func (m *machine) tryCordon(ctx context.Context) error {
	var n corev1.Node
	path := nodesPath + "/" + m.cfg.Name
	if err := m.parts.kubelet.get(ctx, path, &n); err != nil {
		return err
	}
	if !n.Spec.Unschedulable { // else somebody else did it, who undoes it, too
		n.Spec.Unschedulable = true
		if n.Annotations == nil {
			n.Annotations = map[string]string{}
		}
		n.Annotations[constants.AnnotationCordonedKey] = constants.AnnotationCordonedValue
		if err := m.parts.kubelet.update(ctx, path, &n); err != nil {
			return err
		}
	}
	put(m, "k8s.NodeStatusController", k8s.NewNodeStatus(k8s.NamespaceName, m.cfg.Name), func(r *k8s.NodeStatus) {
		r.TypedSpec().Unschedulable = true
	})
	return nil
}

// shutdownNotice is how long the kubelet of a machine that goes down may take
// to say so. It is its last word, and nothing waits for it longer.
const shutdownNotice = time.Second

// noticeShutdown reports the node as not ready, as a kubelet does that is told
// of a shutdown (Kubernetes v1.36 pkg/kubelet/nodestatus/setters.go).
func (m *machine) noticeShutdown(ctx context.Context) {
	if m.parts.kubelet == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownNotice)
	defer cancel()
	var n corev1.Node
	path := nodesPath + "/" + m.cfg.Name
	if m.parts.kubelet.get(ctx, path, &n) != nil {
		return // nobody to tell it to
	}
	now := metav1.Now()
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			c.Status, c.LastHeartbeatTime, c.LastTransitionTime = corev1.ConditionFalse, now, now
			c.Reason, c.Message = "KubeletNotReady", "node is shutting down"
		}
	}
	if err := m.parts.kubelet.update(ctx, path+"/status", &n); err != nil {
		m.log.Printf("kubelet: report the shutdown: %v", err)
	}
}

// cordoned says whether it was Talos that made the node unschedulable.
func cordoned(n *corev1.Node) bool {
	_, ours := n.Annotations[constants.AnnotationCordonedKey]
	return ours && n.Spec.Unschedulable
}

// uncordon takes it back once the machine is up again.
func (r *registration) uncordon(ctx context.Context, n *corev1.Node) error {
	n.Spec.Unschedulable = false
	delete(n.Annotations, constants.AnnotationCordonedKey)
	if err := r.m.parts.kubelet.update(ctx, nodesPath+"/"+n.Name, n); err != nil {
		return err
	}
	return r.node(ctx)
}
