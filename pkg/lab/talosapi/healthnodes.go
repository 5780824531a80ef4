package talosapi

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// kubeNode is what the checks look at of a Kubernetes node.
type kubeNode struct {
	Metadata kubeMetadata `json:"metadata"`
	Spec     struct {
		Unschedulable bool `json:"unschedulable"`
	} `json:"spec"`
	Status struct {
		Addresses  []struct{ Type, Address string } `json:"addresses"`
		Conditions []kubeCondition                  `json:"conditions"`
	} `json:"status"`
}

// kubeNodes returns what Kubernetes says of its nodes.
func (p *patient) kubeNodes(ctx context.Context) ([]kubeNode, error) {
	var list struct{ Items []kubeNode }
	err := p.kube(ctx, "/api/v1/nodes", "", &list)
	return list.Items, err
}

// nodesReported compares Kubernetes' nodes with the cluster's members.
func nodesReported(ctx context.Context, p *patient) error {
	nodes, err := p.kubeNodes(ctx)
	if err != nil {
		return err
	}
	return nodesMatch(p.nodes, nodes)
}

func nodesMatch(want []patientNode, have []kubeNode) error {
	for _, n := range want {
		if !slices.ContainsFunc(have, func(k kubeNode) bool { return k.is(n) }) {
			return fmt.Errorf("can't find expected node with IPs %q", n.ips)
		}
	}
	var unexpected []string
	for _, k := range have {
		if !slices.ContainsFunc(want, k.is) {
			unexpected = append(unexpected, k.ips()...)
		}
	}
	if len(unexpected) > 0 {
		return fmt.Errorf("unexpected nodes with IPs %q", unexpected)
	}
	return nil
}

func (k kubeNode) ips() (list []string) {
	for _, a := range k.Status.Addresses {
		if a.Type == "InternalIP" || a.Type == "ExternalIP" {
			list = append(list, a.Address)
		}
	}
	return list
}

// is reports whether the Kubernetes node has an address of the Talos node.
func (k kubeNode) is(n patientNode) bool {
	return slices.ContainsFunc(n.ips, func(ip netip.Addr) bool { return slices.Contains(k.ips(), ip.String()) })
}

func nodesReady(ctx context.Context, p *patient) error {
	return withoutNodes(ctx, p, "ready", func(k kubeNode) bool {
		return slices.ContainsFunc(k.Status.Conditions, kubeCondition.unready)
	})
}

func nodesSchedulable(ctx context.Context, p *patient) error {
	return withoutNodes(ctx, p, "schedulable", func(k kubeNode) bool { return k.Spec.Unschedulable })
}

// withoutNodes fails with the names of the nodes that are bad.
func withoutNodes(ctx context.Context, p *patient, what string, bad func(kubeNode) bool) error {
	nodes, err := p.kubeNodes(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, k := range nodes {
		if bad(k) {
			names = append(names, k.Metadata.Name)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("some nodes are not %s: %v", what, names)
	}
	return nil
}
