package arp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// locate finds the segment that addr is on.
func locate(addr netip.Addr) (segment, error) {
	if addr.IsLinkLocalUnicast() && addr.Is6() { // each link has a route for it
		return segment{}, &NotOnSegmentError{addr, (&scene{}).reason(addr, nil)}
	}
	s, err := look(addr)
	if err != nil {
		return segment{}, fmt.Errorf("reading this machine's routes: %w", err)
	}
	return s.find(addr)
}

// look reads what the kernel has to do with addr.
func look(addr netip.Addr) (*scene, error) {
	s := &scene{links: make(map[int]link)}
	var addrs []netlink.Addr
	err := whole(func() (err error) {
		addrs, err = netlink.AddrList(nil, family(addr))
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if prefix, ok := prefixOf(a.IPNet); ok && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			s.addresses = append(s.addresses, address{prefix, a.LinkIndex})
		}
	}
	if err := whole(func() error { return s.readConnected(addr) }); err != nil {
		return nil, err
	}
	// An error here is that no route leads to it, in the kernel's many words.
	if routes, err := netlink.RouteGetWithOptions(addr.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true}); err == nil && len(routes) > 0 {
		s.chosen = new(convert(routes[0], addr))
	}
	return s, s.readLinks(addr)
}

// readConnected reads the connected routes of the main table that hold addr.
func (s *scene) readConnected(addr netip.Addr) error {
	s.connected = nil
	main := &netlink.Route{Table: unix.RT_TABLE_MAIN}
	return netlink.RouteListFilteredIter(family(addr), main, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		if way := convert(r, addr); r.Type == unix.RTN_UNICAST && way.gateway == "" && way.prefix.Contains(addr) {
			s.connected = append(s.connected, way)
		}
		return true
	})
}

// whole reads one of the kernel's tables again where it changed meanwhile, as
// those of a busy container host do; what was read then may lack entries.
func whole(read func() error) error {
	var err error
	for range 5 {
		if err = read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return err
}

// readLinks reads the links that find may need.
func (s *scene) readLinks(addr netip.Addr) error {
	var wanted []int
	for _, a := range s.addresses {
		if a.prefix.Addr() == addr {
			wanted = append(wanted, a.link)
		}
	}
	for _, r := range s.connected {
		wanted = append(wanted, r.link)
	}
	if s.chosen != nil {
		wanted = append(wanted, s.chosen.link)
	}
	for _, index := range wanted {
		if _, ok := s.links[index]; ok || index == 0 {
			continue
		}
		l, err := netlink.LinkByIndex(index)
		if err != nil {
			return err
		}
		s.links[index] = link{index, l.Attrs().Name, l.Attrs().HardwareAddr, deaf(l.Attrs())}
	}
	return nil
}

// deaf says why nobody can be asked on a link, "" where somebody can.
func deaf(l *netlink.LinkAttrs) string {
	switch {
	case l.Flags&net.FlagLoopback != 0:
		return "which is the loopback"
	case l.RawFlags&unix.IFF_NOARP != 0, l.Flags&net.FlagPointToPoint != 0:
		return "which has no hardware addresses"
	case l.EncapType != "ether", len(l.HardwareAddr) != 6:
		return "which is not Ethernet"
	case l.Flags&net.FlagUp == 0, l.OperState == netlink.OperDown, l.OperState == netlink.OperLowerLayerDown:
		return "which is down"
	default:
		return ""
	}
}

// convert makes a route of the kernel's. One without a destination is the
// default route.
func convert(r netlink.Route, addr netip.Addr) route {
	way := route{link: r.LinkIndex, metric: r.Priority, local: r.Type == unix.RTN_LOCAL}
	way.prefix, _ = prefixOf(r.Dst)
	if !way.prefix.IsValid() {
		way.prefix, _ = addr.Prefix(0)
	}
	if src, ok := netip.AddrFromSlice(r.Src); ok {
		way.src = src.Unmap()
	}
	switch {
	case r.Gw != nil:
		way.gateway = r.Gw.String()
	case r.Via != nil:
		way.gateway = r.Via.String()
	case len(r.MultiPath) > 0:
		way.gateway = "several routers"
		if len(r.MultiPath) > 0 && r.MultiPath[0].Gw != nil {
			way.gateway = r.MultiPath[0].Gw.String() + " and others"
		}
	}
	return way
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits), ok
}

func family(addr netip.Addr) int {
	if addr.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}
