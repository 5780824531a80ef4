package arp

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/net/ipv6"
)

// What neighbour discovery is made of (RFC 4861, sections 4.3, 4.4 and 4.6).
const (
	ndpLength       = 24 // of a solicitation or advertisement without options
	ndpHopLimit     = 255
	sourceLinkLayer = 1 // options
	targetLinkLayer = 2
	solicitedFlag   = 0x40
)

// icmp is what is used of an *ipv6.PacketConn over a raw socket. The kernel
// writes and checks the ICMPv6 checksum of such a socket.
type icmp interface {
	ReadFrom([]byte) (int, *ipv6.ControlMessage, net.Addr, error)
	WriteTo([]byte, *ipv6.ControlMessage, net.Addr) (int, error)
	SetDeadline(time.Time) error
	Close() error
}

// ndpWire asks by neighbour solicitation.
type ndpWire struct {
	conn    icmp
	hw      net.HardwareAddr // ours
	addr    netip.Addr       // asked for
	message []byte           // the question
	from    *ipv6.ControlMessage
	to      *net.IPAddr
	buf     [1500]byte
}

func newNDPWire(conn icmp, link int, hw net.HardwareAddr, src, addr netip.Addr) *ndpWire {
	return &ndpWire{
		conn: conn, hw: hw, addr: addr,
		message: solicitation(hw, addr),
		from:    &ipv6.ControlMessage{HopLimit: ndpHopLimit, Src: src.AsSlice(), IfIndex: link},
		to:      &net.IPAddr{IP: solicitedNode(addr).AsSlice(), Zone: strconv.Itoa(link)},
	}
}

func (w *ndpWire) ask() error {
	_, err := w.conn.WriteTo(w.message, w.from, w.to)
	return err
}

// hear takes only what the segment itself sent: who is behind a router cannot
// make a packet arrive with the highest hop limit (RFC 4861, section 7.1.2).
func (w *ndpWire) hear() (net.HardwareAddr, bool, error) {
	n, cm, _, err := w.conn.ReadFrom(w.buf[:])
	if err != nil {
		return nil, false, err
	}
	if cm == nil || cm.HopLimit != ndpHopLimit || cm.IfIndex != w.from.IfIndex {
		return nil, false, nil
	}
	hw := advertised(w.buf[:n], cm.Dst.IsMulticast(), w.hw, w.addr)
	return hw, hw != nil && w.buf[4]&solicitedFlag == 0, nil
}

func (w *ndpWire) SetDeadline(t time.Time) error { return w.conn.SetDeadline(t) }
func (w *ndpWire) Close() error                  { return w.conn.Close() }

// solicitation is the question who has addr, with our hardware address, so that
// who has it need not ask back. The kernel fills in the checksum.
func solicitation(hw net.HardwareAddr, addr netip.Addr) []byte {
	m := make([]byte, ndpLength, ndpLength+8)
	m[0] = byte(ipv6.ICMPTypeNeighborSolicitation)
	copy(m[8:], addr.AsSlice())
	return append(append(m, sourceLinkLayer, 1), hw...)
}

// solicitedNode is the multicast group of those that may have the address (RFC
// 4291, section 2.7.1).
func solicitedNode(addr netip.Addr) netip.Addr {
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	a := addr.As16()
	copy(group[13:], a[13:])
	return netip.AddrFrom16(group)
}

// advertised returns the hardware address that a neighbour advertisement gives
// for addr; nil where it gives none, or is not one by RFC 4861, section 7.1.2.
// Who answers a solicitation that went to a group must give its hardware
// address (section 7.2.4), so one without it is no answer to us.
func advertised(m []byte, toGroup bool, ours net.HardwareAddr, addr netip.Addr) net.HardwareAddr {
	if len(m) < ndpLength || m[0] != byte(ipv6.ICMPTypeNeighborAdvertisement) || m[1] != 0 {
		return nil
	}
	if toGroup && m[4]&solicitedFlag != 0 || netip.AddrFrom16([16]byte(m[8:24])) != addr {
		return nil
	}
	var hw net.HardwareAddr
	for options := m[ndpLength:]; len(options) > 0; {
		if len(options) < 8 || options[1] == 0 || len(options) < 8*int(options[1]) {
			return nil
		}
		size := 8 * int(options[1])
		if options[0] == targetLinkLayer && size == 8 && hw == nil {
			hw = net.HardwareAddr(options[2:8])
		}
		options = options[size:]
	}
	return machine(hw, ours)
}
