package vip

import "time"

// The numbers behind a failover. Talos sets none of them itself: they are
// etcd's defaults, read in etcd v3.6.12 as Talos v1.13.9 ships it.
const (
	// DefaultLease is the time to live of the owner's lease (defaultSessionTTL in
	// client/v3/concurrency/session.go).
	DefaultLease = 60 * time.Second
	// MinLease is the shortest lease that etcd grants; it raises shorter ones to
	// this (MinLeaseTTL in server/etcdserver/server.go: one and a half
	// election timeouts, in whole seconds).
	MinLease = 2 * time.Second
	// KeepAlivesPerLease is how often the owner renews its lease in the time
	// that it lasts (client/v3/lease.go: every third of it).
	KeepAlivesPerLease = 3
	// KeepAliveLook is how often the client looks whether a renewal is due
	// (retryConnWait in client/v3/lease.go), so that one is late by up to this.
	KeepAliveLook = 500 * time.Millisecond
	// LeaseScan is how often the etcd leader looks for leases that have run out
	// (runLoop in server/lease/lessor.go).
	LeaseScan = 500 * time.Millisecond
	// TTLGrain is by how much more than it tells etcd may have left of a lease
	// (LeaseTimeToLive in server/etcdserver/v3_server.go cuts off to seconds).
	TTLGrain = time.Second
	// Heartbeat is how often the etcd leader shows that it is there
	// (--heartbeat-interval).
	Heartbeat = 100 * time.Millisecond
	// ElectionTimeout is how long a follower waits for a heartbeat, at least
	// (--election-timeout). Each draws a time between this and twice this.
	ElectionTimeout = time.Second

	// ForceStop is how long a service that a forced reboot asks to end may take
	// until it is killed (Talos v1.13.9 internal/app/machined/pkg/system/runner).
	// etcd takes most of it: it waits 7 s for the streams of its clients
	// (ReqTimeout in server/config/config.go).
	ForceStop = 10 * time.Second

	// ResampleAfter is how long to wait before two owners are called a split
	// brain, a contradiction a dispute, and an address nobody's. In a handover
	// both may hold the address for up to a second: the client side of a lease is
	// checked once a second.
	ResampleAfter = 2 * time.Second
)

// effectiveLease is the lease that etcd grants: 0 or less means the default.
func effectiveLease(lease time.Duration) time.Duration {
	if lease <= 0 {
		return DefaultLease
	}
	return max(lease, MinLease)
}
