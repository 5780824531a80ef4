package cluster

import (
	"net/netip"

	"github.com/vipctl/vipctl/pkg/vip"
)

// Judge weighs what was seen of the VIP, and where somebody had to look twice,
// both sightings. Of a VIP that was known the second time only, too, the nodes told
// the first time whether they had it.
func (s *Snapshot) Judge(addr netip.Addr) vip.Verdict {
	verdict := vip.Judge(s.Claims(addr))
	if s.Earlier == nil {
		return verdict
	}
	return vip.Confirm(vip.Judge(s.Earlier.Claims(addr)), verdict)
}
