package arp

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// arpWire asks by ARP, over a packet socket that hears ARP only.
type arpWire struct {
	conn  net.PacketConn
	hw    net.HardwareAddr // ours
	addr  netip.Addr       // asked for
	frame []byte           // the question
	buf   [128]byte        // an ARP frame has 60 bytes
}

// newARPWire asks for addr from our own address, so that whoever has it answers
// to us alone, and learns nothing but the truth about us.
func newARPWire(conn net.PacketConn, hw net.HardwareAddr, src, addr netip.Addr) (*arpWire, error) {
	request, err := arp.NewPacket(arp.OperationRequest, hw, src, make(net.HardwareAddr, len(hw)), addr)
	if err != nil {
		return nil, err
	}
	payload, err := request.MarshalBinary()
	if err != nil {
		return nil, err
	}
	frame, err := (&ethernet.Frame{
		Destination: ethernet.Broadcast, Source: hw, EtherType: ethernet.EtherTypeARP, Payload: payload,
	}).MarshalBinary()
	if err != nil {
		return nil, err
	}
	return &arpWire{conn: conn, hw: hw, addr: addr, frame: frame}, nil
}

func (w *arpWire) ask() error {
	_, err := w.conn.WriteTo(w.frame, &packet.Addr{HardwareAddr: ethernet.Broadcast})
	return err
}

func (w *arpWire) hear() (net.HardwareAddr, bool, error) {
	n, _, err := w.conn.ReadFrom(w.buf[:])
	if err != nil {
		return nil, false, err
	}
	hw := senderOf(w.buf[:n], w.hw, w.addr)
	return hw, hw != nil && gratuitous(w.buf[:n], w.addr), nil
}

func (w *arpWire) SetDeadline(t time.Time) error { return w.conn.SetDeadline(t) }
func (w *arpWire) Close() error                  { return w.conn.Close() }

// senderOf returns the hardware address that an Ethernet frame gives for addr,
// nil where it gives none. Any ARP packet whose sender has the address says
// that it has it (RFC 5227, section 2.4): a reply, a gratuitous request, and
// the owner's own questions. It is the address inside the packet that counts,
// for that is the one that goes into neighbour tables.
func senderOf(frame []byte, ours net.HardwareAddr, addr netip.Addr) net.HardwareAddr {
	var f ethernet.Frame
	if err := f.UnmarshalBinary(frame); err != nil || f.EtherType != ethernet.EtherTypeARP || f.VLAN != nil || f.ServiceVLAN != nil {
		return nil
	}
	if !bytes.Equal(f.Destination, ours) && !group(f.Destination) {
		return nil
	}
	var p arp.Packet
	if err := p.UnmarshalBinary(f.Payload); err != nil {
		return nil
	}
	if p.HardwareType != 1 || p.ProtocolType != uint16(ethernet.EtherTypeIPv4) || p.SenderIP != addr {
		return nil
	}
	if p.Operation != arp.OperationRequest && p.Operation != arp.OperationReply {
		return nil
	}
	return machine(p.SenderHardwareAddr, ours)
}

// gratuitous says that an ARP frame whose sender has addr is about nobody else's
// (RFC 5227, section 1.1).
func gratuitous(frame []byte, addr netip.Addr) bool {
	var f ethernet.Frame
	var p arp.Packet
	return f.UnmarshalBinary(frame) == nil && p.UnmarshalBinary(f.Payload) == nil && p.TargetIP == addr
}

// machine returns the hardware address if it can be one machine's, and not
// ours; else nil.
func machine(hw, ours net.HardwareAddr) net.HardwareAddr {
	if len(hw) != 6 || group(hw) || bytes.Equal(hw, make([]byte, 6)) || bytes.Equal(hw, ours) {
		return nil
	}
	return hw
}

// group says whether it is a broadcast or multicast address.
func group(hw net.HardwareAddr) bool { return len(hw) > 0 && hw[0]&1 == 1 }
