package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

var (
	errGuard   = errors.New("etcd has 2 of 3 voters healthy")
	errNotHere = errors.New("the node runs an old Talos")
	errDisk    = errors.New("no space left on device")
	errInject  = errors.New("permission denied")
	errRecover = errors.New("the BMC is busy")
	errMissing = errors.New("cp-1 is not running")
)

// world is a cluster, a prober and a disk on a fake clock. It is fault,
// journal and prober in one, so that what happened in which order is one list.
// The zero values are a world in which all goes well.
type world struct {
	start time.Time

	guard, available, whole error
	injectErr, recoverErr   error
	half                    bool          // an Inject that fails has its effect all the same
	injectTakes             time.Duration // from request to effect and acknowledgement
	takeover                time.Duration // how long the service is gone after the fault
	boot                    time.Duration // how long the node takes after the recovery
	land                    time.Duration // how long the effect is yet to be seen
	badAt                   time.Duration // when one sample fails by itself
	suspect                 bool          // every sample is sent late
	silentFrom              time.Duration // when the prober stops
	journalFails            int           // the n-th Append fails, and all after it
	stuck                   bool          // Inject waits for its context

	in                     bool // the fault is in the cluster
	downFrom, downTo, back time.Duration
	landedAt               time.Duration
	calls                  []string // inject, recover, and each journal line's kind
	injectedAt             time.Duration
	recoveredAt            time.Duration
	lines                  []Event
	appends                int
}

const (
	testInterval = 100 * time.Millisecond
	testTimeout  = 200 * time.Millisecond
)

func (w *world) now() time.Duration { return time.Since(w.start) }

// drill returns a drill of w with limits that keep tests short.
func (w *world) drill() *Drill {
	w.start = time.Now()
	return &Drill{
		Mode: "hard", Target: "cp-1", Round: 1, Fault: w,
		Guard:   func(context.Context) error { return w.guard },
		Whole:   w.isWhole,
		Samples: w.samples, Now: w.now, Journal: w,
		Limits:   Limits{Baseline: time.Second, Settle: 3 * time.Second, Outage: 20 * time.Second, Recovery: time.Minute},
		Interval: testInterval, Timeout: testTimeout,
	}
}

func (w *world) Name() string                      { return "power cut" }
func (w *world) Available(context.Context) error   { return w.available }
func (w *world) Inject(ctx context.Context) error  { return w.inject(ctx) }
func (w *world) Recover(ctx context.Context) error { return w.recover(ctx) }

func (w *world) Landed(context.Context) error {
	if w.now() < w.landedAt {
		return errors.New("the node has not rebooted yet")
	}
	return nil
}

func (w *world) inject(ctx context.Context) error {
	w.calls = append(w.calls, "inject")
	w.injectedAt = w.now()
	if w.stuck {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	time.Sleep(w.injectTakes)
	if w.injectErr == nil || w.half {
		w.in = true
		w.downFrom, w.downTo = w.now(), w.now()+w.takeover
		w.landedAt = w.now() + w.land
	}
	return w.injectErr
}

func (w *world) recover(context.Context) error {
	w.calls = append(w.calls, "recover")
	w.recoveredAt = w.now()
	if w.recoverErr != nil {
		return w.recoverErr
	}
	w.in = false
	w.back = w.now() + w.boot
	return nil
}

func (w *world) isWhole(context.Context) error {
	if w.in || w.now() < w.back {
		return errMissing
	}
	return w.whole
}

func (w *world) Append(e Event) error {
	w.appends++
	if w.journalFails > 0 && w.appends >= w.journalFails {
		return errDisk
	}
	w.calls = append(w.calls, string(e.Kind))
	w.lines = append(w.lines, e)
	return nil
}

// samples is an open-loop prober's view: it hands out those that are done.
func (w *world) samples() []outage.Sample {
	var all []outage.Sample
	until := w.now()
	if w.silentFrom > 0 {
		until = min(until, w.silentFrom)
	}
	for sent := time.Duration(0); sent <= until; sent += testInterval {
		s := outage.Sample{Sent: sent, Done: sent + time.Millisecond, Result: outage.OK, Suspect: w.suspect}
		if w.in || w.downTo > 0 {
			if sent >= w.downFrom && sent < w.downTo {
				s.Done, s.Result = sent+testTimeout, outage.Timeout
			}
		}
		if w.badAt > 0 && sent == w.badAt {
			s.Result = outage.Refused
		}
		if s.Done <= w.now() {
			all = append(all, s)
		}
	}
	return all
}

// count says how often a call was made.
func (w *world) count(call string) int {
	n := 0
	for _, c := range w.calls {
		if c == call {
			n++
		}
	}
	return n
}

// transcript is the journal as it stands on the disk.
func (w *world) transcript(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, e := range w.lines {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(line, '\n'))
	}
	return text.String()
}

// broken checks what must hold of every drill, whatever happened in it.
func (w *world) broken(d *Drill, out Outcome, abandoned bool) error {
	injects, recovers := w.count("inject"), w.count("recover")
	switch {
	case !out.Phase.Ended():
		return fmt.Errorf("it ended in phase %q", out.Phase)
	case out.Phase.Touched() != (injects == 1):
		return fmt.Errorf("phase %s with %d injects", out.Phase, injects)
	case injects > 1 || recovers > injects:
		return fmt.Errorf("%d injects, %d recovers", injects, recovers)
	case injects == 1 && recovers == 0 && !abandoned:
		return errors.New("the fault was not taken back")
	case out.Phase == Whole && (w.in || w.now() < w.back || recovers != 1):
		return errors.New("it says whole, and is not")
	case injects == 1 && !slices.Contains(w.calls[:slices.Index(w.calls, "inject")], string(KindInjecting)):
		return errors.New("the fault came before its journal entry")
	case out.Phase == NotWhole && (out.Result != ResultNotWhole || out.Err == nil):
		return fmt.Errorf("not whole is %q, %w", out.Result, out.Err)
	case out.Phase == Refused && out.Err == nil:
		return errors.New("refused without a reason")
	case out.Result == ResultPass && (out.Err != nil || out.Interrupted || out.TimedOut || !d.DryRun && out.Phase != Whole):
		return fmt.Errorf("it passed: %+v", out)
	case recovers == 1 && out.AckAt > 0 && w.recoveredAt < min(w.downTo, out.FaultAt+d.Limits.Outage):
		return fmt.Errorf("taken back at %s; the service came back at %s by itself", w.recoveredAt, w.downTo)
	}
	return illegal(out.Events)
}

// illegal finds the first move in events that the table does not know.
func illegal(events []Event) error {
	at := Phase("")
	for _, e := range events {
		if e.Phase != at {
			if e.Kind != KindPhase || !slices.Contains(moves[at], e.Phase) {
				return fmt.Errorf("illegal move from %q to %q (%s)", at, e.Phase, e.Kind)
			}
			at = e.Phase
		}
	}
	return nil
}
