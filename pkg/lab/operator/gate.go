//go:build linux

// Package operator is the VIP operator of a node: it campaigns in etcd with
// Talos's key, value and lease, carries the address while it leads, announces
// it by one gratuitous ARP, and gives up in Talos's order.
package operator

import "context"

// Gate is the node's say in the campaign: Talos's preconditions (the etcd
// service is running and healthy, the kubelet's lifecycle is not tearing
// down) and its reasons to let go.
type Gate interface {
	// Enter blocks until the preconditions hold, and puts the operator's
	// finalizer on the kubelet's lifecycle.
	Enter(ctx context.Context) error
	// Lost is closed with the first reason to give up since Enter: lifecycle
	// teardown, etcd service gone, kube-apiserver's static pod gone.
	Lost(ctx context.Context) <-chan struct{}
	// Leave takes the finalizer away again. It must be called after Enter
	// succeeded, also when the campaign failed.
	Leave(ctx context.Context) error
}

// CandidateGate is a Gate that tells a candidate's reasons to give up from an
// owner's. In Talos v1.13.9 (network/operator/vip.go) only an owner gives up
// when kube-apiserver's static pod goes; a candidate keeps its place in the
// queue. A Gate that is not a CandidateGate makes a candidate lose it.
type CandidateGate interface {
	Gate
	// LostWaiting is closed with the first reason of a candidate to give up
	// since Enter: lifecycle teardown, etcd service gone. Lost is then called
	// once the election is won, and must count a static pod gone only from
	// that call on, the other reasons since Enter.
	LostWaiting(ctx context.Context) <-chan struct{}
}
