package checks

import (
	"net/netip"
	"slices"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// clouds are the Talos platforms whose VIP is moved by the cloud's API, not by
// gratuitous ARP: there the nodes need not share a segment.
var clouds = []string{"hcloud", "equinixMetal"}

// segmentOf returns the connected prefix of the node that contains addr, the
// longest where there are several, and its link. The address itself does not
// count, whatever prefix length it was given.
func segmentOf(n *cluster.Node, addr netip.Addr) (segment netip.Prefix, link string) {
	for _, a := range n.Addresses.Value() {
		p := a.Prefix
		if p.Addr() == addr || p.IsSingleIP() || !p.Contains(addr) {
			continue
		}
		if !segment.IsValid() || p.Bits() > segment.Bits() {
			segment, link = p.Masked(), a.Link
		}
	}
	return segment, link
}

func vipSegment(s *cluster.Snapshot) Finding {
	return eachVIP(s, "every node has an address in the segment of "+joined(addrs(s.VIPs)),
		"the VIP must lie in a subnet that every control-plane node has on the VIP's link: gratuitous ARP does not cross a router; talosctl -n %s get addresses shows what is there",
		func(t *tally, v cluster.VIP) {
			var first netip.Prefix
			for i := range s.Nodes {
				first = judgeSegment(t, &s.Nodes[i], v.Addr, first)
			}
		})
}

// judgeSegment judges one node, against the segment of the first node that
// has one; it returns that.
func judgeSegment(t *tally, n *cluster.Node, addr netip.Addr, first netip.Prefix) netip.Prefix {
	if !n.Addresses.Known() {
		missOf(t, n, "addresses", n.Addresses)
		return first
	}
	segment, link := segmentOf(n, addr)
	on := n.Holds(addr).Value()
	switch {
	case slices.Contains(clouds, n.Version.Value().Platform):
		t.say(Skip, "%s: on %s the cloud moves the VIP", n.Name, n.Version.Value().Platform)
	case !segment.IsValid() && addr.Is6():
		// An on-link prefix may come from a router advertisement alone, beside
		// a /128 from DHCPv6.
		t.say(Warn, "%s has no address in the subnet of %s", n.Name, addr)
	case !segment.IsValid():
		t.say(Fail, "%s has no address in the subnet of %s", n.Name, addr)
	case first.IsValid() && segment != first:
		t.say(Fail, "%s is in %s, other nodes in %s", n.Name, segment, first)
	case on != "" && on != link:
		t.say(Fail, "%s has %s on %s, and its subnet %s on %s", n.Name, addr, on, segment, link)
	default:
		t.pass()
	}
	if first.IsValid() {
		return first
	}
	return segment
}

func vipLinkUp(s *cluster.Snapshot) Finding {
	return eachVIP(s, "the link of "+joined(addrs(s.VIPs))+" is up everywhere",
		"Talos stops campaigning while the link is down: check cable, bond and VLAN, and talosctl -n %s get links",
		func(t *tally, v cluster.VIP) {
			for i := range s.Nodes {
				judgeLink(t, &s.Nodes[i], v.Addr)
			}
		})
}

// judgeLink judges the link that carries addr, or would: the one in its
// subnet. "unknown" counts as up, as it does for Talos's VIP operator
// (RequireUp, v1.13).
func judgeLink(t *tally, n *cluster.Node, addr netip.Addr) {
	if !n.Addresses.Known() {
		missOf(t, n, "addresses", n.Addresses)
		return
	}
	links, ok := n.Links.Get()
	if !ok {
		missOf(t, n, "links", n.Links)
		return
	}
	_, name := segmentOf(n, addr)
	if on := n.Holds(addr).Value(); on != "" {
		name = on
	}
	i := slices.IndexFunc(links, func(l cluster.Link) bool { return l.Name == name })
	switch {
	case name == "":
		t.say(Unknown, "%s: it is not known which link %s belongs to", n.Name, addr)
	case i < 0:
		t.say(Unknown, "%s: link %s is not known", n.Name, name)
	case links[i].State != "up" && links[i].State != "unknown":
		t.say(Fail, "%s: link %s is %s", n.Name, name, orElse(links[i].State, "without a state"))
	default:
		t.pass()
	}
}
