// Package chaos runs a drill: it asks the guard, takes a baseline, injects a
// fault, watches the service come back, takes the fault back, and waits until
// the cluster is whole again.
//
// It does no I/O of its own. What it needs of the world (the fault, the guard,
// the samples of a prober, the journal, the run's clock) is handed to it, so
// its tests run on a fake clock.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

// Errors that a Guard or Whole function, or an Outcome, may carry.
var (
	// ErrSplitBrain is wrapped by the error of a Guard or Whole function that
	// saw two owners of one VIP. A handover overlaps for up to a second, so
	// the function looks twice before it says so.
	ErrSplitBrain = errors.New("two nodes hold the VIP")
	// ErrAbandoned is in the Err of an Outcome whose drill was left while the
	// fault was in.
	ErrAbandoned = errors.New("left before the cluster was whole")
)

// Drill is one fault done to one node, and everything it takes to do it
// safely. Run it once. Every field is required but Round, Objective, DryRun,
// Abandon and Progress.
type Drill struct {
	// Mode, Target and Round name the drill in events and outcome.
	Mode   string
	Target string
	Round  int
	Fault  Fault

	// Guard says nil when the cluster may be disturbed now. Commands ask it
	// before they print the plan; Run asks it twice more, before the baseline and
	// right before the fault.
	Guard func(context.Context) error
	// Whole says nil when the cluster is whole, else what is missing. It is
	// polled after the fault was taken back; its last error is reported.
	Whole func(context.Context) error
	// Samples hands out what the headline prober has seen so far, in the order
	// of Sent. The prober runs from before Run until after it.
	Samples func() []outage.Sample
	// Now is the run's clock: the time since its start, monotonic, the same
	// that stamps the samples.
	Now     func() time.Duration
	Journal Journal

	Limits Limits
	// Interval and Timeout are the prober's.
	Interval time.Duration
	Timeout  time.Duration
	// Objective is the longest outage that is good; 0 is any.
	Objective time.Duration
	// DryRun stops before the fault is journaled, and ends Aborted.
	DryRun bool
	// Abandon, once closed, makes Run leave at once: the second Ctrl-C.
	Abandon <-chan struct{}
	// Progress is told every event, in the caller's goroutine. It delays the
	// drill for as long as it takes.
	Progress func(Event)
}

// Limits are the times of a drill, all greater than zero.
type Limits struct {
	Baseline time.Duration // how long the service must be good before the fault
	Settle   time.Duration // how long it must be good after it to be called lasting
	Outage   time.Duration // the drill timeout: how long it may take to come back by itself
	Recovery time.Duration // how long the cluster may take to be whole, from the recovery on
}

// Run does the drill and says how it went. It moves as drawn, and in no other
// way:
//
//	Planned ---> Guarded ---> Baseline
//	   |            |            |  \
//	   |            |            |   \  the journal has it on disk
//	   +------------+------------+    \
//	   | a guard said no    | stopped  v
//	   v                    v        Injected ------+  the inject failed
//	Refused              Aborted       |            |
//	                                   v            v
//	nothing was touched            Observing ---> Recovering ---> Verifying ---> Whole
//	                                   |            |                |
//	                                   +------------+----------------+
//	                                   |  abandoned, or not whole in time
//	                                   v
//	                                NotWhole: we do not know what we left behind
//
// When ctx ends before the fault, the drill is Aborted. When it ends after
// it, the outcome is Interrupted, but the drill goes on until the cluster is
// whole: an undo outlives the cancel. Only Abandon cuts that short.
//
// Recover is called once for every Inject, also after one that failed or
// panicked, and at the earliest when the service is back by itself or the
// drill timeout has passed; an abandoned drill is not recovered.
func (d *Drill) Run(ctx context.Context) Outcome {
	r := &run{
		Drill:     d,
		out:       Outcome{Mode: d.Mode, Target: d.Target, Round: d.Round},
		interrupt: ctx.Done(),
	}
	if err := r.prepare(ctx); err != nil {
		r.decline(err)
	} else {
		r.strike(ctx)
		r.measure()
	}
	r.out.Result = judge(r.out, d.Objective)
	return r.out
}

// check finds a drill that could not be run to its end.
func (d *Drill) check() error {
	for _, part := range []struct {
		name    string
		missing bool
	}{
		{"fault", d.Fault == nil}, {"guard", d.Guard == nil}, {"whole", d.Whole == nil},
		{"samples", d.Samples == nil}, {"clock", d.Now == nil}, {"journal", d.Journal == nil},
	} {
		if part.missing {
			return fmt.Errorf("drill has no %s", part.name)
		}
	}
	for _, limit := range []struct {
		name string
		is   time.Duration
	}{
		{"baseline", d.Limits.Baseline}, {"settle time", d.Limits.Settle},
		{"drill timeout", d.Limits.Outage}, {"recovery timeout", d.Limits.Recovery},
		{"interval", d.Interval}, {"probe timeout", d.Timeout},
	} {
		if limit.is <= 0 {
			return fmt.Errorf("drill's %s is %s, not above zero", limit.name, limit.is)
		}
	}
	return nil
}
