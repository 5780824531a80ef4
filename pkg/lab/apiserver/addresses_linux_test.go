//go:build linux

package apiserver

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const inNamespace = "VIPCTL_TEST_IN_NAMESPACE"

// TestWatchHearsOfAddressesThatComeAndGo runs itself again in network and user
// namespaces of its own.
func TestWatchHearsOfAddressesThatComeAndGo(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		testWatch(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestWatchHearsOfAddressesThatComeAndGo$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Skipf("no namespaces here: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
}

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
