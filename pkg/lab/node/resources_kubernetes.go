//go:build linux

package node

import (
	"runtime"

	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
)

// publishOthers shows the pods of the control plane that have no process in
// the lab, as running and ready for as long as the kubelet runs.
func (k *kubelet) publishOthers() {
	for _, name := range controlPlanePods[1:] {
		put(k.m, staticPodOwner, k.other(name), func(r *k8s.StaticPodStatus) {
			r.TypedSpec().PodStatus = podStatus(name, true)
		})
	}
}

// dropOthers removes them with the kubelet.
func (k *kubelet) dropOthers() {
	for _, name := range controlPlanePods[1:] {
		drop(k.m, staticPodOwner, k.other(name).Metadata())
	}
}

func (k *kubelet) other(name string) *k8s.StaticPodStatus {
	return k8s.NewStaticPodStatus(k8s.NamespaceName, "kube-system/"+name+"-"+k.m.cfg.Name)
}

// podStatus is the status of a pod that runs, as far as Talos shows it.
func podStatus(container string, ready bool) map[string]any {
	condition := map[bool]string{true: "True", false: "False"}[ready]
	return map[string]any{
		"phase": "Running",
		"conditions": []any{
			map[string]any{"type": "Initialized", "status": "True"},
			map[string]any{"type": "Ready", "status": condition},
			map[string]any{"type": "ContainersReady", "status": condition},
			map[string]any{"type": "PodScheduled", "status": "True"},
		},
		"containerStatuses": []any{map[string]any{"name": container, "ready": ready}},
	}
}

// publishNodeStatus shows the node, unless it is shown already, as Kubernetes
// has it since its kubelet reached the API. It stays when the kubelet goes, as
// on Talos, where only Kubernetes takes the word back.
func (m *machine) publishNodeStatus() {
	if exists(m, k8s.NewNodeStatus(k8s.NamespaceName, m.cfg.Name).Metadata()) {
		return
	}
	put(m, "k8s.NodeStatusController", k8s.NewNodeStatus(k8s.NamespaceName, m.cfg.Name), func(r *k8s.NodeStatus) {
		labels := map[string]string{"kubernetes.io/arch": runtime.GOARCH, "kubernetes.io/hostname": m.cfg.Name, "kubernetes.io/os": "linux"}
		if !m.cfg.Worker {
			labels["node-role.kubernetes.io/control-plane"] = ""
			labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
		}
		*r.TypedSpec() = k8s.NodeStatusSpec{Nodename: m.cfg.Name, NodeReady: true, Labels: labels}
	})
}
