//go:build linux

// Package truth is the lab's log of true instants: when a link was cut, an
// address added, a process killed. It is the ground truth that measuring is
// tested against.
//
// Times are readings of CLOCK_MONOTONIC, which all processes of a machine
// share, so that a prober outside the lab can be compared with it.
package truth

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Event is one true instant.
type Event struct {
	// At is the reading of CLOCK_MONOTONIC, in nanoseconds.
	At time.Duration `json:"atNanoseconds"`
	// Node is the node's name, "" for the lab itself.
	Node string `json:"node,omitempty"`
	// Kind is one of the constants below.
	Kind Kind `json:"kind"`
	// Detail says more, for example the address or the process's name.
	Detail string `json:"detail,omitempty"`
}

// Kind is what happened.
type Kind string

// The kinds of event.
const (
	LinkCut        Kind = "link-cut"         // a switch port went silent
	LinkRestored   Kind = "link-restored"    // a switch port passes frames again
	PowerOff       Kind = "power-off"        // every process of a node was killed
	PowerOn        Kind = "power-on"         // a node starts to boot
	Booted         Kind = "booted"           // a node's boot sequence ended
	ProcessStarted Kind = "process-started"  // Detail: etcd, apiserver, ...
	ProcessKilled  Kind = "process-killed"   // Detail: etcd, apiserver, ...
	EtcdReady      Kind = "etcd-ready"       // the node's etcd answers reads
	LeaseGranted   Kind = "lease-granted"    // Detail: the lease ID in hex
	LeaseRevoked   Kind = "lease-revoked"    // Detail: the lease ID in hex
	LeaseLost      Kind = "lease-lost"       // the client side of the lease expired
	KeyWritten     Kind = "key-written"      // the election was won. Detail: the key
	KeyDeleted     Kind = "key-deleted"      // resigned. Detail: the key
	AddressAdded   Kind = "address-added"    // Detail: the prefix
	AddressRemoved Kind = "address-removed"  // Detail: the prefix
	ARPSent        Kind = "arp-sent"         // the gratuitous ARP. Detail: the address
	Listening      Kind = "listening"        // the apiserver listens on 6443
	Accepted       Kind = "accepted"         // first connection that the apiserver accepted on the VIP since the node gained it. Detail: the address
	Answered       Kind = "answered"         // first SYN-ACK from VIP:6443 seen on a switch port since another port sent one, or since the address moved. Detail: the address
	SequenceStart  Kind = "sequence-started" // Detail: reboot, shutdown, boot
	FaultInjected  Kind = "fault-injected"   // Detail: the fault's name
	FaultUndone    Kind = "fault-undone"     // Detail: the fault's name
)

// Now reads CLOCK_MONOTONIC.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("clock_gettime(CLOCK_MONOTONIC): " + err.Error()) // cannot fail on Linux
	}
	return time.Duration(ts.Nano())
}

// Recorder takes events. It is safe for concurrent use and never blocks for long.
type Recorder interface {
	Record(Event)
}

// Writer is a Recorder that writes each event as one line of JSON. Lines are
// shorter than PIPE_BUF (pipe(7): 4096 bytes), so that many processes can
// share one pipe and no line is torn.
type Writer struct {
	node string
	w    io.Writer
	mu   sync.Mutex // guards writes to w within this process
}

// NewWriter returns a Writer whose events carry node where they name none.
func NewWriter(node string, w io.Writer) *Writer { return &Writer{node: node, w: w} }

// Record writes the event, stamped with Now where At is zero. A log that
// cannot be written (its reader is gone) is not worth stopping for.
func (l *Writer) Record(e Event) {
	if e.At == 0 {
		e.At = Now()
	}
	if e.Node == "" {
		e.Node = l.node
	}
	line, err := json.Marshal(e)
	if err != nil {
		return // an Event always marshals
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.w.Write(append(line, '\n'))
}
