package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
	"github.com/vipctl/vipctl/pkg/vip"
)

const (
	// watchPause is the time between two looks at the samples.
	watchPause = 100 * time.Millisecond
	// wholePause is the time between two questions whether all is whole.
	wholePause = 500 * time.Millisecond
	// confirm is how long a service that was lost must be good again before
	// the fault is taken back. The rest of the settle time runs while the
	// node recovers.
	confirm = 2 * time.Second
)

// errDryRun ends a dry run's preparation; it is no failure.
var errDryRun = errors.New("dry run")

// run is a Drill under way.
type run struct {
	*Drill
	out       Outcome
	interrupt <-chan struct{} // closed when a person asks to stop; nil once noticed
	waiting   string          // the last reason given for not being whole
	unwritten bool            // the journal failed after the fault, and it was said
}

// prepare does all that touches nothing. When it returns nil, the disk says
// that a fault is coming.
func (r *run) prepare(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	ctx, leave := r.untilAbandoned(ctx)
	defer leave()
	steps := []func() error{
		func() error { return r.enter(Planned) },
		func() error { return r.Guard(ctx) },
		func() error { return available(ctx, r.Fault) },
		func() error { return r.enter(Guarded) },
		func() error { return r.enter(Baseline) },
		func() error { return r.baseline(ctx) },
		func() error { return r.Guard(ctx) }, // the baseline took its time: look again right before the fault
		r.stopDryRun,
		func() error { return r.note(KindInjecting, r.Fault.Name()) },
	}
	for _, step := range steps {
		err := step()
		if ctx.Err() != nil {
			r.out.Interrupted = true
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) stopDryRun() error {
	if r.DryRun {
		return errDryRun
	}
	return nil
}

// decline ends a drill that touched nothing, and writes down why.
func (r *run) decline(err error) {
	if r.out.Interrupted || errors.Is(err, errDryRun) {
		r.move(Aborted)
	} else {
		r.move(Refused)
	}
	if !errors.Is(err, errDryRun) {
		r.blame(err)
	}
	r.blame(r.note(KindPhase, err.Error()))
}

// strike injects the fault and sees to it that it is gone again. The undo is
// deferred before the do, on a context that the caller's cancel cannot reach.
func (r *run) strike(ctx context.Context) {
	after, leave := r.untilAbandoned(context.WithoutCancel(ctx))
	defer leave()
	defer r.restore(after)
	if r.inject(after) {
		r.observe(after)
	}
}

// inject sends the fault. Injected is entered first, in memory: an inject that
// fails may have half happened. The disk knows already, and nothing slow may
// stand between the fault instant and the request.
func (r *run) inject(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, limitOf(r.Fault))
	defer cancel()
	r.move(Injected)
	r.out.FaultAt = r.Now()
	err := r.Fault.Inject(ctx)
	acked := r.Now()
	r.record(r.event(r.out.FaultAt, KindPhase, r.Fault.Name()))
	if err != nil {
		r.fail(fmt.Errorf("inject %s: %w", r.Fault.Name(), err))
		return false
	}
	r.out.AckAt = acked
	r.record(r.event(acked, KindAccepted, ""))
	return true
}

// observe waits until the service is back by itself, or the drill timeout has
// passed.
func (r *run) observe(ctx context.Context) {
	r.proceed(Observing)
	for !r.back() {
		if r.Now()-r.out.FaultAt >= r.Limits.Outage {
			r.out.TimedOut = true
			r.tell(KindTimedOut, fmt.Sprintf("the service is not back after %s", r.Limits.Outage))
			return
		}
		if !r.pause(ctx, watchPause) {
			return
		}
	}
	r.tell(KindBack, "")
}

// back says that the service is good again. A service that was not seen to
// fail must be good for the whole settle time, for the fault may yet bite. The
// time counts from the acknowledgement: until then nothing may have happened.
func (r *run) back() bool {
	steady := r.Limits.Settle
	if slices.ContainsFunc(r.Samples(), r.lost) {
		steady = min(steady, confirm)
	}
	return r.lasts(r.out.AckAt, steady)
}

// lost says that s shows the service failing after the fault.
func (r *run) lost(s outage.Sample) bool {
	return !s.Suspect && s.Result != outage.OK && s.Done > r.out.FaultAt
}

// lasts says that the service is good and has been for that long, counted from
// some instant on. It waits a timeout and an interval longer: a failure that
// began by then is not known before.
func (r *run) lasts(after, steady time.Duration) bool {
	_, ok := outage.LastingSince(r.Samples(), after, steady+r.Timeout+r.Interval, r.Now())
	return ok
}

// restore takes the fault back and waits until all is whole, for up to the
// recovery limit. Abandoned, it claims nothing.
func (r *run) restore(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, r.Limits.Recovery)
	defer cancel()
	if ctx.Err() == nil {
		r.undo(limited)
	}
	err := context.Cause(ctx)
	if err == nil {
		r.proceed(Verifying)
		err = r.verify(limited)
	}
	r.notice()
	if err != nil {
		r.fail(err)
		r.proceed(NotWhole)
		return
	}
	r.proceed(Whole)
}

func (r *run) undo(ctx context.Context) {
	r.proceed(Recovering)
	if err := r.Fault.Recover(ctx); err != nil {
		r.fail(fmt.Errorf("recover from %s: %w", r.Fault.Name(), err))
		return
	}
	r.tell(KindRecovered, "")
}

// verify polls until the fault has landed, the cluster is whole and the
// service lasts. It returns why that did not come about: the last reason that
// was not merely the end of ctx.
func (r *run) verify(ctx context.Context) error {
	var last error
	for {
		err := r.missing(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
			r.await(err)
		}
		if !r.pause(ctx, wholePause) {
			break
		}
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
		return join(cause, last)
	}
	if last == nil {
		last = errors.New("recovering took all of it")
	}
	return fmt.Errorf("not whole within %s: %w", vip.Seconds(r.Limits.Recovery), last)
}

// missing says what is not whole yet.
func (r *run) missing(ctx context.Context) error {
	if l, ok := r.Fault.(Lander); ok && r.out.AckAt > 0 {
		if err := l.Landed(ctx); err != nil {
			return err
		}
	}
	if err := r.Whole(ctx); err != nil {
		return err
	}
	if !r.lasts(r.out.FaultAt, r.Limits.Settle) {
		return fmt.Errorf("the service has not yet been good for %s", vip.Seconds(r.Limits.Settle))
	}
	return nil
}

// measure judges the samples once those in flight have come in. Abandoned, it
// takes what is there.
func (r *run) measure() {
	if !errors.Is(r.out.Err, ErrAbandoned) {
		time.Sleep(r.Timeout + r.Interval)
	}
	r.notice()
	sent := slices.DeleteFunc(slices.Clone(r.Samples()), func(s outage.Sample) bool {
		return s.Sent > r.out.EndAt
	})
	r.out.Measurement = outage.Measure(sent, outage.Config{
		Fault: r.out.FaultAt, Settle: r.Limits.Settle, Interval: r.Interval, Timeout: r.Timeout,
	})
}
