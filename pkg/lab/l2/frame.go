package l2

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Sizes and numbers of an Ethernet frame (IEEE 802.3), of IPv4 (RFC 791),
// IPv6 (RFC 8200) and TCP (RFC 9293).
const (
	headerLen = 14

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd

	protocolTCP = 6

	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// MAC is a hardware address that can be compared.
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// group says that the address names several hosts, as broadcast does.
func (m MAC) group() bool { return m[0]&1 != 0 }

// ends returns the destination and the source of a frame of headerLen at least.
func ends(frame []byte) (dst, src MAC) {
	return MAC(frame[0:6]), MAC(frame[6:12])
}

// announced returns the address that a gratuitous ARP (RFC 826, RFC 5227) is
// about: sender and target are the same, be it a request or a reply.
//
//	 0         14       16      18    20   22    28          32    38
//	| Ethernet | hwtype | proto | 6 4 | op | MAC | sender IP | MAC | target IP
func announced(frame []byte) (addr netip.Addr, ok bool) {
	const arpLen = 28
	if len(frame) < headerLen+arpLen || binary.BigEndian.Uint16(frame[12:14]) != typeARP {
		return addr, false
	}
	arp := frame[headerLen:]
	if binary.BigEndian.Uint16(arp[2:]) != typeIPv4 || arp[4] != 6 || arp[5] != 4 {
		return addr, false
	}
	sender, target := [4]byte(arp[14:18]), [4]byte(arp[24:28])
	return netip.AddrFrom4(sender), sender == target && sender != [4]byte{}
}

// synAck returns the sender of a frame that accepts a TCP connection: SYN and
// ACK without RST. It knows IPv4, and IPv6 without extension headers.
//
//	 0        12    14                  14+20 (or +40)
//	| dst src | type | IP header, options | source port 2 | ... | flags at 13 |
func synAck(frame []byte) (from netip.AddrPort, ok bool) {
	if len(frame) < headerLen {
		return from, false
	}
	var (
		packet = frame[headerLen:]
		addr   netip.Addr
		tcp    []byte
	)
	switch binary.BigEndian.Uint16(frame[12:14]) {
	case typeIPv4:
		addr, tcp = ipv4(packet)
	case typeIPv6:
		addr, tcp = ipv6(packet)
	}
	if len(tcp) < 14 {
		return from, false
	}
	if tcp[13]&(flagSYN|flagACK|flagRST) != flagSYN|flagACK {
		return from, false
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(tcp)), true
}

// ipv4 returns the source and the TCP segment of a packet, or nothing where it
// is no TCP, or not the first fragment.
func ipv4(p []byte) (netip.Addr, []byte) {
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != protocolTCP || binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return netip.Addr{}, nil
	}
	length := int(p[0]&0xf) * 4
	if length < 20 || len(p) < length {
		return netip.Addr{}, nil
	}
	return netip.AddrFrom4([4]byte(p[12:16])), p[length:]
}

func ipv6(p []byte) (netip.Addr, []byte) {
	if len(p) < 40 || p[0]>>4 != 6 || p[6] != protocolTCP {
		return netip.Addr{}, nil
	}
	return netip.AddrFrom16([16]byte(p[8:24])), p[40:]
}
