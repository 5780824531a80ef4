package cluster

import (
	"net/netip"

	"github.com/vipctl/vipctl/pkg/vip"
)

// Claims returns what each node says of the VIP: one address claim a node, in
// the order of the nodes.
func (s *Snapshot) Claims(addr netip.Addr) []vip.Claim {
	claims := make([]vip.Claim, 0, len(s.Nodes))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		claim := vip.Claim{Witness: vip.Address, From: n.Name}
		link, ok := n.Holds(addr).Get()
		switch {
		case !ok:
			claim.Err = n.Addresses.Err()
		case link != "":
			claim.Owner = n.Name
		}
		claims = append(claims, claim)
	}
	return claims
}
