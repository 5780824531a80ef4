package talosapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubernetes is what a fake API server knows: lists by path and label selector.
type kubernetes map[string][]string

func (k kubernetes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	items := k[strings.TrimSuffix(r.URL.Path+" "+r.URL.Query().Get("labelSelector"), " ")]
	_, _ = io.WriteString(w, `{"items":[`+strings.Join(items, ",")+`]}`)
}

// patient returns a cluster of one control plane, 10.5.0.2, with that API
// server, as one with the role sees it.
func (k kubernetes) patient(t *testing.T, role string) *patient {
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	kubeconfig := func() ([]byte, error) {
		return clientcmd.Write(clientcmdapi.Config{
			Clusters: map[string]*clientcmdapi.Cluster{"c": {Server: server.URL}},
			Contexts: map[string]*clientcmdapi.Context{"c": {Cluster: "c"}}, CurrentContext: "c",
		})
	}
	return &patient{
		service: &clusterService{cfg: Config{Kubeconfig: kubeconfig}}, sent: metadata.MD{rolesKey: {role}},
		nodes: []patientNode{{ips: []netip.Addr{netip.MustParseAddr("10.5.0.2")}, controlPlane: true}},
	}
}

const (
	nodesOf = "/api/v1/nodes"
	podsOf  = "/api/v1/namespaces/kube-system/pods k8s-app="
	ready   = `{"type":"Ready","status":"True"}`
	unready = `{"type":"Ready","status":"False"}`
)

func TestHealthOfKubernetes(t *testing.T) {
	node := func(ip, condition, spec string) string {
		return `{"metadata":{"name":"n` + ip + `","labels":{"node-role.kubernetes.io/control-plane":""}},"spec":{` + spec +
			`},"status":{"addresses":[{"type":"InternalIP","address":"` + ip + `"}],"conditions":[` + condition + `]}}`
	}
	pod := func(condition string) []string {
		return []string{`{"metadata":{"name":"p"},"status":{"conditions":[` + condition + `]}}`}
	}
	well := func(change kubernetes) kubernetes {
		k := kubernetes{nodesOf: {node("10.5.0.2", ready, "")}}
		for _, name := range components() {
			k[podsOf+name] = pod(ready)
		}
		for path, items := range change {
			k[path] = items
		}
		return k
	}
	const proxies = "/apis/apps/v1/namespaces/kube-system/daemonsets k8s-app=kube-proxy"
	proxy := workloadReady("daemonsets", "kube-proxy")
	tests := []struct {
		name  string
		is    kubernetes
		check func(context.Context, *patient) error
		want  string // "" for no error
	}{
		{"the nodes are those of Talos", well(nil), nodesReported, ""},
		{"a node is not there", well(kubernetes{nodesOf: nil}), nodesReported, `can't find expected node with IPs ["10.5.0.2"]`},
		{"a node is too many", well(kubernetes{nodesOf: {node("10.5.0.2", ready, ""), node("10.5.0.9", ready, "")}}), nodesReported, `unexpected nodes with IPs ["10.5.0.9"]`},
		{"the nodes are ready", well(nil), nodesReady, ""},
		{"a node is not ready", well(kubernetes{nodesOf: {node("10.5.0.2", unready, "")}}), nodesReady, "some nodes are not ready: [n10.5.0.2]"},
		{"the nodes are schedulable", well(nil), nodesSchedulable, ""},
		{"a node is cordoned", well(kubernetes{nodesOf: {node("10.5.0.2", ready, `"unschedulable":true`)}}), nodesSchedulable, "some nodes are not schedulable: [n10.5.0.2]"},
		{"the components are ready", well(nil), componentsReady, ""},
		{"a component has no pod", well(kubernetes{podsOf + "kube-scheduler": nil}), componentsReady, "expected number of pods for kube-scheduler to be 1, got 0"},
		{"a component is not ready", well(kubernetes{podsOf + "kube-apiserver": pod(unready)}), componentsReady, "some pods are not ready for kube-apiserver: [p]"},
		{"there is no kube-proxy", well(nil), proxy, "SKIP"},
		{"kube-proxy has no pod", well(kubernetes{proxies: {"{}"}}), proxy, `no pods found for namespace "kube-system" and label selector "k8s-app=kube-proxy"`},
		{"kube-proxy is not ready", well(kubernetes{proxies: {"{}"}, podsOf + "kube-proxy": pod(unready)}), proxy, "some pods are not ready: [p]"},
		{"kube-proxy is ready", well(kubernetes{proxies: {"{}"}, podsOf + "kube-proxy": pod(ready)}), proxy, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.check(t.Context(), tt.is.patient(t, "os:admin"))
			if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
				t.Errorf("check = %v; want %q", err, tt.want)
			}
		})
	}
}

func TestHealthOfKubernetesIsForAdmins(t *testing.T) {
	if err := nodesReported(t.Context(), kubernetes{}.patient(t, "os:reader")); !errors.Is(err, errNotAuthorized) {
		t.Errorf("nodesReported for a reader = %v; want %v", err, errNotAuthorized)
	}
}
