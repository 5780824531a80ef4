//go:build linux

package node

import (
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vishvananda/netlink"
)

// asConfigured makes a veth that stands in for a VLAN look like one: many
// kernels have no VLANs, and so a VLAN's cable is one of its own. A VLAN lies
// on the machine's main link.
func (m *machine) asConfigured(spec network.LinkStatusSpec, name string, links []netlink.Link) network.LinkStatusSpec {
	i := slices.IndexFunc(m.cfg.Links, func(l Link) bool { return l.Name == name && l.VLAN > 0 })
	if i < 0 {
		return spec
	}
	spec.Kind = network.LinkKindVLAN
	spec.VLAN = network.VLANSpec{VID: m.cfg.Links[i].VLAN, Protocol: nethelpers.VLANProtocol8021Q}
	spec.Driver, spec.DriverVersion = "802.1Q VLAN Support", "1.8" // net/8021q/vlan_dev.c
	for _, l := range links {
		if l.Attrs().Name == m.cfg.Link {
			spec.LinkIndex = uint32(l.Attrs().Index)
		}
	}
	return spec
}
