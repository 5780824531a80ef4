package arp

import (
	"bytes"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Whatever the kernel's entry is, it names a machine only where frames are sent to
// one.
func FuzzDescribeNeighbour(f *testing.F) {
	for state := range states {
		f.Add(state, []byte(cp1HW))
	}
	f.Add(unix.NUD_NONE, []byte(nil))
	f.Add(unix.NUD_STALE|unix.NUD_FAILED, make([]byte, 6))
	f.Add(-1, []byte{1})
	f.Fuzz(func(t *testing.T, state int, hw []byte) {
		n := describe(netlink.Neigh{State: state, HardwareAddr: hw}, "eth0")
		none := state&unresolved != 0 || len(bytes.Trim(hw, "\x00")) == 0
		if none != (n.HardwareAddr == "") || n.Link != "eth0" || state != unix.NUD_NONE && n.State == "" {
			t.Errorf("describe(%#x, %x) = %+v; want a state, and a machine: %v", state, hw, n, !none)
		}
	})
}
