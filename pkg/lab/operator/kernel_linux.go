//go:build linux

package operator

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernel is the Kernel of this process's network namespace. It is not safe
// for concurrent use.
type kernel struct {
	link      string
	broadcast bool // give IPv4 addresses themselves as broadcast address
	index     int  // of the link when the address was added
}

// NewKernel returns the Kernel of this process's network namespace for the
// link of that name, which is looked up at each AddAddress. It is not safe for
// concurrent use.
func NewKernel(link string) Kernel { return &kernel{link: link} }

// NewBroadcastKernel is NewKernel, but that an IPv4 address has itself as its
// broadcast address, as on Talos before v1.11.3.
func NewBroadcastKernel(link string) Kernel { return &kernel{link: link, broadcast: true} }

// AddAddress looks the link up first, for links come and go.
func (k *kernel) AddAddress(prefix netip.Prefix) error {
	ifi, err := net.InterfaceByName(k.link)
	if err != nil {
		return err
	}
	k.index = ifi.Index
	a := address(prefix)
	if k.broadcast && prefix.Addr().Is4() {
		a.Broadcast = a.IP
	}
	return netlink.AddrAdd(k.device(), a)
}

// RemoveAddress is one request to the kernel, on the link that the address
// was added to.
func (k *kernel) RemoveAddress(prefix netip.Prefix) error {
	err := netlink.AddrDel(k.device(), address(prefix))
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// Announce opens a socket for the one frame.
func (k *kernel) Announce(ip netip.Addr) error {
	ifi, err := net.InterfaceByIndex(k.index)
	if err != nil {
		return err
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, nil)
	if err != nil {
		return err
	}
	return errors.Join(gratuitousARP(conn, ifi.HardwareAddr, ip), conn.Close())
}

func (k *kernel) device() netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: k.link, Index: k.index}}
}

// address is a plain address: netlink leaves scope 0 (global), and gives a
// broadcast address to prefixes shorter than /31 only.
func address(prefix netip.Prefix) *netlink.Addr {
	bits := prefix.Addr().BitLen()
	return &netlink.Addr{IPNet: &net.IPNet{
		IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), bits),
	}}
}
