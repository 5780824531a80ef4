package l2

import (
	"encoding/binary"
	"net/netip"
)

// protocolICMPv6 and its neighbour advertisement (RFC 4861).
const (
	protocolICMPv6 = 58
	advertisement  = 136
)

// claimed returns the addresses that a frame claims to be from: the sender of
// a packet or of an ARP message, and the address that a neighbour advertisement
// is about, which may be another than its sender. What it claims nothing by is
// the zero Addr.
//
//	 0         14           14+40  +4      +8
//	| Ethernet | IPv6 header | type | flags | target |
func claimed(frame []byte) (from, alike netip.Addr) {
	if len(frame) < headerLen {
		return from, alike
	}
	p := frame[headerLen:]
	switch binary.BigEndian.Uint16(frame[12:14]) {
	case typeARP:
		if len(p) >= 18 && binary.BigEndian.Uint16(p[2:]) == typeIPv4 && p[4] == 6 && p[5] == 4 {
			from = netip.AddrFrom4([4]byte(p[14:18]))
		}
	case typeIPv4:
		if len(p) >= 20 && p[0]>>4 == 4 {
			from = netip.AddrFrom4([4]byte(p[12:16]))
		}
	case typeIPv6:
		if len(p) < 40 || p[0]>>4 != 6 {
			break
		}
		from = netip.AddrFrom16([16]byte(p[8:24]))
		if len(p) >= 40+24 && p[6] == protocolICMPv6 && p[40] == advertisement {
			alike = netip.AddrFrom16([16]byte(p[48:64]))
		}
	}
	return from, alike
}
