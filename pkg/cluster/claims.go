package cluster

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/vipctl/vipctl/pkg/vip"
)

// Claims returns what every witness says of the VIP: an address claim a node,
// in the order of the nodes, then the certificate, the wire, this machine's
// neighbour table, and the election. A witness that nobody asked makes no
// claim; only a node does, for it may be the owner. Where none that answered has
// the VIP, and nobody told which other nodes there are, so do Others.
func (s *Snapshot) Claims(addr netip.Addr) []vip.Claim {
	claims := make([]vip.Claim, 0, len(s.Nodes))
	for i := range s.Nodes {
		claims = append(claims, s.Nodes[i].claim(addr))
	}
	if whole, why := s.Whole(); !whole && s.spoken() && len(s.holding(addr)) == 0 {
		claims = append(claims, vip.Claim{Witness: vip.Address, From: Others, Err: why})
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

// spoken says that some node told its addresses. Where none did nobody misses those
// that nobody named.
func (s *Snapshot) spoken() bool {
	return slices.ContainsFunc(s.Nodes, func(n Node) bool { return n.Addresses.Known() })
}

// Others stands for the control-plane nodes that there may be beside those of the
// snapshot, in a claim that they are silent.
const Others = "others"

// Whole says whether all control-plane nodes are known, and else why not. Who
// they are tell etcd's members; or discovery, where it knows more than the node
// that was asked, for where it is off or cut off it knows at most that. Where
// nobody was asked for the members nothing speaks against it.
func (s *Snapshot) Whole() (bool, string) {
	missed := ""
	for i := range s.Nodes {
		n := &s.Nodes[i]
		leaders := 0
		for _, p := range n.Discovery.Value() {
			if p.ControlPlane {
				leaders++
			}
		}
		switch {
		case len(n.Members.Value()) > 0, leaders > 1:
			return true, ""
		case missed == "" && asked(n.Members):
			missed = cmp.Or(n.Members.Err(), "the list is empty")
		}
	}
	if missed == "" {
		return true, ""
	}
	return false, "which other control-plane nodes there are is not known: discovery names none, and etcd's members are not known: " + missed
}
