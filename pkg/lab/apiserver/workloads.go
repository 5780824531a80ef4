//go:build linux

package apiserver

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// workloads are kept, listed and watched like the rest. Nothing makes pods out
// of them: a lab has no controllers.
func workloads() []*resource {
	return []*resource{
		{
			GroupVersionKind: appsv1.SchemeGroupVersion.WithKind("DaemonSet"), plural: "daemonsets", singular: "daemonset", short: []string{"ds"},
			namespaced: true, all: true, prefix: "daemonsets", fresh: func() object { return &appsv1.DaemonSet{} },
			setStatus: func(to, from object) { to.(*appsv1.DaemonSet).Status = from.(*appsv1.DaemonSet).Status },
			columns:   columns("Name", "Desired", "Current", "Ready", "Up-to-date", "Available", "Node Selector", "Age"), cells: daemonSetCells,
		},
		{
			GroupVersionKind: appsv1.SchemeGroupVersion.WithKind("Deployment"), plural: "deployments", singular: "deployment", short: []string{"deploy"},
			namespaced: true, all: true, prefix: "deployments", fresh: func() object { return &appsv1.Deployment{} },
			setStatus: func(to, from object) { to.(*appsv1.Deployment).Status = from.(*appsv1.Deployment).Status },
			complete: func(o object) {
				if spec := &o.(*appsv1.Deployment).Spec; spec.Replicas == nil {
					spec.Replicas = new(int32(1))
				}
			},
			columns: columns("Name", "Ready", "Up-to-date", "Available", "Age"), cells: deploymentCells,
		},
	}
}

func daemonSetCells(o object) []any {
	d := o.(*appsv1.DaemonSet)
	s := d.Status
	selector := orNone(metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: d.Spec.Template.Spec.NodeSelector}))
	return []any{
		d.Name, s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.NumberReady, s.UpdatedNumberScheduled, s.NumberAvailable,
		selector, age(d.CreationTimestamp),
	}
}

func deploymentCells(o object) []any {
	d := o.(*appsv1.Deployment)
	wanted := int32(0)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	return []any{
		d.Name, fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, wanted), d.Status.UpdatedReplicas, d.Status.AvailableReplicas,
		age(d.CreationTimestamp),
	}
}
