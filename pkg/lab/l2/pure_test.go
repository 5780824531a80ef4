package l2

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// Frames of a TCP handshake between 10.5.0.1 and 10.5.0.50:6443, checksums left out.
const (
	ethernet4 = "020000000001" + "020000000032" + "0800"
	ipv4Head  = "4500002800000000" + "40060000" + "0a050032" + "0a050001"
	tcpHead   = "192b" + "c000" + "00000001" + "00000002" + "50"
	tcpTail   = "ffff00000000"
)

func frame(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(parts, ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSynAck(t *testing.T) {
	vip := netip.MustParseAddrPort("10.5.0.50:6443")
	ethernet6 := strings.TrimSuffix(ethernet4, "0800") + "86dd"
	ipv6Head := "60000000" + "0014" + "06" + "40" + "fd000000000000000000000000000050" + "fd000000000000000000000000000001"
	for name, row := range map[string]struct {
		frame []byte
		want  netip.AddrPort // the zero value means none
	}{
		"SYN and ACK":              {frame(t, ethernet4, ipv4Head, tcpHead, "12", tcpTail), vip},
		"SYN alone":                {frame(t, ethernet4, ipv4Head, tcpHead, "02", tcpTail), netip.AddrPort{}},
		"ACK alone":                {frame(t, ethernet4, ipv4Head, tcpHead, "10", tcpTail), netip.AddrPort{}},
		"RST and ACK (refused)":    {frame(t, ethernet4, ipv4Head, tcpHead, "14", tcpTail), netip.AddrPort{}},
		"SYN, ACK and RST":         {frame(t, ethernet4, ipv4Head, tcpHead, "16", tcpTail), netip.AddrPort{}},
		"an IPv4 header of 24":     {frame(t, ethernet4, "46", ipv4Head[2:], "01010101", tcpHead, "12", tcpTail), vip},
		"a later fragment":         {frame(t, ethernet4, strings.Replace(ipv4Head, "00000000"+"4006", "00000005"+"4006", 1), tcpHead, "12", tcpTail), netip.AddrPort{}},
		"UDP":                      {frame(t, ethernet4, strings.Replace(ipv4Head, "4006", "4011", 1), tcpHead, "12", tcpTail), netip.AddrPort{}},
		"cut short in the TCP":     {frame(t, ethernet4, ipv4Head, tcpHead), netip.AddrPort{}},
		"IPv6":                     {frame(t, ethernet6, ipv6Head, tcpHead, "12", tcpTail), netip.MustParseAddrPort("[fd00::50]:6443")},
		"ARP":                      {frame(t, "ffffffffffff", "020000000032", "0806", "0001"), netip.AddrPort{}},
		"a header length of 0":     {frame(t, ethernet4, "40", ipv4Head[2:], tcpHead, "12", tcpTail), netip.AddrPort{}},
		"a header beyond the end":  {frame(t, ethernet4, "4f", ipv4Head[2:], tcpHead, "12", tcpTail), netip.AddrPort{}},
		"an empty frame":           {nil, netip.AddrPort{}},
		"an IPv6 type without one": {frame(t, ethernet6, "60"), netip.AddrPort{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := synAck(row.frame)
			if ok != row.want.IsValid() || ok && got != row.want {
				t.Errorf("synAck(%x) = %v, %v; want %v", row.frame, got, ok, row.want)
			}
		})
	}
}

func FuzzSynAck(f *testing.F) {
	whole, err := hex.DecodeString(ethernet4 + ipv4Head + tcpHead + "12" + tcpTail)
	if err != nil {
		f.Fatal(err)
	}
	for i := range whole {
		f.Add(whole[:i])
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		from, ok := synAck(b)
		if ok && (!from.Addr().IsValid() || len(b) < headerLen+20+14) {
			t.Errorf("synAck(%x) = %v; want nothing of so short a frame", b, from)
		}
		if addr, ok := announced(b); ok && len(b) < headerLen+28 {
			t.Errorf("announced(%x) = %v; want nothing of so short a frame", b, addr)
		}
	})
}

func TestFirstAnswer(t *testing.T) {
	vip, other := netip.MustParseAddrPort("10.5.0.50:6443"), netip.MustParseAddrPort("10.5.0.50:443")
	a := newAnswers([]netip.AddrPort{vip})
	for _, step := range []struct {
		forget, port string
		from         netip.AddrPort
		want         bool
	}{
		{port: "cp-1", from: vip, want: true},
		{port: "cp-1", from: vip, want: false},
		{port: "cp-1", from: other, want: false},
		{port: "cp-2", from: vip, want: true},
		{port: "cp-1", from: vip, want: true}, // back again
		{forget: "cp-2", port: "cp-1", from: vip, want: false},
		{forget: "cp-1", port: "cp-1", from: vip, want: true},
	} {
		if step.forget != "" {
			a.forget(step.forget)
		}
		if got := a.first(step.from, step.port); got != step.want {
			t.Errorf("after forget(%q), first(%s, %s) = %v; want %v", step.forget, step.from, step.port, got, step.want)
		}
	}
}
