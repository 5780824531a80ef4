//go:build linux

package operator

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/labtest"
)

func TestKernelCarriesTheAddress(t *testing.T) { labtest.InNamespace(t, testKernel) }

func testKernel(t *testing.T) {
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer"}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	peer, err := netlink.LinkByName("peer")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []netlink.Link{veth, peer} {
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
	}
	// A frame sent before the kernel has started the queues would be lost.
	for _, name := range []string{"eth0", "peer"} {
		awaitUp(t, name)
	}
	ifi, err := net.InterfaceByName("peer")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()

	k := NewKernel("eth0")
	for _, vip := range []string{"10.5.0.50", "fd00::50"} {
		addAndRemove(t, k, veth, netip.MustParseAddr(vip))
	}
	if err := k.Announce(netip.MustParseAddr("10.5.0.50")); err != nil {
		t.Fatal(err)
	}
	wantFrame(t, conn, veth)
	if err := NewKernel("none").AddAddress(netip.MustParsePrefix("10.5.0.50/32")); err == nil {
		t.Error("AddAddress on a missing link = nil; want an error")
	}
}

func awaitUp(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		link, err := netlink.LinkByName(name)
		if err == nil && link.Attrs().OperState == netlink.OperUp {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("link %s = %+v, %v; want it up", name, link, err)
		}
	}
}

func addAndRemove(t *testing.T, k Kernel, veth netlink.Link, vip netip.Addr) {
	t.Helper()
	prefix := netip.PrefixFrom(vip, vip.BitLen())
	if err := k.AddAddress(prefix); err != nil {
		t.Fatal(err)
	}
	if err := k.AddAddress(prefix); !errors.Is(err, fs.ErrExist) {
		t.Errorf("AddAddress(%v) again = %v; want fs.ErrExist", prefix, err)
	}
	got := find(t, veth, prefix)
	if got == nil || got.Broadcast != nil || got.Scope != unix.RT_SCOPE_UNIVERSE || got.Flags&unix.IFA_F_PERMANENT == 0 {
		t.Errorf("address on the link = %+v; want %v, permanent, scope global, no broadcast", got, prefix)
	}
	if err := k.RemoveAddress(prefix); err != nil {
		t.Fatal(err)
	}
	if got := find(t, veth, prefix); got != nil {
		t.Errorf("address on the link after RemoveAddress = %v; want none", got)
	}
	if err := k.RemoveAddress(prefix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("RemoveAddress(%v) again = %v; want fs.ErrNotExist", prefix, err)
	}
}

func find(t *testing.T, link netlink.Link, prefix netip.Prefix) *netlink.Addr {
	t.Helper()
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if a.IPNet.String() == prefix.String() {
			return &a
		}
	}
	return nil
}

// wantFrame reads the gratuitous ARP at the other end, and nothing after it.
func wantFrame(t *testing.T, conn *packet.Conn, veth netlink.Link) {
	t.Helper()
	buffer := make([]byte, 128)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := conn.ReadFrom(buffer)
	if err != nil {
		t.Fatalf("no gratuitous ARP at the other end: %v", err)
	}
	link, err := netlink.LinkByIndex(veth.Attrs().Index)
	if err != nil {
		t.Fatal(err)
	}
	want := &sink{}
	if err := gratuitousARP(want, link.Attrs().HardwareAddr, netip.MustParseAddr("10.5.0.50")); err != nil {
		t.Fatal(err)
	}
	if string(buffer[:n]) != string(want.frames[0]) {
		t.Errorf("frame at the other end = %x; want %x", buffer[:n], want.frames[0])
	}
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, _, err := conn.ReadFrom(buffer); err == nil {
		t.Errorf("another frame at the other end: %x; want one only", buffer[:n])
	}
}
