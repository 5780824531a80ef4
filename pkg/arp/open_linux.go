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
// segment. The kernel counts a frame of a VLAN that this machine is not in as
// another's, and takes its tag off: nothing else tells it from an untagged one.
var forUs = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
	bpf.RetConstant{Val: 1 << 16},
	bpf.RetConstant{Val: 0},
}

func openARP(seg segment, addr netip.Addr) (wire, error) {
	filter, err := bpf.Assemble(forUs)
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
