//go:build linux

package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// isolate makes the machine's namespaces its own: no mount spreads, /proc
// shows its own processes, and it has its name.
func isolate(hostname string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	return nil
}

// setUpLinks brings the loopback and the machine's links up, with their
// addresses, and adds the default routes.
func setUpLinks(cfg Config) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("link lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set link lo up: %w", err)
	}
	for _, l := range cfg.AllLinks() {
		if err := setUpLink(l); err != nil {
			return err
		}
	}
	for _, gw := range cfg.Gateways {
		if err := netlink.RouteReplace(&netlink.Route{Gw: gw.AsSlice(), Priority: network.DefaultRouteMetric, Protocol: unix.RTPROT_STATIC}); err != nil {
			return fmt.Errorf("add the default route by %v: %w", gw, err)
		}
	}
	return nil
}

func setUpLink(l Link) error {
	link, err := netlink.LinkByName(l.Name)
	if err != nil {
		return fmt.Errorf("link %s: %w", l.Name, err)
	}
	for _, addr := range l.Addrs {
		if err := netlink.AddrReplace(link, toNetlink(addr)); err != nil {
			return fmt.Errorf("add %v to link %s: %w", addr, l.Name, err)
		}
	}
	for _, name := range l.AltNames {
		// A kernel before v5.5 has no such names.
		if err := netlink.LinkAddAltName(link, name); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("call link %s also %s: %w", l.Name, name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set link %s up: %w", l.Name, err)
	}
	return nil
}

// toNetlink returns the address for the kernel. netlink fills in the broadcast
// address of an IPv4 subnet, and none for a /32, as Talos does. Duplicates are
// not looked for: it would keep an IPv6 address from working for a second.
func toNetlink(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// requireFile says what is missing when an inherited file is not there.
func requireFile(f *os.File, what string) error {
	if f == nil {
		return fmt.Errorf("no %s was inherited", what)
	}
	if _, err := f.Stat(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
