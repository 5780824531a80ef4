//go:build linux

package apiserver

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func core(kind string) schema.GroupVersionKind { return corev1.SchemeGroupVersion.WithKind(kind) }

// clusterResources are those that belong to no namespace.
func clusterResources() []*resource {
	return []*resource{
		{
			GroupVersionKind: core("Namespace"), plural: "namespaces", singular: "namespace", short: []string{"ns"},
			prefix: "namespaces", fresh: func() object { return &corev1.Namespace{} },
			setStatus: func(to, from object) { to.(*corev1.Namespace).Status = from.(*corev1.Namespace).Status },
			complete: func(o object) {
				ns := o.(*corev1.Namespace)
				ns.Status.Phase = corev1.NamespaceActive
				if ns.Labels == nil {
					ns.Labels = map[string]string{}
				}
				ns.Labels[corev1.LabelMetadataName] = ns.Name
			},
			fields: func(o object) fields.Set {
				return fields.Set{"status.phase": string(o.(*corev1.Namespace).Status.Phase)}
			},
			columns: namespaceColumns(), cells: namespaceCells,
		},
		{
			GroupVersionKind: core("Node"), plural: "nodes", singular: "node", short: []string{"no"},
			prefix: "minions", fresh: func() object { return &corev1.Node{} },
			setStatus: func(to, from object) { to.(*corev1.Node).Status = from.(*corev1.Node).Status },
			columns:   nodeColumns(), cells: nodeCells,
		},
	}
}

// namespacedResources are those that lie in a namespace.
func namespacedResources() []*resource {
	return []*resource{
		{
			GroupVersionKind: core("ConfigMap"), plural: "configmaps", singular: "configmap", short: []string{"cm"}, namespaced: true,
			prefix: "configmaps", fresh: func() object { return &corev1.ConfigMap{} },
			columns: configMapColumns(), cells: configMapCells,
		},
		{
			GroupVersionKind: core("Endpoints"), plural: "endpoints", singular: "endpoints", short: []string{"ep"}, namespaced: true,
			prefix: "services/endpoints", fresh: func() object { return &corev1.Endpoints{} }, //nolint:staticcheck // deprecated, and still served
			columns: endpointsColumns(), cells: endpointsCells,
		},
		{
			GroupVersionKind: core("Event"), plural: "events", singular: "event", short: []string{"ev"}, namespaced: true,
			prefix: "events", fresh: func() object { return &corev1.Event{} },
			fields: eventFields, columns: eventColumns(), cells: eventCells,
		},
		{
			GroupVersionKind: core("Pod"), plural: "pods", singular: "pod", short: []string{"po"}, namespaced: true, all: true,
			prefix: "pods", fresh: func() object { return &corev1.Pod{} },
			setStatus: func(to, from object) { to.(*corev1.Pod).Status = from.(*corev1.Pod).Status },
			complete:  func(o object) { o.(*corev1.Pod).Status = corev1.PodStatus{Phase: corev1.PodPending} },
			fields:    podFields, columns: podColumns(), cells: podCells,
		},
		{
			GroupVersionKind: core("Service"), plural: "services", singular: "service", short: []string{"svc"}, namespaced: true, all: true,
			prefix: "services/specs", fresh: func() object { return &corev1.Service{} },
			setStatus: func(to, from object) { to.(*corev1.Service).Status = from.(*corev1.Service).Status },
			complete: func(o object) {
				if spec := &o.(*corev1.Service).Spec; spec.Type == "" {
					spec.Type = corev1.ServiceTypeClusterIP
				}
			},
			columns: serviceColumns(), cells: serviceCells,
		},
		{
			GroupVersionKind: coordinationv1.SchemeGroupVersion.WithKind("Lease"), plural: "leases", singular: "lease", namespaced: true,
			prefix: "leases", fresh: func() object { return &coordinationv1.Lease{} },
			columns: leaseColumns(), cells: leaseCells,
		},
		{
			GroupVersionKind: discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), plural: "endpointslices", singular: "endpointslice", namespaced: true,
			prefix: "endpointslices", fresh: func() object { return &discoveryv1.EndpointSlice{} },
			columns: endpointSliceColumns(), cells: endpointSliceCells,
		},
	}
}

func podFields(o object) fields.Set {
	pod := o.(*corev1.Pod)
	return fields.Set{"spec.nodeName": pod.Spec.NodeName, "status.phase": string(pod.Status.Phase), "status.podIP": pod.Status.PodIP}
}

func eventFields(o object) fields.Set {
	e := o.(*corev1.Event)
	return fields.Set{
		"involvedObject.kind": e.InvolvedObject.Kind, "involvedObject.namespace": e.InvolvedObject.Namespace,
		"involvedObject.name": e.InvolvedObject.Name, "involvedObject.uid": string(e.InvolvedObject.UID),
		"reason": e.Reason, "type": e.Type, "reportingComponent": e.ReportingController,
	}
}
