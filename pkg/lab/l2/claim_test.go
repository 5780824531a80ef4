package l2

import (
	"net/netip"
	"strings"
	"testing"
)

func TestClaimed(t *testing.T) {
	ethernet6 := strings.TrimSuffix(ethernet4, "0800") + "86dd"
	arpHead := strings.TrimSuffix(ethernet4, "0800") + "0806" + "0001080006040002" + "020000000032"
	arpTail := "020000000001" + "0a050001"
	node6, vip6 := "fd100005000000000000000000000002", "fd100005000000000000000000000050"
	head6 := func(next, from string) string {
		return "60000000" + "0020" + next + "ff" + from + "ff020000000000000000000000000001"
	}
	for name, row := range map[string]struct {
		frame []byte
		want  string // addresses; "" means none
	}{
		"an IPv4 packet is from its sender":            {frame(t, ethernet4, ipv4Head, tcpHead, "12", tcpTail), "10.5.0.50"},
		"an ARP message is from its sender":            {frame(t, arpHead, "0a050032", arpTail), "10.5.0.50"},
		"an ARP message that is cut short":             {frame(t, arpHead), ""},
		"an IPv6 packet is from its sender":            {frame(t, ethernet6, head6("06", vip6), tcpHead), "fd10:5::50"},
		"an advertisement is for its target, too":      {frame(t, ethernet6, head6("3a", node6), "88000000"+"20000000", vip6), "fd10:5::2 fd10:5::50"},
		"a solicitation is not for its target":         {frame(t, ethernet6, head6("3a", node6), "87000000"+"00000000", vip6), "fd10:5::2"},
		"an advertisement that is cut short":           {frame(t, ethernet6, head6("3a", node6), "88000000"), "fd10:5::2"},
		"an IPv6 packet that is cut short":             {frame(t, ethernet6, "60000000"), ""},
		"an IPv4 packet that is cut short":             {frame(t, ethernet4, "45000028"), ""},
		"a frame of another type is from no address":   {frame(t, strings.TrimSuffix(ethernet4, "0800"), "88b5", node6), ""},
		"what is too short for a frame is from nobody": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			from, alike := claimed(row.frame)
			for _, a := range []netip.Addr{from, alike} {
				if a.IsValid() {
					got = append(got, a.String())
				}
			}
			if text := strings.Join(got, " "); text != row.want {
				t.Errorf("claimed(%x) = %q; want %q", row.frame, text, row.want)
			}
		})
	}
}
