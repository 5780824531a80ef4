package talosapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/role"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

type kubeMetadata struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
}

type kubeCondition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
}

// unready says that the thing is not ready: silence does not.
func (c kubeCondition) unready() bool { return c.Type == "Ready" && c.Status != "True" }

// kubePod is what the checks look at of a pod.
type kubePod struct {
	Metadata kubeMetadata `json:"metadata"`
	Status   struct {
		Conditions []kubeCondition `json:"conditions"`
	} `json:"status"`
}

// components returns the parts of a control plane that run as static pods, as
// the checks name them.
func components() []string {
	return []string{"kube-apiserver", "kube-scheduler", "kube-controller-manager"}
}

// kube asks the cluster's endpoint, which is the VIP, for a list. As on Talos
// only those may who may have a kubeconfig.
func (p *patient) kube(ctx context.Context, path, labels string, into any) error {
	if p.service.cfg.Kubeconfig == nil {
		return errSkipped
	}
	if !slices.Contains(p.sent[rolesKey], string(role.Admin)) {
		return errNotAuthorized
	}
	data, err := p.service.cfg.Kubeconfig()
	if err != nil {
		return err
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	where := cfg.Host + path + "?" + url.Values{"labelSelector": {labels}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("list %s: %s", path[strings.LastIndex(path, "/")+1:], resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// notReady returns the pods of an application, and the names of those that are
// not ready.
func (p *patient) notReady(ctx context.Context, app string) (pods []kubePod, bad []string, err error) {
	var list struct{ Items []kubePod }
	if err := p.kube(ctx, "/api/v1/namespaces/kube-system/pods", "k8s-app="+app, &list); err != nil {
		return nil, nil, fmt.Errorf("error listing pods for app %s: %w", app, err)
	}
	for _, pod := range list.Items {
		if slices.ContainsFunc(pod.Status.Conditions, kubeCondition.unready) {
			bad = append(bad, pod.Metadata.Name)
		}
	}
	return list.Items, bad, nil
}

// componentsReady wants a pod of each component on each control plane, ready.
func componentsReady(ctx context.Context, p *patient) error {
	nodes, err := p.kubeNodes(ctx)
	if err != nil {
		return err
	}
	nodes = slices.DeleteFunc(nodes, func(k kubeNode) bool {
		_, is := k.Metadata.Labels["node-role.kubernetes.io/control-plane"]
		return !is
	})
	if err := nodesMatch(p.controlPlanes(), nodes); err != nil {
		return err
	}
	for _, app := range components() {
		pods, bad, err := p.notReady(ctx, app)
		switch {
		case err != nil:
			return err
		case len(pods) != len(nodes):
			return fmt.Errorf("expected number of pods for %s to be %d, got %d", app, len(nodes), len(pods))
		case len(bad) > 0:
			return fmt.Errorf("some pods are not ready for %s: %v", app, bad)
		}
	}
	return nil
}

// workloadReady wants the pods of an application ready, if there is one.
func workloadReady(kind, app string) func(context.Context, *patient) error {
	return func(ctx context.Context, p *patient) error {
		var list struct{ Items []json.RawMessage }
		err := p.kube(ctx, "/apis/apps/v1/namespaces/kube-system/"+kind, "k8s-app="+app, &list)
		switch {
		case err != nil:
			return err
		case len(list.Items) == 0:
			return errSkipped
		}
		pods, bad, err := p.notReady(ctx, app)
		switch {
		case err != nil:
			return err
		case len(pods) == 0:
			return fmt.Errorf("no pods found for namespace %q and label selector %q", "kube-system", "k8s-app="+app)
		case len(bad) > 0:
			return fmt.Errorf("some pods are not ready: %v", bad)
		}
		return nil
	}
}
