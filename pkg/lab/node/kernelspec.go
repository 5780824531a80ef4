//go:build linux

package node

import (
	"net"
	"net/netip"

	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addressStatus returns a kernel address as Talos shows it.
func addressStatus(a netlink.Addr, link string) (network.AddressStatusSpec, bool) {
	prefix, ok := toPrefix(a.IPNet)
	if !ok || link == "" {
		return network.AddressStatusSpec{}, false
	}
	spec := network.AddressStatusSpec{
		Address: prefix, LinkIndex: uint32(a.LinkIndex), LinkName: link, Family: family(prefix.Addr()),
		Scope: nethelpers.Scope(a.Scope), Flags: nethelpers.AddressFlags(a.Flags), Broadcast: toAddr(a.Broadcast),
	}
	if prefix.Addr().Is4() {
		spec.Local = prefix.Addr()
	}
	return spec, true
}

// vethSpeed is what the kernel says of every veth (drivers/net/veth.c).
const vethSpeed = 10000 // Mbit/s

// linkStatus returns a kernel link as Talos shows it. What Talos asks through
// ethtool is known beforehand of a veth, the only kind of link here.
func linkStatus(l netlink.Link) network.LinkStatusSpec {
	a := l.Attrs()
	spec := network.LinkStatusSpec{
		Alias: a.Alias, AltNames: a.AltNames, Index: uint32(a.Index), LinkIndex: uint32(a.ParentIndex),
		Flags: nethelpers.LinkFlags(a.RawFlags), HardwareAddr: nethelpers.HardwareAddr(a.HardwareAddr),
		MTU: uint32(a.MTU), QueueDisc: "noqueue", MasterIndex: uint32(a.MasterIndex),
		OperationalState: nethelpers.OperationalState(a.OperState), LinkState: a.RawFlags&unix.IFF_LOWER_UP != 0,
		Port: nethelpers.Other, Duplex: nethelpers.Unknown,
	}
	switch a.EncapType {
	case "ether":
		spec.Type = nethelpers.LinkEther
		spec.BroadcastAddr = nethelpers.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	case "loopback":
		spec.Type = nethelpers.LinkLoopbck
		spec.BroadcastAddr = make(nethelpers.HardwareAddr, 6)
		return spec
	}
	spec.Kind = l.Type()
	if spec.Kind == "veth" {
		spec.Driver, spec.DriverVersion = "veth", "1.0"
		spec.SpeedMegabits, spec.Port, spec.Duplex = vethSpeed, nethelpers.TwistedPair, nethelpers.Full
	}
	return spec
}

// routeStatus returns a kernel route as Talos shows it.
func routeStatus(r netlink.Route, link string) network.RouteStatusSpec {
	dst, _ := toPrefix(r.Dst) // none: the default route
	fam := nethelpers.FamilyInet4
	if r.Family == unix.AF_INET6 {
		fam = nethelpers.FamilyInet6
	}
	return network.RouteStatusSpec{
		Family: fam, Destination: dst, Source: toAddr(r.Src), Gateway: toAddr(r.Gw),
		OutLinkIndex: uint32(r.LinkIndex), OutLinkName: link,
		Table: nethelpers.RoutingTable(r.Table), Priority: uint32(r.Priority), Scope: nethelpers.Scope(r.Scope),
		Type: nethelpers.RouteType(r.Type), Flags: nethelpers.RouteFlags(r.Flags), Protocol: nethelpers.RouteProtocol(r.Protocol),
		MTU: uint32(r.MTU),
	}
}

func toAddr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip) // the zero Addr for none
	return a.Unmap()
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a := toAddr(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a, ones), a.IsValid()
}
