//go:build linux

package node

import (
	"context"
	"net/netip"

	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
)

const podsPath = "/api/v1/namespaces/kube-system/pods"

// mirrored is what Kubernetes is told of a static pod.
type mirrored int

const (
	mirrorUnknown mirrored = iota // nothing yet
	mirrorAbsent
	mirrorUnready
	mirrorReady
)

// mirror shows the control plane's static pods in the API, as far as what it
// shows there is not what is true.
func (r *registration) mirror(ctx context.Context) error {
	for _, name := range controlPlanePods {
		is := r.pod(name)
		if r.mirrored[name] == is {
			continue
		}
		if err := r.mirrorPod(ctx, name, is); err != nil {
			return err
		}
		r.mirrored[name] = is
	}
	return nil
}

func (r *registration) mirrorPod(ctx context.Context, name string, is mirrored) error {
	pod := r.staticPod(name)
	path := podsPath + "/" + pod.Name
	if is == mirrorAbsent {
		// Node authorization forbids a kubelet what is not there.
		err := r.m.parts.kubelet.delete(ctx, path+"?gracePeriodSeconds=0")
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			return err
		}
		return nil
	}
	// Node authorization shows a kubelet no pod that is not there: create first.
	err := r.m.parts.kubelet.create(ctx, podsPath, &pod)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	var have corev1.Pod
	if err := r.m.parts.kubelet.get(ctx, path, &have); err != nil {
		return err
	}
	if have.Annotations[corev1.MirrorPodAnnotationKey] != r.m.boot.ID { // of a boot before
		if err := r.m.parts.kubelet.delete(ctx, path+"?gracePeriodSeconds=0"); err != nil {
			return err
		}
		return r.mirrorPod(ctx, name, is)
	}
	have.Status = mirrorStatus(name, r.m.cfg.Addr.Addr(), metav1.Now(), is == mirrorReady)
	return r.m.parts.kubelet.update(ctx, path+"/status", &have)
}

// staticPod is the mirror pod of that part of the control plane. Its
// annotations tell a boot from another.
func (r *registration) staticPod(name string) corev1.Pod {
	container := corev1.Container{Name: name, Image: "registry.k8s.io/" + name + ":" + r.m.cfg.KubernetesVersion}
	if name == k8s.APIServerID {
		container.Ports = []corev1.ContainerPort{{ContainerPort: apiserver.Port, HostPort: apiserver.Port, Protocol: corev1.ProtocolTCP}}
	}
	return corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name + "-" + r.m.cfg.Name, Namespace: metav1.NamespaceSystem,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: r.m.cfg.Name, UID: r.uid, Controller: new(true)}},
			Labels:          map[string]string{"k8s-app": name, "component": name, "tier": "control-plane"},
			Annotations: map[string]string{
				corev1.MirrorPodAnnotationKey: r.m.boot.ID,
				"kubernetes.io/config.hash":   r.m.boot.ID,
				"kubernetes.io/config.source": "http",
				"talos.dev/config-version":    "1",
			},
		},
		Spec: corev1.PodSpec{
			NodeName: r.m.cfg.Name, HostNetwork: true, PriorityClassName: "system-cluster-critical",
			Containers: []corev1.Container{container},
		},
	}
}

func mirrorStatus(name string, addr netip.Addr, now metav1.Time, ready bool) corev1.PodStatus {
	condition := map[bool]corev1.ConditionStatus{true: corev1.ConditionTrue, false: corev1.ConditionFalse}[ready]
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, HostIP: addr.String(), PodIP: addr.String(), StartTime: &now,
		PodIPs: []corev1.PodIP{{IP: addr.String()}}, HostIPs: []corev1.HostIP{{IP: addr.String()}},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: name, Ready: ready, Started: new(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		}},
	}
	for kind, state := range map[corev1.PodConditionType]corev1.ConditionStatus{
		corev1.PodScheduled: corev1.ConditionTrue, corev1.PodInitialized: corev1.ConditionTrue,
		corev1.ContainersReady: condition, corev1.PodReady: condition,
	} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: state, LastTransitionTime: now})
	}
	return status
}
