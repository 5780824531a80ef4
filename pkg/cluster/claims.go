package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/vip"
)

// here is where the questions were asked from that were not put to a node.
const here = "here"

// Claims returns what every witness says of the VIP: an address claim a node,
// in the order of the nodes, then the certificate, the wire, this machine's
// neighbour table, and the election. A witness that nobody asked makes no
// claim; only a node does, for it may be the owner.
func (s *Snapshot) Claims(addr netip.Addr) []vip.Claim {
	claims := make([]vip.Claim, 0, len(s.Nodes))
	for i := range s.Nodes {
		claims = append(claims, s.Nodes[i].claim(addr))
	}
	v := s.vip(addr)
	if v == nil {
		return claims
	}
	claims = append(claims, s.certificateClaims(v)...)
	claims = append(claims, s.arpClaims(v)...)
	claims = append(claims, s.neighbourClaims(v)...)
	return append(claims, s.electionClaims(v)...)
}

func (s *Snapshot) vip(addr netip.Addr) *VIP {
	i := slices.IndexFunc(s.VIPs, func(v VIP) bool { return v.Addr == addr })
	if i < 0 {
		return nil
	}
	return &s.VIPs[i]
}

// asked says whether anybody tried to learn the fact.
func asked[T any](fact Seen[T]) bool { return fact.known || fact.err != "" }

// claim is what the node says of its own addresses.
func (n *Node) claim(addr netip.Addr) vip.Claim {
	claim := vip.Claim{Witness: vip.Address, From: n.Name}
	link, ok := n.Holds(addr).Get()
	switch {
	case !ok:
		claim.Err = n.Addresses.Err()
	case link != "":
		claim.Owner, claim.By = n.Name, n.origin(addr)
	}
	return claim
}

// origin is how the address came to the node. Where it carries it with several
// prefixes the most doubtful counts: a static address that the VIP operator
// wants as well stays when the election is lost.
func (n *Node) origin(addr netip.Addr) vip.Origin {
	layers, ok := n.Layers.Get()
	if !ok {
		return vip.OriginUnknown
	}
	by := vip.OriginUnknown
	for _, a := range n.Addresses.Value() {
		if a.Prefix.Addr() == addr {
			by = max(by, n.originOf(a, layers))
		}
	}
	return by
}

// originOf is who wants this address on this link. Talos keeps one spec a link
// and prefix, that of the highest layer: default, cmdline, platform, operator,
// configuration (v1.13.9 internal/app/machined/pkg/controllers/network/
// address_merge.go). DHCP is of the layer operator too, but only the VIP operator
// gives an address without a network (operator/vip.go there).
func (n *Node) originOf(a Address, layers []Layered) vip.Origin {
	by := vip.ByNobody
	for _, l := range layers {
		switch {
		case l.Prefix != a.Prefix || l.Link != a.Link && n.hasLink(l.Link):
		case l.Layer == "operator" && l.Prefix.IsSingleIP():
			return vip.ByElection
		default:
			by = vip.ByConfig
		}
	}
	return by
}

// hasLink says that the node has a link of that name. Where it has none, the
// name may be another one of a link that it has.
func (n *Node) hasLink(name string) bool {
	return slices.ContainsFunc(n.Links.Value(), func(l Link) bool { return l.Name == name })
}

// certificateClaims compares the certificate that the VIP shows with each
// node's own; where nobody speaks TLS on its port 6443, those of apid.
func (s *Snapshot) certificateClaims(v *VIP) []vip.Claim {
	if !asked(v.APIServer) && !asked(v.Apid) {
		return nil
	}
	claim := vip.Claim{Witness: vip.Certificate, From: here}
	server, apid := v.APIServer.Value().Certificate.Fingerprint, v.Apid.Value().Fingerprint
	switch {
	case server != "":
		claim = s.whose(claim, "the certificate", server, func(n *Node) (bool, bool) {
			own := n.APIServer.Value().Certificate.Fingerprint
			return own == server, own != ""
		})
	case apid != "":
		claim = s.whose(claim, "apid's certificate", apid, func(n *Node) (bool, bool) {
			own := n.Apid.Value().Fingerprint
			return own == apid, own != ""
		})
	case asked(v.APIServer):
		claim.Err = cmp.Or(v.APIServer.Err(), v.APIServer.Value().Error, "no certificate was shown")
	default:
		claim.Err = cmp.Or(v.Apid.Err(), "no certificate was shown")
	}
	return []vip.Claim{claim}
}

