//go:build linux

package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	configres "github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
)

// publishResources publishes what is settled at power-on beside publishStatic:
// the machine configuration, what Talos derives from it, and the secrets. A
// machine without secrets, as in tests, has no configuration.
func (m *machine) publishResources() {
	m.publishNetworkSpecs()
	m.publishKernel()
	if !m.cfg.Worker {
		m.publishStaticPods()
	}
	if m.secrets == nil {
		return
	}
	asked := m.cfg
	asked.VIPs = m.configured
	cfg, err := machineConfig(asked, m.secrets.cluster.Bundle())
	if err != nil {
		m.log.Printf("%v", err)
		return
	}
	m.publishConfig(cfg)
	m.publishSecrets(cfg)
}

// publishConfig publishes the machine configuration and what Talos reads out
// of it (Talos v1.13.9 internal/app/machined/pkg/controllers).
func (m *machine) publishConfig(cfg config.Provider) {
	for _, id := range []string{configres.ActiveID, configres.PersistentID} {
		put(m, "", configres.NewMachineConfigWithID(cfg, id), func(*configres.MachineConfig) {})
	}
	put(m, "cluster.InfoController", cluster.NewInfo(), func(r *cluster.Info) {
		*r.TypedSpec() = cluster.InfoSpec{ClusterID: cfg.Cluster().ID(), ClusterName: cfg.Cluster().Name()}
	})
	pods, services := cfg.Cluster().Network().PodCIDRs(), cfg.Cluster().Network().ServiceCIDRs()
	put(m, "k8s.NodeIPConfigController", k8s.NewNodeIPConfig(k8s.NamespaceName, k8s.KubeletID), func(r *k8s.NodeIPConfig) {
		*r.TypedSpec() = k8s.NodeIPConfigSpec{
			ValidSubnets:   everywhere(services),
			ExcludeSubnets: slices.Concat(pods, services, m.cfg.vips()),
		}
	})
	if !m.cfg.Worker {
		m.publishAPIServerConfig(cfg)
	}
	put(m, "k8s.StaticEndpointController", k8s.NewEndpoint(k8s.ControlPlaneNamespaceName, k8s.ControlPlaneKubernetesEndpointsID),
		func(r *k8s.Endpoint) {
			if ip, err := netip.ParseAddr(cfg.Cluster().Endpoint().Hostname()); err == nil {
				r.TypedSpec().Addresses = []netip.Addr{ip}
			}
		})
}

func (m *machine) publishAPIServerConfig(cfg config.Provider) {
	put(m, "k8s.ControlPlaneAPIServerController", k8s.NewAPIServerConfig(), func(r *k8s.APIServerConfig) {
		*r.TypedSpec() = k8s.APIServerConfigSpec{
			Image: cfg.Cluster().APIServer().Image(), ControlPlaneEndpoint: cfg.Cluster().Endpoint().String(),
			EtcdServers: []string{"https://" + nethelpers.JoinHostPort("127.0.0.1", 2379)},
			LocalPort:   apiserver.Port, ServiceCIDRs: cfg.Cluster().Network().ServiceCIDRs(), AdvertisedAddress: "$(POD_IP)",
		}
	})
}

// everywhere returns the subnets that hold every address of the families of
// the given ones.
func everywhere(subnets []string) []string {
	var all []string
	for _, s := range subnets {
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			continue
		case p.Addr().Is4():
			all = append(all, "0.0.0.0/0")
		default:
			all = append(all, "::/0")
		}
	}
	return all
}

// The pods of a control plane, as Talos writes them for the kubelet. Only the
// first has a process here.
var controlPlanePods = []string{k8s.APIServerID, k8s.ControllerManagerID, k8s.SchedulerID}

// publishStaticPods publishes what the kubelet is told to run.
func (m *machine) publishStaticPods() {
	for _, name := range controlPlanePods {
		put(m, "k8s.ControlPlaneStaticPodController", k8s.NewStaticPod(k8s.NamespaceName, name), func(r *k8s.StaticPod) {
			r.TypedSpec().Pod = m.staticPod(name)
		})
	}
}

// staticPod is the manifest of a pod, without the arguments of a program that
// the lab does not run.
func (m *machine) staticPod(name string) map[string]any {
	command := []any{"/usr/local/bin/" + name}
	if name == k8s.APIServerID {
		command = append(command, "--anonymous-auth=false", "--advertise-address=$(POD_IP)", "--secure-port="+strconv.Itoa(apiserver.Port))
	}
	return map[string]any{
		"apiVersion": "v1",
		"kind":       "Pod",
		"metadata": map[string]any{
			"name": name, "namespace": "kube-system",
			"labels": map[string]any{
				"tier": "control-plane", "k8s-app": name, "component": name,
				"app.kubernetes.io/name": name, "app.kubernetes.io/version": m.cfg.KubernetesVersion,
				"app.kubernetes.io/component": "control-plane", "app.kubernetes.io/managed-by": "Talos",
			},
		},
		"spec": map[string]any{
			"hostNetwork": true, "priorityClassName": "system-cluster-critical",
			"containers": []any{map[string]any{
				"name": name, "image": fmt.Sprintf("registry.k8s.io/%s:%s", name, m.cfg.KubernetesVersion), "command": command,
			}},
		},
	}
}
