package fleet

import (
	"context"
	"net/netip"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

// newState returns the resources that the node at index i publishes.
func newState(c *Cluster, i int) (state.State, error) {
	all := []resource.Resource{address("lo", "127.0.0.1/8"), address("eth0", c.Nodes[i].Addr.String()+"/24")}
	if c.Owner == i {
		all = append(all, address("eth0", c.VIP.String()+"/32"),
			spec(c.VIP), finalized(k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID), "vip/"+c.VIP.String()))
	}
	all = append(all, aboutMachine(c, i)...)
	for _, n := range c.Nodes {
		m := cluster.NewMember(cluster.NamespaceName, n.Name)
		m.TypedSpec().Hostname, m.TypedSpec().MachineType = n.Name, machinetype.TypeControlPlane
		m.TypedSpec().Addresses = []netip.Addr{n.Addr}
		all = append(all, m)
	}
	// Nobody watches, so that a short history does.
	st := state.WrapCore(namespaced.NewState(func(ns resource.Namespace) state.CoreState {
		return inmem.NewStateWithOptions(inmem.WithHistoryInitialCapacity(1), inmem.WithHistoryMaxCapacity(8), inmem.WithHistoryGap(1))(ns)
	}))
	for _, r := range all {
		if err := st.Create(context.Background(), r); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// aboutMachine are the resources of which a node has one each.
func aboutMachine(c *Cluster, i int) []resource.Resource {
	n := c.Nodes[i]
	typ := config.NewMachineType()
	typ.SetMachineType(machinetype.TypeControlPlane)
	stage := runtime.NewMachineStatus()
	stage.TypedSpec().Stage, stage.TypedSpec().Status = runtime.MachineStageRunning, runtime.MachineStatusStatus{Ready: true}
	nodeIP := k8s.NewNodeIP(k8s.NamespaceName, k8s.KubeletID)
	nodeIP.TypedSpec().Addresses = []netip.Addr{n.Addr}
	vips := etcd.NewConfig(etcd.NamespaceName, etcd.ConfigID)
	vips.TypedSpec().AdvertiseExcludeSubnets = []string{c.VIP.String()}
	advertised := etcd.NewSpec(etcd.NamespaceName, etcd.SpecID)
	advertised.TypedSpec().Name, advertised.TypedSpec().AdvertisedAddresses = n.Name, []netip.Addr{n.Addr}
	local := etcd.NewMember(etcd.NamespaceName, etcd.LocalMemberID)
	local.TypedSpec().MemberID = etcd.FormatMemberID(memberID(i))
	link := network.NewLinkStatus(network.NamespaceName, "eth0")
	link.TypedSpec().OperationalState = nethelpers.OperStateUp
	link.TypedSpec().HardwareAddr = []byte{2, 0, 0, 0, 0, byte(i + 1)}
	pod := k8s.NewStaticPodStatus(k8s.NamespaceName, "kube-system/kube-apiserver-"+n.Name)
	pod.TypedSpec().PodStatus = map[string]any{"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}
	return []resource.Resource{typ, stage, nodeIP, vips, advertised, local, link, pod}
}

func address(link, prefix string) resource.Resource {
	r := network.NewAddressStatus(network.NamespaceName, link+"/"+prefix)
	r.TypedSpec().Address = netip.MustParsePrefix(prefix)
	r.TypedSpec().LinkName = link
	return r
}

// spec is the address that the operator asks for on the owner (Talos v1.13.9
// internal/app/machined/pkg/controllers/network/operator/vip.go).
func spec(vip netip.Addr) resource.Resource {
	prefix := netip.PrefixFrom(vip, vip.BitLen())
	r := network.NewAddressSpec(network.NamespaceName, network.LayeredID(network.ConfigOperator, network.AddressID("eth0", prefix)))
	r.TypedSpec().Address, r.TypedSpec().LinkName, r.TypedSpec().ConfigLayer = prefix, "eth0", network.ConfigOperator
	return r
}

func finalized(r resource.Resource, finalizer resource.Finalizer) resource.Resource {
	r.Metadata().Finalizers().Add(finalizer)
	return r
}

// memberID is that of etcd's member on the node at index i.
func memberID(i int) uint64 { return 0xa1a1a1a1a1a1a100 + uint64(i) }
