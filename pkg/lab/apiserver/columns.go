//go:build linux

package apiserver

import (
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// columns names a table's columns as kube-apiserver does (Kubernetes v1.36
// pkg/printers/internalversion/printers.go). Those after a "|" are shown with
// -o wide only.
func columns(names ...string) []metav1.TableColumnDefinition {
	var all []metav1.TableColumnDefinition
	priority := int32(0)
	for _, name := range names {
		if name == "|" {
			priority = 1
			continue
		}
		column := metav1.TableColumnDefinition{Name: name, Type: "string", Priority: priority}
		if name == "Name" {
			column.Format = "name"
		}
		all = append(all, column)
	}
	return all
}

const none = "<none>"

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

// age says how long ago that was, as kubectl shows it.
func age(at metav1.Time) string {
	if at.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(at.Time))
}

func nodeColumns() []metav1.TableColumnDefinition {
	return columns("Name", "Status", "Roles", "Age", "Version", "|",
		"Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime")
}

func nodeCells(o object) []any {
	n := o.(*corev1.Node)
	info := n.Status.NodeInfo
	return []any{
		n.Name, nodeState(n), nodeRoles(n), age(n.CreationTimestamp), info.KubeletVersion,
		nodeAddress(n, corev1.NodeInternalIP), nodeAddress(n, corev1.NodeExternalIP),
		info.OSImage, info.KernelVersion, info.ContainerRuntimeVersion,
	}
}

func nodeState(n *corev1.Node) string {
	state := "Unknown"
	for _, c := range n.Status.Conditions {
		switch {
		case c.Type != corev1.NodeReady:
		case c.Status == corev1.ConditionTrue:
			state = "Ready"
		default:
			state = "NotReady"
		}
	}
	if n.Spec.Unschedulable {
		state += ",SchedulingDisabled"
	}
	return state
}

func nodeRoles(n *corev1.Node) string {
	var roles []string
	for label := range n.Labels {
		if role, ok := strings.CutPrefix(label, "node-role.kubernetes.io/"); ok && role != "" {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return orNone(strings.Join(roles, ","))
}

func nodeAddress(n *corev1.Node, kind corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == kind {
			return a.Address
		}
	}
	return none
}

func namespaceColumns() []metav1.TableColumnDefinition { return columns("Name", "Status", "Age") }

func namespaceCells(o object) []any {
	ns := o.(*corev1.Namespace)
	return []any{ns.Name, string(ns.Status.Phase), age(ns.CreationTimestamp)}
}

func configMapColumns() []metav1.TableColumnDefinition { return columns("Name", "Data", "Age") }

func configMapCells(o object) []any {
	cm := o.(*corev1.ConfigMap)
	return []any{cm.Name, len(cm.Data) + len(cm.BinaryData), age(cm.CreationTimestamp)}
}

func leaseColumns() []metav1.TableColumnDefinition { return columns("Name", "Holder", "Age") }

func leaseCells(o object) []any {
	l := o.(*coordinationv1.Lease)
	holder := ""
	if l.Spec.HolderIdentity != nil {
		holder = *l.Spec.HolderIdentity
	}
	return []any{l.Name, holder, age(l.CreationTimestamp)}
}

func serviceColumns() []metav1.TableColumnDefinition {
	return columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "|", "Selector")
}

func serviceCells(o object) []any {
	s := o.(*corev1.Service)
	var ports []string
	for _, p := range s.Spec.Ports {
		ports = append(ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	return []any{
		s.Name, string(s.Spec.Type), orNone(s.Spec.ClusterIP), orNone(strings.Join(s.Spec.ExternalIPs, ",")),
		orNone(strings.Join(ports, ",")), age(s.CreationTimestamp), orNone(metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: s.Spec.Selector})),
	}
}

func podColumns() []metav1.TableColumnDefinition {
	return columns("Name", "Ready", "Status", "Restarts", "Age", "|", "IP", "Node", "Nominated Node", "Readiness Gates")
}

func podCells(o object) []any {
	p := o.(*corev1.Pod)
	ready, restarts := 0, int32(0)
	for _, c := range p.Status.ContainerStatuses {
		restarts += c.RestartCount
		if c.Ready {
			ready++
		}
	}
	return []any{
		p.Name, fmt.Sprintf("%d/%d", ready, len(p.Spec.Containers)), string(p.Status.Phase), restarts, age(p.CreationTimestamp),
		orNone(p.Status.PodIP), orNone(p.Spec.NodeName), orNone(p.Status.NominatedNodeName), none,
	}
}

func eventColumns() []metav1.TableColumnDefinition {
	return columns("Last Seen", "Type", "Reason", "Object", "Message", "|", "Source", "Count", "Name")
}

func eventCells(o object) []any {
	e := o.(*corev1.Event)
	seen := e.LastTimestamp
	if seen.IsZero() {
		seen = metav1.Time(e.EventTime)
	}
	object := strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name
	return []any{age(seen), e.Type, e.Reason, object, strings.TrimSpace(e.Message), e.Source.Component, e.Count, e.Name}
}

func endpointsColumns() []metav1.TableColumnDefinition { return columns("Name", "Endpoints", "Age") }

func endpointsCells(o object) []any {
	e := o.(*corev1.Endpoints) //nolint:staticcheck // deprecated, and still served
	var all []string
	for _, subset := range e.Subsets {
		for _, port := range subset.Ports {
			for _, a := range subset.Addresses {
				all = append(all, fmt.Sprintf("%s:%d", a.IP, port.Port))
			}
		}
	}
	return []any{e.Name, orNone(strings.Join(all, ",")), age(e.CreationTimestamp)}
}

func endpointSliceColumns() []metav1.TableColumnDefinition {
	return columns("Name", "AddressType", "Ports", "Endpoints", "Age")
}

func endpointSliceCells(o object) []any {
	s := o.(*discoveryv1.EndpointSlice)
	var ports, addresses []string
	for _, p := range s.Ports {
		if p.Port != nil {
			ports = append(ports, fmt.Sprint(*p.Port))
		}
	}
	for _, e := range s.Endpoints {
		addresses = append(addresses, e.Addresses...)
	}
	return []any{s.Name, string(s.AddressType), orNone(strings.Join(ports, ",")), orNone(strings.Join(addresses, ",")), age(s.CreationTimestamp)}
}
