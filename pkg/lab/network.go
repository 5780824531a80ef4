package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vipctl/vipctl/pkg/lab/node"
)

// The address plan. On every segment the workstation is .1, control planes are
// .2 on, workers follow them, and the first VIP of the main one is .50; a
// node's BMC is 100 above it, always on the main segment. IPv6 addresses have
// the same digits: the node 10.5.0.10 is fd10:5::10. There are IPv6 addresses
// only where a VIP is one.
var (
	Network     = netip.MustParsePrefix("10.5.0.0/24")
	NetworkIPv6 = netip.MustParsePrefix("fd10:5::/64")
	// The second subnet, where Spec.Subnets is 2.
	SecondNetwork     = netip.MustParsePrefix("10.5.1.0/24")
	SecondNetworkIPv6 = netip.MustParsePrefix("fd10:5:0:1::/64")
	// The VLAN, whatever its ID.
	VLANNetwork     = netip.MustParsePrefix("10.6.0.0/24")
	VLANNetworkIPv6 = netip.MustParsePrefix("fd10:6::/64")

	DefaultVIP = netip.MustParseAddr("10.5.0.50")
)

const (
	workstationHost = 1
	firstNodeHost   = 2
	firstBMCHost    = 102
)

// nodeLink is the name of a node's main link, in the node.
const nodeLink = "eth0"

// segment is what a frame to everybody reaches, with its subnets.
type segment struct {
	Name       string
	IPv4, IPv6 netip.Prefix
	VLAN       uint16 // 0: none
}

func (s segment) contains(a netip.Addr) bool { return s.IPv4.Contains(a) || s.IPv6.Contains(a) }

// link is an end of a cable to a segment.
type link struct {
	node.Link
	Segment int // its place in Spec.segments
}

// place is where a node is on the lab's networks.
type place struct {
	Name   string
	Worker bool
	Addr   netip.Addr
	BMC    netip.Addr
	MAC    [6]byte
	Links  []link // the main one first
}

// has says whether the node, of that release, has the link that is meant by the name.
func (p place) has(linkName string, release node.Release) bool {
	var links []node.Link
	for _, l := range p.Links {
		links = append(links, l.Link)
	}
	linkName = release.LinkNamed(linkName, links)
	return linkName == "lo" || slices.ContainsFunc(p.Links, func(l link) bool { return l.Name == linkName })
}

// segments returns the lab's segments, the main one first.
func (s Spec) segments() []segment {
	all := []segment{{Name: "main", IPv4: Network, IPv6: NetworkIPv6}}
	if s.Subnets == 2 {
		all = append(all, segment{Name: "second", IPv4: SecondNetwork, IPv6: SecondNetworkIPv6})
	}
	if s.VLAN > 0 {
		all = append(all, segment{Name: fmt.Sprintf("vlan-%d", s.VLAN), IPv4: VLANNetwork, IPv6: VLANNetworkIPv6, VLAN: s.VLAN})
	}
	return all
}

// segmentOf returns the place of the segment that has the address among its
// own, 0 if none does.
func (s Spec) segmentOf(addr netip.Addr) int {
	return max(0, slices.IndexFunc(s.segments(), func(seg segment) bool { return seg.contains(addr) }))
}

// hasIPv6 says whether the hosts have IPv6 addresses.
func (s Spec) hasIPv6() bool { return slices.ContainsFunc(s.VIPs, netip.Addr.Is6) }

// places returns all nodes, in the order of their numbers, control planes first.
func (s Spec) places() []place {
	var all []place
	for i := range s.ControlPlanes + s.Workers {
		home, n := 0, firstNodeHost+i
		p := place{Name: fmt.Sprintf("cp-%d", i+1), BMC: host(Network, firstBMCHost+i), MAC: s.mac(n)}
		if i >= s.ControlPlanes {
			p.Name, p.Worker = fmt.Sprintf("worker-%d", i-s.ControlPlanes+1), true
		}
		// The control planes of the second segment are the lesser half, so
		// that the first keeps the quorum.
		if s.Subnets == 2 && !p.Worker && i >= s.ControlPlanes-s.ControlPlanes/2 {
			home = 1
		}
		p.Links = s.links(n, home)
		p.Links[0].AltNames = []string{fmt.Sprintf("enx%x", p.MAC)} // as udev's policy "mac" names it
		p.Addr = p.Links[0].Addrs[0].Addr()
		all = append(all, p)
	}
	return all
}

// links returns the links of a host whose main one is on the segment home.
func (s Spec) links(n, home int) []link {
	var all []link
	for i, seg := range s.segments() {
		if i == home || seg.VLAN > 0 {
			all = append(all, s.link(n, i, seg))
		}
	}
	return all
}

