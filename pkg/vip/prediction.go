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
		Basis: fmt.Sprintf("the owner resigns, and its lease of %s does not matter", Seconds(effectiveLease(lease))),
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
		Basis: fmt.Sprintf("the rest of the lease of %s, renewed every third of it", Seconds(lease)),
	}
	return either(owner, follower, rearmed(lease),
		fmt.Sprintf("the lease of %s; it is not known whether the owner is the etcd leader", Seconds(lease)))
}

// PredictCrashNow is for an owner that would be gone without a word at the
// moment when etcd was asked how much is left of its lease. lease is its whole
// time, 0 for the default; remaining is what etcd told, in whole seconds and
// rounded down (LeaseTimeToLive in server/etcdserver/v3_server.go), so that up
// to TTLGrain more is left. ghosts are what is left of the leases of keys with
// which nobody campaigns, ahead of the next live candidate: it gets the VIP when
// all of them are gone (waitDeletes in client/v3/concurrency/key.go). They run
// down side by side, so the longest counts.
//
// If another member leads etcd, what is left runs out, and the leader notices
// within LeaseScan. If the owner leads etcd, it does not matter what is left:
// every lease begins anew, as in PredictCrash.
//
// Where the crash comes later than the question, the prediction is too long by
// the time between, or, if the lease was renewed in it, too short by up to a
// third of the lease. Where something alive renews a ghost's lease, it is too
// short by any time: the VIP stays away until that ends.
func PredictCrashNow(lease, remaining time.Duration, ghosts []time.Duration, owner Leadership) Prediction {
	lease = effectiveLease(lease)
	last := max(0, remaining)
	for _, ghost := range ghosts {
		last = max(last, ghost)
	}
	behind := ""
	if len(ghosts) > 0 {
		behind = fmt.Sprintf("; ahead of the next candidate are keys with which nobody campaigns (%d), and if their leases are renewed it takes until that ends", len(ghosts))
	}
	follower := Prediction{
		Lower: last,
		Upper: last + TTLGrain + LeaseScan,
		Basis: fmt.Sprintf("%s left of the owner's lease of %s", Seconds(max(0, remaining)), Seconds(lease)) + behind,
	}
	leader := rearmed(lease)
	leader.Basis += behind
	return either(owner, follower, leader,
		fmt.Sprintf("%s left of the owner's lease of %s, or all of it: it is not known whether the owner is the etcd leader", Seconds(max(0, remaining)), Seconds(lease))+behind)
}

// rearmed is for an owner that leads etcd.
func rearmed(lease time.Duration) Prediction {
	anew := lease + ElectionTimeout
	return Prediction{
		Lower: anew + ElectionTimeout - 2*Heartbeat,
		Upper: anew + 2*(2*ElectionTimeout) + LeaseScan,
		Basis: fmt.Sprintf("the owner is the etcd leader: an election, and then the whole lease of %s again", Seconds(lease)),
	}
}

// either chooses between the predictions for an owner that follows in etcd and
// one that leads; where that is not known it spans both.
func either(owner Leadership, follower, leader Prediction, unknown string) Prediction {
	switch owner {
	case OwnerFollows:
		return follower
	case OwnerLeads:
		return leader
	default:
		return Prediction{
			Lower: min(follower.Lower, leader.Lower),
			Upper: max(follower.Upper, leader.Upper),
			Basis: unknown,
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
			Seconds(effectiveLease(lease)), Seconds(ForceStop)),
	}
}
