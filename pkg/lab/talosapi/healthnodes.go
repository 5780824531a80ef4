package talosapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// kubeNode is what the checks look at of a Kubernetes node.
type kubeNode struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Unschedulable bool `json:"unschedulable"`
	} `json:"spec"`
	Status struct {
		Addresses  []struct{ Type, Address string } `json:"addresses"`
		Conditions []struct{ Type, Status string }  `json:"conditions"`
	} `json:"status"`
}

// kubeNodes asks the cluster's endpoint, which is the VIP, for its nodes.
func (p *patient) kubeNodes(ctx context.Context) ([]kubeNode, error) {
	if p.service.cfg.Kubeconfig == nil {
		return nil, errSkipped
	}
	data, err := p.service.cfg.Kubeconfig()
	if err != nil {
		return nil, err
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.Host+"/api/v1/nodes", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list nodes: %s", resp.Status)
	}
	var list struct{ Items []kubeNode }
	err = json.NewDecoder(resp.Body).Decode(&list)
	return list.Items, err
}

// nodesReported compares Kubernetes' nodes with the cluster's members.
func nodesReported(ctx context.Context, p *patient) error {
	nodes, err := p.kubeNodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range p.nodes {
		if !slices.ContainsFunc(nodes, func(k kubeNode) bool { return k.is(n) }) {
			return fmt.Errorf("can't find expected node with IPs %q", n.ips)
		}
	}
	for _, k := range nodes {
		if !slices.ContainsFunc(p.nodes, k.is) {
			return fmt.Errorf("unexpected nodes with IPs %q", k.Status.Addresses)
		}
	}
	return nil
}

// is reports whether the Kubernetes node has an address of the Talos node.
func (k kubeNode) is(n patientNode) bool {
	for _, a := range k.Status.Addresses {
		for _, ip := range n.ips {
			if a.Type == "InternalIP" && a.Address == ip.String() {
				return true
			}
		}
	}
	return false
}

func nodesReady(ctx context.Context, p *patient) error {
	return withoutNodes(ctx, p, "ready", func(k kubeNode) bool {
		return slices.ContainsFunc(k.Status.Conditions, func(c struct{ Type, Status string }) bool {
			return c.Type == "Ready" && c.Status != "True"
		})
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
