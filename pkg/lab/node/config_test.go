package node

import (
	"net/netip"
	"testing"
)

func TestAddressesHaveTheirLink(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	c := Config{
		Link: "eth0", Addr: prefix("10.5.0.2/24"), VIPs: []VIP{{addr("10.5.0.60"), "eth1"}},
		Links: []Link{
			{Name: "eth0", Addrs: []netip.Prefix{prefix("10.5.0.2/24"), prefix("fd05::2/64")}},
			{Name: "eth0.100", Addrs: []netip.Prefix{prefix("10.6.0.2/24")}, VLAN: 100},
		},
	}
	for what, row := range map[string]struct{ addr, link string }{
		"the node's own address":                {"10.5.0.2", "eth0"},
		"one of its own on a VLAN":              {"10.6.0.2", "eth0.100"},
		"a VIP that others have on the VLAN":    {"10.6.0.50", "eth0.100"},
		"a VIP of IPv6":                         {"fd05::50", "eth0"},
		"a VIP where the configuration says so": {"10.5.0.60", "eth1"},
		"a VIP on no segment of the node":       {"10.9.0.50", "eth0"},
	} {
		if got := c.LinkOf(addr(row.addr)); got != row.link {
			t.Errorf("LinkOf(%s), %s = %s; want %s", row.addr, what, got, row.link)
		}
	}
}
