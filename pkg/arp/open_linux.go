package arp

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// open opens a socket to ask for addr on its segment.
func open(addr netip.Addr) (wire, error) {
	seg, err := locate(addr)
	if err != nil {
		return nil, err
	}
	var w wire
	if addr.Is4() {
		w, err = openARP(seg, addr)
	} else {
		w, err = openNDP(seg, addr)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, &CapabilityError{err}
	}
	return w, err
}

// forUs passes the frames that are meant for this machine or for all on the
// segment. The kernel takes a frame's VLAN tag off before anybody hears it, and
// nothing in the frame tells it from an untagged one. Where this machine is not in
// that VLAN, the frame counts as another's; where it is, as one of the VLAN's own
// link, and yet who listens to ARP on the link below gets it (orig_dev in
// __netif_receive_skb_core, Linux net/core/dev.c).
func forUs(link int) ([]bpf.RawInstruction, error) {
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtInterfaceIndex},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(link), SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
}

func openARP(seg segment, addr netip.Addr) (wire, error) {
	filter, err := forUs(seg.link.index)
	if err != nil {
		return nil, err
	}
	ifi := &net.Interface{Index: seg.link.index, Name: seg.link.name, HardwareAddr: seg.link.hw}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, &packet.Config{Filter: filter})
	if err != nil {
		return nil, err
	}
	w, err := newARPWire(conn, seg.link.hw, seg.src, addr)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

// openNDP opens a raw socket that hears neighbour advertisements only. It is
// not bound to our address, so that it hears what is advertised to all.
func openNDP(seg segment, addr netip.Addr) (wire, error) {
	raw, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, err
	}
	conn := ipv6.NewPacketConn(raw)
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeNeighborAdvertisement)
	err = errors.Join(
		conn.SetICMPFilter(&filter),
		conn.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface|ipv6.FlagDst, true),
		conn.SetMulticastHopLimit(ndpHopLimit),
		conn.SetMulticastLoopback(false),
	)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return newNDPWire(conn, seg.link.index, seg.link.hw, seg.src, addr), nil
}
