//go:build linux

package node

import (
	"net/netip"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
)

// publishNetworkSpecs publishes what the configuration, or Talos's defaults,
// say about the network: as each layer asks for it, and as merged.
func (m *machine) publishNetworkSpecs() {
	put(m, "network.NodeAddressSortAlgorithmController",
		network.NewNodeAddressSortAlgorithm(network.NamespaceName, network.NodeAddressSortAlgorithmID),
		func(r *network.NodeAddressSortAlgorithm) { r.TypedSpec().Algorithm = nethelpers.AddressSortAlgorithmV1 })
	m.publishLinkSpec(network.LinkSpecSpec{Name: "lo", Up: true, ConfigLayer: network.ConfigDefault})
	for _, l := range m.cfg.AllLinks() {
		spec := network.LinkSpecSpec{Name: l.Name, Up: true, ConfigLayer: network.ConfigMachineConfiguration}
		if l.VLAN != 0 {
			spec.Logical, spec.Kind, spec.Type, spec.ParentName = true, network.LinkKindVLAN, nethelpers.LinkEther, m.cfg.Link
			spec.VLAN = network.VLANSpec{VID: l.VLAN, Protocol: nethelpers.VLANProtocol8021Q}
		}
		m.publishLinkSpec(spec)
	}
	m.publishHostname(m.cfg.Name)
	m.publishResolvers()
	m.publishTimeServers()
}

func (m *machine) publishLinkSpec(spec network.LinkSpecSpec) {
	fill := func(r *network.LinkSpec) { *r.TypedSpec() = spec }
	id := network.LinkID(spec.Name)
	put(m, "network.LinkConfigController", network.NewLinkSpec(network.ConfigNamespaceName, network.LayeredID(spec.ConfigLayer, id)), fill)
	put(m, "LinkMergeControllers.net.talos.dev", network.NewLinkSpec(network.NamespaceName, id), fill)
}

// publishHostname publishes the node's name as configured and as set.
func (m *machine) publishHostname(name string) {
	spec := network.HostnameSpecSpec{Hostname: name, ConfigLayer: network.ConfigMachineConfiguration}
	fill := func(r *network.HostnameSpec) { *r.TypedSpec() = spec }
	id := network.LayeredID(spec.ConfigLayer, network.HostnameID)
	put(m, "network.HostnameConfigController", network.NewHostnameSpec(network.ConfigNamespaceName, id), fill)
	put(m, "HostnameMergeControllers.net.talos.dev", network.NewHostnameSpec(network.NamespaceName, network.HostnameID), fill)
	put(m, "network.HostnameSpecController", network.NewHostnameStatus(network.NamespaceName, network.HostnameID),
		func(r *network.HostnameStatus) { r.TypedSpec().Hostname = name })
}

// publishResolvers publishes Talos's default resolvers. Nothing answers there.
func (m *machine) publishResolvers() {
	servers := []netip.Addr{netip.MustParseAddr(constants.DefaultPrimaryResolver), netip.MustParseAddr(constants.DefaultSecondaryResolver)}
	fill := func(r *network.ResolverSpec) {
		*r.TypedSpec() = network.ResolverSpecSpec{DNSServers: servers, ConfigLayer: network.ConfigDefault}
	}
	id := network.LayeredID(network.ConfigDefault, network.ResolverID)
	put(m, "network.ResolverConfigController", network.NewResolverSpec(network.ConfigNamespaceName, id), fill)
	put(m, "ResolverMergeControllers.net.talos.dev", network.NewResolverSpec(network.NamespaceName, network.ResolverID), fill)
	put(m, "network.ResolverSpecController", network.NewResolverStatus(network.NamespaceName, network.ResolverID),
		func(r *network.ResolverStatus) { r.TypedSpec().DNSServers = servers })
}

// publishTimeServers publishes Talos's default time server, which nobody asks:
// the machine configuration turns that off.
func (m *machine) publishTimeServers() {
	servers := []string{constants.DefaultNTPServer}
	fill := func(r *network.TimeServerSpec) {
		*r.TypedSpec() = network.TimeServerSpecSpec{NTPServers: servers, ConfigLayer: network.ConfigDefault}
	}
	id := network.LayeredID(network.ConfigDefault, network.TimeServerID)
	put(m, "network.TimeServerConfigController", network.NewTimeServerSpec(network.ConfigNamespaceName, id), fill)
	put(m, "TimeServerMergeControllers.net.talos.dev", network.NewTimeServerSpec(network.NamespaceName, network.TimeServerID), fill)
	put(m, "network.TimeServerSpecController", network.NewTimeServerStatus(network.NamespaceName, network.TimeServerID),
		func(r *network.TimeServerStatus) { r.TypedSpec().NTPServers = servers })
}
