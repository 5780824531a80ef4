package arp

import (
	"fmt"
	"net/netip"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// NotOnSegmentError says that no segment of this machine has the address, so
// that nobody can be asked for it from here.
type NotOnSegmentError struct {
	Addr   netip.Addr
	Reason string // "it is reached through 10.6.0.1"
}

func (e *NotOnSegmentError) Error() string {
	return fmt.Sprintf("%s is not on a segment of this machine (%s)", e.Addr, e.Reason)
}

// HereError says that this machine itself has the address. It would not answer
// its own question, so nobody was asked.
type HereError struct {
	Addr netip.Addr
	Link string // the link that has it
}

func (e *HereError) Error() string {
	return fmt.Sprintf("this machine itself has %s, on %s", e.Addr, e.Link)
}

// CapabilityError says that this process may not open the socket that a
// question takes.
type CapabilityError struct{ Err error }

func (e *CapabilityError) Error() string { return cluster.NeedsRight + "CAP_NET_RAW" }
func (e *CapabilityError) Unwrap() error { return e.Err }

// Hint names what to try.
func (e *CapabilityError) Hint() string {
	return "run vipctl as root, or give the program the right once: sudo setcap cap_net_raw+ep \"$(command -v vipctl)\""
}
