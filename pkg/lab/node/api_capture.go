//go:build linux

package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// maxFrame holds every frame of a link of the lab, whose offloads are off.
	maxFrame = 64 << 10
	// snapLength is how much of each packet Talos gives out unless told
	// (gopacket's afpacket.DefaultFrameSize).
	snapLength = 4096
	// captureWait is how long a capture waits for a packet before it looks
	// whether it is still wanted.
	captureWait = 100 * time.Millisecond
)

// capture streams what passes a link of the machine, in both directions, as a
// pcap file: the head first, then one packet a piece. The packets' times are
// the kernel's.
func capture(ctx context.Context, req *machineapi.PacketCaptureRequest, write func([]byte) error) error {
	snap := int(req.GetSnapLen())
	if snap == 0 {
		snap = snapLength
	}
	fd, err := openCapture(req)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := write(pcapHead(snap)); err != nil {
		return err
	}
	frame, oob := make([]byte, maxFrame), make([]byte, 128)
	for ctx.Err() == nil {
		n, oobn, _, _, err := unix.Recvmsg(fd, frame, oob, unix.MSG_TRUNC)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
			continue // nothing yet; a link that is down may come up
		}
		if err != nil {
			return fmt.Errorf("read packets of %s: %w", req.GetInterface(), err)
		}
		kept := min(n, snap, len(frame))
		if err := write(pcapPacket(arrival(oob[:oobn]), frame[:kept], n)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// openCapture returns a packet socket that sees the link's frames and nothing
// from before its filter was set.
func openCapture(req *machineapi.PacketCaptureRequest) (int, error) {
	link, err := netlink.LinkByName(req.GetInterface())
	if err != nil {
		return 0, fmt.Errorf("error creating afpacket handle: %w", err)
	}
	// Protocol 0 receives nothing until the socket is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("error creating afpacket handle: %w", err)
	}
	if err := tuneCapture(fd, link.Attrs().Index, req); err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	all := unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: link.Attrs().Index}
	if err := unix.Bind(fd, &all); err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("error creating afpacket handle: %w", err)
	}
	return fd, nil
}

func tuneCapture(fd, link int, req *machineapi.PacketCaptureRequest) error {
	if filter := rawFilter(req.GetBpfFilter()); len(filter) > 0 {
		prog := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog); err != nil {
			return fmt.Errorf("error setting BPF filter: %w", err)
		}
	}
	if req.GetPromiscuous() {
		member := unix.PacketMreq{Ifindex: int32(link), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &member); err != nil {
			return fmt.Errorf("error setting promiscuous mode true: %w", err)
		}
	}
	wait := unix.NsecToTimeval(captureWait.Nanoseconds())
	return errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
	)
}

func rawFilter(list []*machineapi.BPFInstruction) []unix.SockFilter {
	filter := make([]unix.SockFilter, 0, len(list))
	for _, i := range list {
		filter = append(filter, unix.SockFilter{Code: uint16(i.GetOp()), Jt: uint8(i.GetJt()), Jf: uint8(i.GetJf()), K: i.GetK()})
	}
	return filter
}

// arrival returns when the kernel saw the packet, or now if it does not say.
func arrival(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return time.Unix((*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Unix())
		}
	}
	return time.Now()
}

// pcapHead is the head of a pcap file with microseconds, of Ethernet frames
// (a loopback's look like them).
func pcapHead(snap int) []byte {
	const magic, major, minor, ethernet = 0xa1b2c3d4, 2, 4, 1
	b := binary.LittleEndian.AppendUint32(nil, magic)
	b = binary.LittleEndian.AppendUint16(b, major)
	b = binary.LittleEndian.AppendUint16(b, minor)
	b = append(b, make([]byte, 8)...) // no time zone, no accuracy
	b = binary.LittleEndian.AppendUint32(b, uint32(snap))
	return binary.LittleEndian.AppendUint32(b, ethernet)
}

// pcapPacket is a packet in a pcap file. length is what it had on the wire.
func pcapPacket(at time.Time, data []byte, length int) []byte {
	b := make([]byte, 0, 16+len(data))
	b = binary.LittleEndian.AppendUint32(b, uint32(at.Unix()))
	b = binary.LittleEndian.AppendUint32(b, uint32(at.Nanosecond()/1000))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(length))
	return append(b, data...)
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }
