// Package fault holds the faults that a drill knows, each over a tiny
// interface of its own that says what it needs of the outside world.
//
// The faults implement chaos.Fault; what they can do beyond it they say by its
// optional interfaces. A fault is used for one drill.
package fault

import (
	"context"
	"time"

	"github.com/vipctl/vipctl/pkg/chaos"
)

var (
	_ chaos.Fault   = (*Reboot)(nil)
	_ chaos.Availer = (*Reboot)(nil)
	_ chaos.Lander  = (*Reboot)(nil)
	_ chaos.Fault   = (*KubeletRestart)(nil)
	_ chaos.Fault   = (*PowerCut)(nil)
	_ chaos.Availer = (*PowerCut)(nil)
)

// UnavailableError says why a fault cannot be used here. Nothing was touched.
type UnavailableError struct {
	Fault  string // its name
	Reason string
	Remedy string // what to try instead, for Hint; may be ""
}

func (e *UnavailableError) Error() string { return e.Fault + " cannot be used: " + e.Reason }

// Hint says what to try instead.
func (e *UnavailableError) Hint() string { return e.Remedy }

// sleep waits for d, and returns the error of ctx where that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
