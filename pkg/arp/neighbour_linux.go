package arp

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// states are the kernel's words for the states of an entry, as ip-neighbour(8)
// prints them.
var states = map[int]string{
	unix.NUD_INCOMPLETE: "incomplete",
	unix.NUD_REACHABLE:  "reachable",
	unix.NUD_STALE:      "stale",
	unix.NUD_DELAY:      "delay",
	unix.NUD_PROBE:      "probe",
	unix.NUD_FAILED:     "failed",
	unix.NUD_NOARP:      "noarp",
	unix.NUD_PERMANENT:  "permanent",
}

// unresolved are the states in which the kernel sends to no hardware address,
// whatever the entry still has.
const unresolved = unix.NUD_INCOMPLETE | unix.NUD_FAILED

// neighbour reads the kernel's entry for addr on its segment.
func neighbour(addr netip.Addr) (cluster.Neighbour, error) {
	seg, err := locate(addr)
	if err != nil {
		return cluster.Neighbour{}, err
	}
	var table []netlink.Neigh
	err = whole(func() (err error) {
		table, err = netlink.NeighList(seg.link.index, family(addr))
		return err
	})
	if err != nil {
		return cluster.Neighbour{}, fmt.Errorf("reading this machine's neighbour table: %w", err)
	}
	for _, entry := range table {
		if got, ok := netip.AddrFromSlice(entry.IP); ok && got.Unmap() == addr {
			return describe(entry, seg.link.name), nil
		}
	}
	return cluster.Neighbour{Link: seg.link.name}, nil
}

// describe tells of an entry. One of no state was made this instant.
func describe(entry netlink.Neigh, link string) cluster.Neighbour {
	n := cluster.Neighbour{State: states[entry.State], Link: link}
	if n.State == "" && entry.State != unix.NUD_NONE {
		n.State = fmt.Sprintf("state %#x", entry.State)
	}
	none := entry.State&unresolved != 0 || len(bytes.Trim(entry.HardwareAddr, "\x00")) == 0
	if !none {
		n.HardwareAddr = entry.HardwareAddr.String()
	}
	return n
}