// arpClaims are a claim for each hardware address that answered. That none did
// is silence: one lost frame proves nothing.
func (s *Snapshot) arpClaims(v *VIP) []vip.Claim {
	claim := vip.Claim{Witness: vip.ARP, From: here}
	replies, ok := v.ARP.Get()
	switch {
	case !asked(v.ARP):
		return nil
	case !ok:
		claim.Err = v.ARP.Err()
		return []vip.Claim{claim}
	case len(replies) == 0:
		claim.Err = "nobody answered on the wire"
		return []vip.Claim{claim}
	}
	claims := make([]vip.Claim, 0, len(replies))
	for _, r := range replies {
		claims = append(claims, s.hardware(claim, r.HardwareAddr))
	}
	return claims
}

// inUse are the states of an entry by which the kernel sends at this moment. A
// stale one is only a memory, and a failed or incomplete one is none.
var inUse = []string{"reachable", "delay", "probe", "permanent"}

// neighbourClaims are none where the table says nothing, for on a healthy
// machine it seldom does: that is no witness that could not be asked.
func (s *Snapshot) neighbourClaims(v *VIP) []vip.Claim {
	claim := vip.Claim{Witness: vip.Neighbour, From: here}
	entry, ok := v.Neighbour.Get()
	switch {
	case !asked(v.Neighbour):
		return nil
	case !ok:
		claim.Err = v.Neighbour.Err()
		return []vip.Claim{claim}
	case entry.HardwareAddr == "" || !slices.Contains(inUse, strings.ToLower(entry.State)):
		return nil
	default:
		return []vip.Claim{s.hardware(claim, entry.HardwareAddr)}
	}
}

// hardware names the node that has a hardware address on any link.
func (s *Snapshot) hardware(claim vip.Claim, hw string) vip.Claim {
	return s.whose(claim, "hardware address "+hw, hw, func(n *Node) (bool, bool) {
		links, ok := n.Links.Get()
		return slices.ContainsFunc(links, func(l Link) bool { return strings.EqualFold(l.HardwareAddr, hw) }), ok
	})
}

// electionClaims are what etcd on each node tells: the first in the queue was
// elected.
func (s *Snapshot) electionClaims(v *VIP) []vip.Claim {
	claims := make([]vip.Claim, 0, len(v.Elections))
	for _, view := range v.Elections {
		claim := vip.Claim{Witness: vip.Election, From: view.Node}
		election, ok := view.Election.Get()
		switch {
		case !ok:
			claim.Err = view.Election.Err()
		case len(election.Candidates) > 0:
			claim = s.host(claim, election.Candidates[0].Hostname)
		}
		claims = append(claims, claim)
	}
	return claims
}

// host names the node that has a host name.
func (s *Snapshot) host(claim vip.Claim, name string) vip.Claim {
	return s.whose(claim, "host "+name, "host "+name, func(n *Node) (bool, bool) {
		own, ok := n.Hostname.Get()
		return cmp.Or(own, n.Name) == name, ok
	})
}

// whose completes the claim of a witness who saw a thing by which a node is
// known: with the one node that it fits; with stranger where it fits none; or
// with an error where that cannot be told, because it fits several, or because
// of some node it is not known.
func (s *Snapshot) whose(claim vip.Claim, thing, stranger string, fits func(*Node) (fit, known bool)) vip.Claim {
	var bearers, blind []string
	for i := range s.Nodes {
		switch fit, known := fits(&s.Nodes[i]); {
		case fit:
			bearers = append(bearers, s.Nodes[i].Name)
		case !known:
			blind = append(blind, s.Nodes[i].Name)
		}
	}
	switch {
	case len(bearers) == 1:
		claim.Owner = bearers[0]
	case len(bearers) > 1:
		claim.Err = fmt.Sprintf("%s is that of %s", thing, strings.Join(bearers, " and "))
	case len(blind) > 0:
		claim.Err = fmt.Sprintf("%s fits no node that answered, and may be that of %s", thing, strings.Join(blind, " or "))
	case len(s.Nodes) == 0:
		claim.Err = fmt.Sprintf("there is no node to compare %s with", thing)
	default:
		claim.Stranger = stranger
	}
	return claim
}
