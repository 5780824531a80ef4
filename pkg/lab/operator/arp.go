//go:build linux

package operator

import (
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// gratuitousARP writes the frame by which Talos announces a VIP:
//
//	ethernet  destination ff:ff:ff:ff:ff:ff, source hw, type 0x0806
//	ARP       request (1), sender hw, ip, target hw, ip
//
// It is an announcement in the sense of RFC 5227, section 3, but that the
// target hardware address is the sender's and not zero.
func gratuitousARP(conn net.PacketConn, hw net.HardwareAddr, ip netip.Addr) error {
	request, err := arp.NewPacket(arp.OperationRequest, hw, ip, hw, ip)
	if err != nil {
		return err
	}
	payload, err := request.MarshalBinary()
	if err != nil {
		return err
	}
	frame, err := (&ethernet.Frame{
		Destination: ethernet.Broadcast,
		Source:      hw,
		EtherType:   ethernet.EtherTypeARP,
		Payload:     payload,
	}).MarshalBinary()
	if err != nil {
		return err
	}
	_, err = conn.WriteTo(frame, &packet.Addr{HardwareAddr: ethernet.Broadcast})
	return err
}
