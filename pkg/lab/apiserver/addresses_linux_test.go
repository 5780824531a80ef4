//go:build linux

package apiserver

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/vipctl/vipctl/pkg/lab/labtest"
)

func TestWatchHearsOfAddressesThatComeAndGo(t *testing.T) { labtest.InNamespace(t, testWatch) }

func testWatch(t *testing.T) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	type change struct {
		addr   netip.Addr
		gained bool
	}
	changes := make(chan change, 16)
	go watchAddresses(t.Context(), func(addr netip.Addr, gained bool) { changes <- change{addr, gained} })
	wait := func(want change) {
		t.Helper()
		for {
			select {
			case got := <-changes:
				if got == want {
					return
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("never heard %+v", want)
			}
		}
	}
	wait(change{netip.MustParseAddr("127.0.0.1"), true}) // was there before
	vip := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 5, 0, 50).To4(), Mask: net.CIDRMask(32, 32)}}
	addr := netip.MustParseAddr("10.5.0.50")
	if err := netlink.AddrAdd(lo, vip); err != nil {
		t.Fatal(err)
	}
	wait(change{addr, true})
	if !hasAddress(addr) {
		t.Errorf("hasAddress(%v) = false after it came; want true", addr)
	}
	if err := netlink.AddrDel(lo, vip); err != nil {
		t.Fatal(err)
	}
	wait(change{addr, false})
	if hasAddress(addr) {
		t.Errorf("hasAddress(%v) = true after it went; want false", addr)
	}
}
