package arp

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// segment is where an address can be asked for.
type segment struct {
	link link
	src  netip.Addr // our address there
}

// link is a network link of this machine.
type link struct {
	index int
	name  string
	hw    net.HardwareAddr
	// deaf is why nobody can be asked on it, as in "which is down"; "" where
	// somebody can.
	deaf string
}

// address is one that this machine has.
type address struct {
	prefix netip.Prefix
	link   int
}

// route is a way to the address that is asked for.
type route struct {
	prefix  netip.Prefix
	link    int
	gateway string     // "" where it is connected: no router is between
	src     netip.Addr // the address that the kernel sends from, if the route says
	metric  int
	local   bool // the way is to this machine itself
}

// scene is what this machine's kernel has to do with one address.
type scene struct {
	addresses []address    // of the same family
	connected []route      // of the main table, through no router, whose prefix holds the address
	chosen    *route       // the one that the kernel takes; nil where there is none
	links     map[int]link // of the above
}

// find chooses the segment on which to ask for addr: that of the connected
// route with the longest prefix, even where the kernel takes another way (a VPN
// may capture what is on the next cable). Where no prefix holds the address, it
// is the kernel's own route, if no router is on it.
//
// The default route holds every address and so says nothing of where one is: on
// its strength nobody is asked.
func (s *scene) find(addr netip.Addr) (segment, error) {
	for _, a := range s.addresses {
		if a.prefix.Addr() == addr {
			return segment{}, &HereError{addr, s.links[a.link].name}
		}
	}
	if s.chosen != nil && s.chosen.local {
		return segment{}, &HereError{addr, s.links[s.chosen.link].name}
	}
	ways := slices.Clone(s.connected)
	if s.chosen != nil && s.chosen.gateway == "" {
		ways = append(ways, *s.chosen)
	}
	ways = slices.DeleteFunc(ways, func(r route) bool { return r.prefix.Bits() == 0 })
	slices.SortStableFunc(ways, func(a, b route) int {
		return cmp.Or(cmp.Compare(b.prefix.Bits(), a.prefix.Bits()), cmp.Compare(a.metric, b.metric))
	})
	for _, r := range ways {
		l := s.links[r.link]
		if src := s.source(addr, r); l.deaf == "" && src.IsValid() {
			return segment{l, src}, nil
		}
	}
	return segment{}, &NotOnSegmentError{addr, s.reason(addr, ways)}
}

// reason says why no segment will do.
func (s *scene) reason(addr netip.Addr, ways []route) string {
	switch {
	case len(ways) > 0 && s.links[ways[0].link].deaf != "":
		l := s.links[ways[0].link]
		return fmt.Sprintf("it is reached over %s, %s", l.name, l.deaf)
	case len(ways) > 0:
		return s.links[ways[0].link].name + " has no address to ask from"
	case addr.IsLinkLocalUnicast():
		return "it is link-local, and does not say on which link"
	case s.chosen == nil:
		return "no route leads there"
	case s.chosen.gateway == "":
		return "only the default route leads there, over " + s.links[s.chosen.link].name
	default:
		return "it is reached through " + s.chosen.gateway
	}
}

// source is our address to ask from: best one on the link whose prefix holds
// addr too, for others may refuse to answer one that they cannot place.
func (s *scene) source(addr netip.Addr, r route) netip.Addr {
	best, quality := r.src, 2
	if !best.IsValid() {
		quality = 0
	}
	for _, a := range s.addresses {
		if a.link != r.link {
			continue
		}
		q := 1
		if a.prefix.Masked().Contains(addr) {
			q = 3
		}
		if q > quality {
			best, quality = a.prefix.Addr(), q
		}
	}
	return best
}
