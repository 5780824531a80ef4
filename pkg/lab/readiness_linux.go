package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// readiness follows a lab's start: every node must boot, and every VIP be held
// that a node can hold.
type readiness struct {
	booting []string     // nodes that have not booted yet
	unheld  []netip.Addr // VIPs that nobody held yet
}

func newReadiness(s Spec) *readiness {
	r := &readiness{booting: s.nodeNames()}
	for _, vip := range s.VIPs {
		if len(s.eligible(vip)) > 0 {
			r.unheld = append(r.unheld, vip)
		}
	}
	return r
}

func (r *readiness) done() bool { return len(r.booting) == 0 && len(r.unheld) == 0 }

// see takes an event and returns a line to show, or "". A node that crashes
// before it has booted is an error.
func (r *readiness) see(e truth.Event, since time.Duration) (string, error) {
	after := (e.At - since).Seconds()
	switch e.Kind {
	case truth.Booted:
		if i := slices.Index(r.booting, e.Node); i >= 0 {
			r.booting = slices.Delete(r.booting, i, i+1)
			return fmt.Sprintf("%s booted (%.1f s)", e.Node, after), nil
		}
	case truth.AddressAdded:
		i := slices.IndexFunc(r.unheld, func(vip netip.Addr) bool { return e.Detail == prefixOf(vip) })
		if i >= 0 {
			vip := r.unheld[i]
			r.unheld = slices.Delete(r.unheld, i, i+1)
			return fmt.Sprintf("%s is held by %s (%.1f s)", vip, e.Node, after), nil
		}
	case truth.PowerOff:
		if strings.HasPrefix(e.Detail, crashed) && slices.Contains(r.booting, e.Node) {
			return "", &crashError{node: e.Node, detail: e.Detail}
		}
	}
	return "", nil
}

// crashError is a node that went off by itself before it had booted.
type crashError struct{ node, detail string }

func (e *crashError) Error() string { return e.node + " went off while it booted: " + e.detail }

// lacking says what the start still waits for.
func (r *readiness) lacking() string {
	var parts []string
	for _, n := range r.booting {
		parts = append(parts, n+" has not booted")
	}
	for _, vip := range r.unheld {
		parts = append(parts, vip.String()+" has no owner")
	}
	return strings.Join(parts, ", ")
}

// prefixOf is how a VIP appears as an address: alone in its network.
func prefixOf(vip netip.Addr) string { return netip.PrefixFrom(vip, vip.BitLen()).String() }

// holders returns the nodes that hold the VIP by what the events say: added,
// not removed since, and not switched off since.
func holders(events []truth.Event, vip netip.Addr) []string {
	held := []string{}
	drop := func(node string) {
		held = slices.DeleteFunc(held, func(n string) bool { return n == node })
	}
	for _, e := range events {
		switch {
		case e.Kind == truth.PowerOff:
			drop(e.Node)
		case e.Kind == truth.AddressRemoved && e.Detail == prefixOf(vip):
			drop(e.Node)
		case e.Kind == truth.AddressAdded && e.Detail == prefixOf(vip):
			drop(e.Node)
			held = append(held, e.Node)
		}
	}
	return held
}
