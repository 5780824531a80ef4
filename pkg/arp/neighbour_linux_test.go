package arp

import (
	"bytes"
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Whatever the kernel's entry is, it names a machine only where frames are sent to
// one.
func TestWhoAnEntryNames(t *testing.T) {
	tests := map[string]struct {
		state int
		hw    []byte
		want  string
	}{
		"one in use": {unix.NUD_REACHABLE, cp1HW, cp1HW.String()},
		"a memory":   {unix.NUD_STALE, cp1HW, cp1HW.String()},
		"one that failed, though it still remembers": {unix.NUD_FAILED, cp1HW, ""},
		"one that is being looked for":               {unix.NUD_INCOMPLETE, cp1HW, ""},
		"one of no hardware address":                 {unix.NUD_NOARP, noHW, ""},
	}
	for name, tt := range tests {
		if got := describe(netlink.Neigh{State: tt.state, HardwareAddr: tt.hw}, "eth0"); got.HardwareAddr != tt.want {
			t.Errorf("%s: describe(%#x, %x) = %+v; want %q", name, tt.state, tt.hw, got, tt.want)
		}
	}
}

func TestATableIsReadWhole(t *testing.T) {
	other := errors.New("no buffer space")
	for _, tt := range []struct {
		name  string
		says  []error // of each reading, the last of all further ones
		times int
		want  error
	}{
		{"what did not change is read once", []error{nil}, 1, nil},
		{"what changed meanwhile is read again", []error{netlink.ErrDumpInterrupted, netlink.ErrDumpInterrupted, nil}, 3, nil},
		{"what changes all the time is given up, and not taken for whole", []error{netlink.ErrDumpInterrupted}, 5, netlink.ErrDumpInterrupted},
		{"what cannot be read is not tried again", []error{other}, 1, other},
	} {
		times := 0
		err := whole(func() error {
			times++
			return tt.says[min(times, len(tt.says))-1]
		})
		if !errors.Is(err, tt.want) || times != tt.times {
			t.Errorf("%s: whole = %v after %d readings; want %v after %d", tt.name, err, times, tt.want, tt.times)
		}
	}
}

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
