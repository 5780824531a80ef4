package arp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// TestMain runs the tests again in a user and a network namespace of their
// own, so that they need no root and leave the host's network alone.
func TestMain(m *testing.M) {
	const inside = "VIPCTL_TEST_INSIDE"
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		os.Exit(m.Run()) // newHost tells what to do
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// host is a network namespace with a link eth0.
type host struct {
	t  testing.TB
	ns netns.NsHandle
	hw net.HardwareAddr // of eth0
}

// newHost makes an empty namespace, or says why there is none.
func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{t: t}
	made := make(chan error)
	go func() { // its thread is thrown away
		runtime.LockOSThread()
		var err error
		h.ns, err = netns.New()
		made <- err
	}()
	err := <-made
	switch {
	case err == nil:
		t.Cleanup(func() { _ = h.ns.Close() })
		return h
	case os.Getenv("VIPCTL_LAB") == "required":
		t.Fatalf("VIPCTL_LAB=required, but network namespaces cannot be made: %v", err)
	default:
		t.Skipf("network namespaces cannot be made here: %v", err)
	}
	return nil
}

// do runs f in the namespace, on a thread that is thrown away afterwards. Its
// error fails the test.
func (h *host) do(f func() error) {
	h.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(h.ns); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		h.t.Error(err)
	}
}

// carry puts addresses on the host's link.
func (h *host) carry(link string, prefixes ...string) {
	h.t.Helper()
	h.do(func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		for _, p := range prefixes {
			a, err := netlink.ParseAddr(p)
			if err != nil {
				return err
			}
			if a.IP.To4() == nil {
				a.Flags = unix.IFA_F_NODAD // used at once, also where another has it
			}
			if err := netlink.AddrAdd(l, a); err != nil {
				return fmt.Errorf("adding %s: %w", p, err)
			}
		}
		return nil
	})
}

// newSegment makes hosts 10.9.0.1/24 and fd00:9::1/64, ... .2, and so on, joined
// by a bridge.
func newSegment(t testing.TB, n int) []*host {
	t.Helper()
	sw := newHost(t)
	noSnooping := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br"}, MulticastSnooping: &noSnooping}
	sw.do(func() error { return errors.Join(netlink.LinkAdd(bridge), netlink.LinkSetUp(bridge)) })
	var hosts []*host
	for i := range n {
		h := newHost(t)
		h.plug(sw, bridge, "eth0", i)
		h.carry("eth0", fmt.Sprintf("10.9.0.%d/24", i+1), fmt.Sprintf("fd00:9::%d/64", i+1))
		hosts = append(hosts, h)
	}
	return hosts
}

// plug joins the host's new link to port i of the bridge, and waits until
// frames pass.
func (h *host) plug(sw *host, bridge netlink.Link, name string, i int) {
	h.t.Helper()
	port := fmt.Sprintf("port%d", i)
	sw.do(func() error {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port, MasterIndex: bridge.Attrs().Index}, PeerName: name, PeerNamespace: netlink.NsFd(h.ns)}
		return errors.Join(netlink.LinkAdd(veth), netlink.LinkSetUp(veth))
	})
	h.do(func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		h.hw = l.Attrs().HardwareAddr
		return netlink.LinkSetUp(l)
	})
	for _, end := range []struct {
		*host
		link string
	}{{sw, port}, {h, name}} {
		end.await(end.link, netlink.OperUp)
	}
}

func (h *host) await(link string, state netlink.LinkOperState) {
	h.t.Helper()
	h.do(func() error {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
			l, err := netlink.LinkByName(link)
			if err == nil && l.Attrs().OperState == state {
				return nil
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("link %s = %+v, %v; want it %v", link, l, err, state)
			}
		}
	})
}

func (h *host) route(link string, r netlink.Route) {
	h.t.Helper()
	h.do(func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		r.LinkIndex = l.Attrs().Index
		return netlink.RouteAdd(&r)
	})
}

// ipNet is a prefix as netlink wants it.
func ipNet(s string) *net.IPNet {
	p := netip.MustParsePrefix(s)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
