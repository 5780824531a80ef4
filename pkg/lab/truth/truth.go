//go:build linux

// Package truth is the lab's log of true instants: when a link was cut, an
// address added, a process killed. It is the ground truth that measuring is
// tested against.
//
// Times are readings of CLOCK_MONOTONIC, which all processes of a machine
// share, so that a prober outside the lab can be compared with it. Many
// processes write events (Writer); one keeps them and puts them in order (Log).
package truth

import (
	"time"

	"golang.org/x/sys/unix"
)

// Event is one true instant.
type Event struct {
	// Seq numbers the events of a Log, from 1 on and without gaps. Events come
	// in the order of their time, but for those that are Late.
	Seq uint64 `json:"seq,omitempty"`
	// At is the reading of CLOCK_MONOTONIC, in nanoseconds.
	At time.Duration `json:"atNanoseconds"`
	// Node is the node's name, "" for the lab itself. It is the node on which
	// the instant was read.
	Node string `json:"node,omitempty"`
	// Kind is one of the constants below.
	Kind Kind `json:"kind"`
	// Detail says more, for example the address or the process's name.
	Detail string `json:"detail,omitempty"`
	// Late says that the Log learned of the event when later ones had their
	// numbers already.
	Late bool `json:"late,omitempty"`
	// Once, if not empty, names what happened where several processes tell of
	// the same: a Log keeps the first event to come and no other of the name.
	Once string `json:"once,omitempty"`
}

// Kind is what happened: one of the constants below.
type Kind string

// The kinds of event. Where the instant is not exact, the direction of its
// error is named: late is after what happened, early before it.
const (
	LinkCut        Kind = "link-cut"         // a switch port went silent. Late: no frame passed between it and the event
	LinkRestored   Kind = "link-restored"    // a switch port passes frames again. Late
	PowerOff       Kind = "power-off"        // every process of a node was killed. Late, by the kernel's cleaning up
	PowerOn        Kind = "power-on"         // a node starts to boot. Early
	Booted         Kind = "booted"           // a node's boot sequence ended. Late
	ProcessStarted Kind = "process-started"  // Late. Detail: etcd, apiserver, ...
	ProcessKilled  Kind = "process-killed"   // it ended, however. Late, by the reaping. Detail: etcd, apiserver, ...
	EtcdReady      Kind = "etcd-ready"       // the node's etcd answers linearizable reads. Late
	LeaderElected  Kind = "leader-elected"   // the node's etcd became the raft leader. Late, by microseconds
	LeaseGranted   Kind = "lease-granted"    // the operator has its lease. Late, by the answer's way. Detail: the lease ID in hex
	LeaseKeptAlive Kind = "lease-kept-alive" // the member asked is about to answer so. Late for the lease in the raft leader (by the way back from it), early for the client. Detail: the lease ID in hex
	LeaseExpired   Kind = "lease-expired"    // the raft leader revoked the lease because its time was up, and has applied it. Late, by microseconds. Detail: the lease ID in hex
	LeaseRevoked   Kind = "lease-revoked"    // by its own operator. Late, by the answer's way. Detail: the lease ID in hex
	LeaseLost      Kind = "lease-lost"       // the client side of the lease expired. Late: the client looks once a second. Detail: the lease ID in hex
	KeyWritten     Kind = "key-written"      // a candidate's key was put, as the first member applied it: Node is that member. Late, by microseconds. Detail: the key, and its value in brackets
	KeyDeleted     Kind = "key-deleted"      // a candidate's key was deleted, by whomever, as KeyWritten. Detail: the key, and its value in brackets
	Elected        Kind = "elected"          // the operator learned that it won. Late for etcd, early for the address. Detail: the key
	Resigned       Kind = "resigned"         // the operator's deletion of its key was answered. Late. Detail: the key
	AddressAdded   Kind = "address-added"    // Late, by the way back from the kernel. Detail: the prefix
	AddressRemoved Kind = "address-removed"  // Early, by the way to the kernel. Detail: the prefix
	ARPSent        Kind = "arp-sent"         // the gratuitous ARP. Late. Detail: the address
	ARPLost        Kind = "arp-lost"         // the switch swallowed a gratuitous ARP that came from the node. Early. Detail: the address
	Listening      Kind = "listening"        // the apiserver listens on 6443. Late
	Accepted       Kind = "accepted"         // first connection that the apiserver accepted on the VIP since the node gained it. Detail: the address
	Answered       Kind = "answered"         // first SYN-ACK from VIP:6443 seen on a switch port since another port sent one, or since the address moved. Early for the client. Detail: the address
	SequenceStart  Kind = "sequence-started" // Early. Detail: reboot, shutdown, boot
	PhaseStart     Kind = "phase-started"    // of a sequence. Early. Detail: the phase
	PhaseEnd       Kind = "phase-ended"      // of a sequence. Late. Detail: the phase
	FaultInjected  Kind = "fault-injected"   // Early. Detail: the fault's name
	FaultUndone    Kind = "fault-undone"     // Early. Detail: the fault's name
	EventsDropped  Kind = "events-dropped"   // a process could not write as many events as Detail says, since nobody read them
)

// Now reads CLOCK_MONOTONIC, the clock of every Event: all processes of a machine
// read the same, in whatever namespace.
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
