package cluster

import (
	"net/netip"
	"slices"

	"github.com/vipctl/vipctl/pkg/vip"
)

// Judge weighs what was seen of the VIP, and where somebody had to look twice,
// both sightings.
func (s *Snapshot) Judge(addr netip.Addr) vip.Verdict {
	verdict := vip.Judge(s.Claims(addr))
	if s.Earlier == nil || !slices.ContainsFunc(s.Earlier.VIPs, func(v VIP) bool { return v.Addr == addr }) {
		return verdict
	}
	return vip.Confirm(vip.Judge(s.Earlier.Claims(addr)), verdict)
}