func (s Spec) link(n, i int, seg segment) link {
	l := link{Segment: i, Link: node.Link{Name: nodeLink, VLAN: seg.VLAN}}
	if seg.VLAN > 0 {
		l.Name = fmt.Sprintf("%s.%d", nodeLink, seg.VLAN)
	}
	l.Addrs = append(l.Addrs, netip.PrefixFrom(host(seg.IPv4, n), seg.IPv4.Bits()))
	if s.hasIPv6() {
		l.Addrs = append(l.Addrs, netip.PrefixFrom(host(seg.IPv6, n), seg.IPv6.Bits()))
	}
	return l
}

// workstation returns the links of the workstation, which is on every segment.
func (s Spec) workstation() []link {
	var all []link
	for i, seg := range s.segments() {
		l := s.link(workstationHost, i, seg)
		if seg.VLAN == 0 {
			l.Name = fmt.Sprintf("eth%d", i)
		}
		all = append(all, l)
	}
	return all
}

// gateways returns the default routes of a node: by the workstation where
// there is a second subnet, else none.
func (s Spec) gateways(p place) []netip.Addr {
	if s.Subnets != 2 {
		return nil
	}
	var all []netip.Addr
	for _, a := range s.workstation()[p.Links[0].Segment].Addrs {
		all = append(all, a.Addr())
	}
	return all
}

// adjacent says whether two hosts share a segment.
func (s Spec) adjacent(a, b string) bool {
	on := func(name string) (segments []int) {
		links := s.workstation()
		for _, p := range s.places() {
			if p.Name == name {
				links = p.Links
			}
		}
		for _, l := range links {
			segments = append(segments, l.Segment)
		}
		return segments
	}
	return slices.ContainsFunc(on(a), func(i int) bool { return slices.Contains(on(b), i) })
}

// vipsOf returns the VIPs that are configured on the node, and where.
func (s Spec) vipsOf(p place) []node.VIP {
	if p.Worker && len(s.VIPNodes) == 0 || len(s.VIPNodes) > 0 && !slices.Contains(s.VIPNodes, p.Name) {
		return nil
	}
	var all []node.VIP
	for _, vip := range s.VIPs {
		all = append(all, node.VIP{Addr: vip, Link: s.vipLink(p, vip)})
	}
	return all
}

// vipLink returns the link that the node's configuration names for the VIP: the
// one that was asked for, else the VLAN or the main one.
func (s Spec) vipLink(p place, vip netip.Addr) string {
	for _, key := range []string{p.Name, ""} {
		if name := s.VIPLinks[key]; name != "" {
			return name
		}
	}
	segments := s.segments()
	for _, l := range p.Links {
		if l.VLAN > 0 && segments[l.Segment].contains(vip) {
			return l.Name
		}
	}
	return nodeLink
}

// eligible returns the nodes that can win the VIP: control planes that have it
// configured on a link that is there.
func (s Spec) eligible(vip netip.Addr) (names []string) {
	release, _ := node.ParseRelease(s.TalosVersion)
	for _, p := range s.places() {
		if !p.Worker && slices.ContainsFunc(s.vipsOf(p), func(v node.VIP) bool { return v.Addr == vip && p.has(v.Link, release) }) {
			names = append(names, p.Name)
		}
	}
	return names
}

// vipNote says what a user should know of the VIP beforehand, or "".
func (s Spec) vipNote(vip netip.Addr) string {
	segments := s.segments()
	at := slices.IndexFunc(segments, func(seg segment) bool { return seg.contains(vip) })
	able := s.eligible(vip)
	var astray []string
	for _, p := range s.places() {
		if slices.Contains(able, p.Name) && !slices.ContainsFunc(p.Links, func(l link) bool { return l.Segment == at }) {
			astray = append(astray, p.Name)
		}
	}
	switch {
	case len(able) == 0:
		return "no node can hold it: none that could has the link it is configured on"
	case at < 0:
		return "it is on none of the lab's networks: nobody but its owner reaches it"
	case len(astray) > 0:
		return "nobody reaches it on " + strings.Join(astray, ", ") + ", which is on another segment"
	}
	return ""
}

// host returns the address in the network whose host part is written n: in
// decimal for IPv4, with the same digits for IPv6.
func host(network netip.Prefix, n int) netip.Addr {
	b := network.Addr().AsSlice()
	if network.Addr().Is6() {
		digits, _ := strconv.ParseUint(strconv.Itoa(n), 16, 16) // n has three digits at most
		b[14], n = byte(digits>>8), int(digits&0xff)
	}
	b[len(b)-1] = byte(n)
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// mac is a locally administered unicast address (IEEE 802: second bit of the
// first byte set, first bit clear), the same at every start.
func (s Spec) mac(host int) [6]byte {
	return [6]byte{0x02, byte(s.Seed >> 24), byte(s.Seed >> 16), byte(s.Seed >> 8), byte(s.Seed), byte(host)}
}

// addresses returns the nodes' own addresses.
func (s Spec) addresses() (controlPlanes, workers []string) {
	for _, p := range s.places() {
		if p.Worker {
			workers = append(workers, p.Addr.String())
		} else {
			controlPlanes = append(controlPlanes, p.Addr.String())
		}
	}
	return controlPlanes, workers
}
