package chaos

import (
	"context"
	"time"
)

// Fault is something that can be done to a cluster and undone.
//
// Inject returns when the fault is acknowledged. Recover must be safe to call
// after an Inject that failed (it may have half happened), and safe to call
// twice; for a fault that ends by itself it does nothing.
type Fault interface {
	Name() string
	Inject(ctx context.Context) error
	Recover(ctx context.Context) error
}

// Availer is a Fault that can say beforehand that it cannot be used here. It
// is asked after the guard and before the baseline; an error refuses the
// drill. It changes nothing in the cluster.
type Availer interface {
	Available(ctx context.Context) error
}

// Lander is a Fault whose acknowledgement comes before its effect: a reboot is
// accepted long before the node goes down. Landed answers nil once the effect
// has been seen. Until then a drill does not believe a cluster that looks
// whole. It is not asked after an Inject that failed.
type Lander interface {
	Landed(ctx context.Context) error
}

// Limiter is a Fault with a time limit of its own for Inject; the limit is
// InjectLimit otherwise.
type Limiter interface {
	Limit() time.Duration
}

// InjectLimit is the longest that Inject may take unless the fault says
// otherwise. It covers a request to a Talos API or a slow BMC.
const InjectLimit = 60 * time.Second

func limitOf(f Fault) time.Duration {
	if l, ok := f.(Limiter); ok {
		return l.Limit()
	}
	return InjectLimit
}

func available(ctx context.Context, f Fault) error {
	if a, ok := f.(Availer); ok {
		return a.Available(ctx)
	}
	return nil
}
