//go:build linux

package node

import (
	"fmt"
	"net/netip"

	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/time"
)

// publishStatic publishes what the configuration settles for the whole boot.
func (m *machine) publishStatic() {
	put(m, "config.MachineTypeController", config.NewMachineType(), func(r *config.MachineType) { r.SetMachineType(machineType(m.cfg.Worker)) })
	put(m, "runtime.VersionController", runtime.NewVersion(), func(r *runtime.Version) {
		*r.TypedSpec() = runtime.VersionSpec{Name: "Talos", Version: m.cfg.TalosVersion}
	})
	put(m, "time.SyncController", time.NewStatus(), func(r *time.Status) {
		*r.TypedSpec() = time.StatusSpec{Synced: true, SyncDisabled: true} // the host's clock
	})
	m.publishNodeIP()
	put(m, "k8s.NodenameController", k8s.NewNodename(k8s.NamespaceName, k8s.NodenameID), func(r *k8s.Nodename) {
		r.TypedSpec().Nodename = m.cfg.Name
	})
	put(m, "cluster.NodeIdentityController", cluster.NewIdentity(cluster.NamespaceName, cluster.LocalIdentity), func(r *cluster.Identity) {
		r.TypedSpec().NodeID = m.nodeID(m.cfg.Name)
	})
	if !m.cfg.Worker {
		m.publishEtcdStatic()
		put(m, "k8s.ControlPlaneBootstrapManifestsController", k8s.NewBootstrapManifestsConfig(), func(r *k8s.BootstrapManifestsConfig) {
			// No pods, no CNI: talosctl's health check then asks for neither.
			*r.TypedSpec() = k8s.BootstrapManifestsConfigSpec{Server: m.cfg.endpoint(), ClusterDomain: "cluster.local", CNIName: "none"}
		})
	}
	m.publishSpecs()
	m.publishResources()
	m.publishVolumes()
	m.publishHardware()
}

func machineType(worker bool) machinetype.Type {
	if worker {
		return machinetype.TypeWorker
	}
	return machinetype.TypeControlPlane
}

// publishEtcdStatic publishes etcd's configuration. The VIPs configured on the
// node are what it never advertises, and so any reader can learn them.
func (m *machine) publishEtcdStatic() {
	exclude := make([]string, 0, len(m.cfg.VIPs))
	for _, vip := range m.cfg.VIPs {
		exclude = append(exclude, vip.Addr.String())
	}
	put(m, "etcd.ConfigController", etcd.NewConfig(etcd.NamespaceName, etcd.ConfigID), func(r *etcd.Config) {
		*r.TypedSpec() = etcd.ConfigSpec{AdvertiseExcludeSubnets: exclude, Image: "registry.k8s.io/etcd:v3.6.12"}
	})
	any4, any6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	listen := any6
	if m.cfg.Addr.Addr().Is4() {
		listen = any4
	}
	put(m, "etcd.SpecController", etcd.NewSpec(etcd.NamespaceName, etcd.SpecID), func(r *etcd.Spec) {
		*r.TypedSpec() = etcd.SpecSpec{
			Name: m.cfg.Name, AdvertisedAddresses: m.advertised(),
			ListenPeerAddresses: []netip.Addr{listen}, ListenClientAddresses: []netip.Addr{listen},
			Image: "registry.k8s.io/etcd:v3.6.12",
		}
	})
}

// publishSpecs publishes the VIP operators and the node's own address.
func (m *machine) publishSpecs() {
	for _, vip := range m.cfg.VIPs {
		spec := network.OperatorSpecSpec{
			Operator: network.OperatorVIP, LinkName: vip.Link, RequireUp: true,
			VIP: network.VIPOperatorSpec{IP: vip.Addr, GratuitousARP: true}, ConfigLayer: network.ConfigMachineConfiguration,
		}
		id := network.OperatorID(spec)
		put(m, "OperatorMergeControllers.net.talos.dev", network.NewOperatorSpec(network.NamespaceName, id),
			func(r *network.OperatorSpec) { *r.TypedSpec() = spec })
		put(m, "network.OperatorVIPConfigController", network.NewOperatorSpec(network.ConfigNamespaceName, network.LayeredID(spec.ConfigLayer, id)),
			func(r *network.OperatorSpec) { *r.TypedSpec() = spec })
	}
	for _, l := range m.cfg.AllLinks() {
		for _, addr := range l.Addrs {
			m.publishAddressSpec(addr, network.ConfigMachineConfiguration)
		}
	}
}

// Owners of address specs.
const (
	addressMergeOwner = "AddressMergeControllers.net.talos.dev"
	operatorSpecOwner = "network.OperatorSpecController"
)

// addressSpecs returns an address's two specs: as its layer asks for it, and
// as merged out of all layers.
func (m *machine) addressSpecs(address netip.Prefix, layer network.ConfigLayer) (asked, merged *network.AddressSpec, askedOwner string) {
	link := m.cfg.LinkOf(address.Addr())
	id := network.AddressID(link, address)
	asked, askedOwner = network.NewAddressSpec(network.ConfigNamespaceName, network.LayeredID(layer, id)), "network.AddressConfigController"
	if layer == network.ConfigOperator {
		asked, askedOwner = network.NewAddressSpec(network.ConfigNamespaceName, fmt.Sprintf("vip/%s/%s", link, id)), operatorSpecOwner
	}
	return asked, network.NewAddressSpec(network.NamespaceName, id), askedOwner
}

func (m *machine) publishAddressSpec(address netip.Prefix, layer network.ConfigLayer) {
	asked, merged, owner := m.addressSpecs(address, layer)
	spec := network.AddressSpecSpec{
		Address: address, LinkName: m.cfg.LinkOf(address.Addr()), Family: family(address.Addr()), Scope: nethelpers.ScopeGlobal,
		Flags: nethelpers.AddressFlags(nethelpers.AddressPermanent), AnnounceWithARP: layer == network.ConfigOperator, ConfigLayer: layer,
	}
	put(m, owner, asked, func(r *network.AddressSpec) { *r.TypedSpec() = spec })
	put(m, addressMergeOwner, merged, func(r *network.AddressSpec) { *r.TypedSpec() = spec })
}

func (m *machine) dropAddressSpec(address netip.Prefix, layer network.ConfigLayer) {
	asked, merged, owner := m.addressSpecs(address, layer)
	drop(m, owner, asked.Metadata())
	drop(m, addressMergeOwner, merged.Metadata())
}

func family(a netip.Addr) nethelpers.Family {
	if a.Is4() {
		return nethelpers.FamilyInet4
	}
	return nethelpers.FamilyInet6
}
