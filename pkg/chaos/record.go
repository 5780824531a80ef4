package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// move changes the phase. An illegal move is a mistake of this package.
func (r *run) move(to Phase) {
	if !legal(r.out.Phase, to) {
		panic(fmt.Sprintf("chaos: no move from %q to %q", r.out.Phase, to))
	}
	r.out.Phase = to
	if to.Ended() && r.Now != nil {
		r.out.EndAt = r.Now()
	}
}

// enter moves and writes it down. The error is the journal's.
func (r *run) enter(to Phase) error {
	r.move(to)
	return r.note(KindPhase, "")
}

// proceed is enter after the fault, when a failing journal stops nothing.
func (r *run) proceed(to Phase) {
	r.move(to)
	r.tell(KindPhase, "")
}

// tell is note after the fault.
func (r *run) tell(kind Kind, detail string) { r.record(r.event(r.Now(), kind, detail)) }

// fail writes down what went wrong after the fault.
func (r *run) fail(err error) {
	r.blame(err)
	r.tell(KindFailed, err.Error())
}

// blame adds err to the outcome.
func (r *run) blame(err error) {
	if errors.Is(err, ErrSplitBrain) {
		r.out.SplitBrain = true
	}
	r.out.Err = join(r.out.Err, err)
}

// await writes down why the drill is not whole yet, once for each reason.
func (r *run) await(err error) {
	if errors.Is(err, ErrSplitBrain) {
		r.out.SplitBrain = true
	}
	if reason := err.Error(); reason != r.waiting {
		r.waiting = reason
		r.tell(KindWaiting, reason)
	}
}

// record appends an event after the fault. A journal that fails is said once,
// and stops nothing: the fault must be taken back all the same.
func (r *run) record(e Event) {
	if err := r.write(e); err != nil && !r.unwritten {
		r.unwritten = true
		r.blame(err)
	}
}

// note appends an event of now.
func (r *run) note(kind Kind, detail string) error {
	if r.Now == nil || r.Journal == nil {
		return nil // the drill was refused for that
	}
	return r.write(r.event(r.Now(), kind, detail))
}

func (r *run) write(e Event) error {
	r.out.Events = append(r.out.Events, e)
	err := r.Journal.Append(e)
	if r.Progress != nil {
		r.Progress(e)
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func (r *run) event(at time.Duration, kind Kind, detail string) Event {
	return Event{
		At: at, Mode: r.Mode, Round: r.Round, Target: r.Target,
		Phase: r.out.Phase, Kind: kind, Detail: detail,
	}
}

// pause waits, and says false when ctx ended. A person's wish to stop is
// noticed on the way.
func (r *run) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	r.notice()
	return ctx.Err() == nil
}

// notice writes down, once, that a person asked to stop after the fault.
func (r *run) notice() {
	if r.interrupt == nil || !r.out.Phase.Touched() {
		return
	}
	select {
	case <-r.interrupt:
		r.interrupt = nil
		r.out.Interrupted = true
		r.tell(KindInterrupted, "stopping once the cluster is whole")
	default:
	}
}

// untilAbandoned returns ctx, ending with ErrAbandoned when Abandon closes.
func (r *run) untilAbandoned(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-r.Abandon:
			cancel(ErrAbandoned)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// join is errors.Join that leaves a single error as it is.
func join(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	default:
		return errors.Join(a, b)
	}
}
