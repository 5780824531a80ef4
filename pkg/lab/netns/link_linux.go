package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Cable is a pair of virtual Ethernet links: one end in the namespace of the
// caller, the other in PeerNS or, where that is nil, in that of the process PeerPID.
type Cable struct {
	Name    string           // this end; at most 15 characters
	PeerNS  *Namespace       // where the other end goes
	PeerPID int              // or: the process in whose namespace it goes
	Peer    string           // the other end's name there
	PeerMAC net.HardwareAddr // its hardware address
}

// Plug makes the cable, with all offloads off on both ends, and sets this end
// up. The other end is left down for its owner to configure. Without the
// offloads every frame carries finished checksums and fits the MTU, which a
// switch in user space relies on.
func Plug(c Cable) error {
	peer := c.PeerNS
	if peer == nil {
		var err error
		if peer, err = ofProcess(c.PeerPID); err != nil {
			return err
		}
		defer func() { _ = peer.Close() }()
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = c.Name
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr = c.Peer, c.PeerMAC
	veth.PeerNamespace = netlink.NsFd(peer.file.Fd())
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("making the cable %s: %w", c.Name, err)
	}
	if err := offloadsOff(c.Name); err != nil {
		return err
	}
	if err := peer.Do(func() error { return offloadsOff(c.Peer) }); err != nil {
		return err
	}
	return SetUp(c.Name)
}

// Unplug removes the link of that name, and with it the cable. A link that is
// gone already, for example with its peer's namespace, is no error.
func Unplug(name string) error {
	link, err := netlink.LinkByName(name)
	if gone := (netlink.LinkNotFoundError{}); errors.As(err, &gone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for the link %s: %w", name, err)
	}
	if err := netlink.LinkDel(link); err != nil {
		return fmt.Errorf("removing the link %s: %w", name, err)
	}
	return nil
}

// SetUp sets the link of that name up.
func SetUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("looking for the link %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting the link %s up: %w", name, err)
	}
	return nil
}

// SetDown sets the link of that name down, so that its peer has no carrier.
func SetDown(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("looking for the link %s: %w", name, err)
	}
	if err := netlink.LinkSetDown(link); err != nil {
		return fmt.Errorf("setting the link %s down: %w", name, err)
	}
	return nil
}

// Configure gives the link of that name addresses and sets it up. Duplicates
// of IPv6 addresses are not looked for: it would take a second.
func Configure(name string, addrs ...netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("looking for the link %s: %w", name, err)
	}
	for _, addr := range addrs {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())}}
		if addr.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, a); err != nil {
			return fmt.Errorf("adding %s to the link %s: %w", addr, name, err)
		}
	}
	return SetUp(name)
}

// offloads are the ethtool commands (linux/ethtool.h) whose work a real cable
// would find done. A kernel that lacks one answers EOPNOTSUPP.
var offloads = []uint32{
	unix.ETHTOOL_SRXCSUM, unix.ETHTOOL_STXCSUM, unix.ETHTOOL_SSG,
	unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_SGRO,
}

func offloadsOff(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket for ethtool: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, cmd := range offloads {
		err := ethtool(fd, name, cmd, 0)
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("ethtool command %#x on %s: %w", cmd, name, err)
		}
	}
	return nil
}

// ethtool sets one value: struct ethtool_value {u32 cmd; u32 data} of
// linux/ethtool.h, behind struct ifreq.
func ethtool(fd int, name string, cmd, data uint32) error {
	value := struct{ cmd, data uint32 }{cmd, data}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(req.name[:], ifr.Name())
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return errno
	}
	return nil
}
