package vip

import (
	"fmt"
	"time"
)

// Prediction is how long the VIP is expected to be gone. It does not count the
// time that clients take to learn of the move.
type Prediction struct {
	Lower, Upper time.Duration
	// Basis says what it was reckoned from, lower case, without a full stop.
	Basis string
}

// Leadership says whether the VIP's owner is the etcd leader as well. The zero
// value is that it is not known.
type Leadership int

// The kinds of leadership.
const (
	LeadershipUnknown Leadership = iota
	OwnerFollows                 // another member is the etcd leader
	OwnerLeads                   // the owner is the etcd leader
)

// String returns unknown, follower or leader.
func (l Leadership) String() string {
	switch l {
	case OwnerFollows:
		return "follower"
	case OwnerLeads:
		return "leader"
	default:
		return "unknown"
	}
}

// PredictHandover is for an owner that resigns: on a graceful reboot or
// shutdown, and when its kubelet restarts. The next candidate is told at once,
// whatever the lease. Measured with Talos's own operator: 10 to 16 ms.
func PredictHandover(lease time.Duration) Prediction {
	return Prediction{
		Upper: time.Second,
		Basis: fmt.Sprintf("the owner resigns, and its lease of %s does not matter", effectiveLease(lease)),
	}
}

// PredictCrash is for an owner that is gone without a word: a power cut, or
// its network cut. lease is the lease's time to live, 0 for the default.
//
// If another member leads etcd, the lease runs out. It was last renewed at
// most a third of it, and KeepAliveLook, ago; and the leader notices the end
// within LeaseScan.
//
// If the owner led etcd, a new leader must be elected first. That gives every
// lease its whole time again, and ElectionTimeout on top (Promote in
// server/lease/lessor.go). A follower waits for one to two election timeouts
// from the last heartbeat, reckoned in ticks of a heartbeat: so up to two
// heartbeats less seen from the crash. With two voters left they may vote
// past each other, and wait once more. Measured with a lease of 60 s: 62.1 to
// 62.5 s; with one of 5 s: 7.3 and 7.9 s.
//
// Not in it: further leader changes, each of which begins the wait anew, and
// candidates in the queue that are gone themselves.
func PredictCrash(lease time.Duration, owner Leadership) Prediction {
	lease = effectiveLease(lease)
	follower := Prediction{
		Lower: max(0, lease-lease/KeepAlivesPerLease-KeepAliveLook),
		Upper: lease + LeaseScan,
		Basis: fmt.Sprintf("the rest of the lease of %s, renewed every third of it", lease),
	}
	rearmed := lease + ElectionTimeout
	leader := Prediction{
		Lower: rearmed + ElectionTimeout - 2*Heartbeat,
		Upper: rearmed + 2*(2*ElectionTimeout) + LeaseScan,
		Basis: fmt.Sprintf("the owner is the etcd leader: an election, and then the whole lease of %s again", lease),
	}
	switch owner {
	case OwnerFollows:
		return follower
	case OwnerLeads:
		return leader
	default:
		return Prediction{
			Lower: follower.Lower,
			Upper: leader.Upper,
			Basis: fmt.Sprintf("the lease of %s; it is not known whether the owner is the etcd leader", lease),
		}
	}
}

// PredictForce is for a forced reboot. It stops services without the steps in
// which the owner resigns, but it may still get to it: anything from at once
// to what a crash takes, counted from etcd's end. Until then, for up to
// ForceStop, etcd goes on renewing the lease. Measured with a lease of 5 s:
// 0.01 and 10.9 s.
func PredictForce(lease time.Duration) Prediction {
	return Prediction{
		Upper: ForceStop + PredictCrash(lease, LeadershipUnknown).Upper,
		Basis: fmt.Sprintf("a forced reboot may or may not resign; if not, the lease of %s runs out once etcd has ended, which takes up to %s",
			effectiveLease(lease), ForceStop),
	}
}
