package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata")

// agreesOnce is a guard that sees something come up after it agreed.
func agreesOnce(err error) func(context.Context) error {
	asked := false
	return func(context.Context) error {
		if asked {
			return err
		}
		asked = true
		return nil
	}
}

// Each row is a way out of a drill. Its name is also the name of the journal
// transcript in testdata.
func TestDrill(t *testing.T) {
	tests := []struct {
		name  string
		world world
		drill func(*Drill)
		// cancel and abandon are when the first and the second Ctrl-C come; 0
		// is never. They lie between the drill's looks at its samples, so that
		// the order of the events is settled.
		cancel, abandon time.Duration

		phase  Phase
		result Result
		err    error  // nil: none
		calls  string // inject and recover, in order
	}{
		{name: "all goes well", world: world{takeover: 7 * time.Second, boot: 2 * time.Second},
			phase: Whole, result: ResultPass, calls: "inject recover"},
		{name: "the service is never gone", world: world{boot: time.Second},
			phase: Whole, result: ResultPass, calls: "inject recover"},
		{name: "the objective is missed", world: world{takeover: 7 * time.Second},
			drill: func(d *Drill) { d.Objective = 6 * time.Second },
			phase: Whole, result: ResultObjectiveMissed, calls: "inject recover"},
		{name: "the objective is met", world: world{takeover: 7 * time.Second},
			drill: func(d *Drill) { d.Objective = 8 * time.Second },
			phase: Whole, result: ResultPass, calls: "inject recover"},
		{name: "the fault lands late", world: world{land: 30 * time.Second},
			phase: Whole, result: ResultPass, calls: "inject recover"},

		{name: "the inject is slow", world: world{injectTakes: 10 * time.Second, takeover: 5 * time.Second},
			phase: Whole, result: ResultPass, calls: "inject recover"},

		{name: "the guard refuses", world: world{guard: errGuard},
			phase: Refused, result: ResultRefused, err: errGuard},
		{name: "the guard sees a split brain", world: world{guard: fmt.Errorf("cp-1 and cp-2: %w", ErrSplitBrain)},
			phase: Refused, result: ResultSplitBrain, err: ErrSplitBrain},
		{name: "the fault cannot be used", world: world{available: errNotHere},
			phase: Refused, result: ResultRefused, err: errNotHere},
		{name: "the baseline is bad", world: world{badAt: 600 * time.Millisecond},
			phase: Refused, result: ResultRefused, err: errAny},
		{name: "the guard refuses after the baseline",
			drill: func(d *Drill) { d.Guard = agreesOnce(errGuard) },
			phase: Refused, result: ResultRefused, err: errGuard},
		{name: "the prober does not keep up", world: world{suspect: true},
			phase: Refused, result: ResultRefused, err: errAny},
		{name: "the prober falls silent", world: world{silentFrom: 300 * time.Millisecond},
			phase: Refused, result: ResultRefused, err: errAny},
		{name: "the prober falls silent after the fault", world: world{silentFrom: 3 * time.Second},
			phase: NotWhole, result: ResultNotWhole, err: errAny, calls: "inject recover"},
		{name: "the disk is full before the fault", world: world{journalFails: 4},
			phase: Refused, result: ResultRefused, err: errDisk},
		{name: "a dry run", drill: func(d *Drill) { d.DryRun = true },
			phase: Aborted, result: ResultPass},
		{name: "cancelled before the fault", cancel: 550 * time.Millisecond,
			phase: Aborted, result: ResultInterrupted, err: context.Canceled},
		{name: "abandoned before the fault", abandon: 550 * time.Millisecond,
			phase: Aborted, result: ResultInterrupted, err: ErrAbandoned},

		{name: "the inject fails", world: world{injectErr: errInject, landedAt: time.Hour},
			phase: Whole, result: ResultInconclusive, err: errInject, calls: "inject recover"},
		{name: "the inject half happens", world: world{injectErr: errInject, half: true, takeover: 5 * time.Second, boot: time.Second},
			phase: Whole, result: ResultInconclusive, err: errInject, calls: "inject recover"},
		{name: "the inject never returns", world: world{stuck: true},
			phase: Whole, result: ResultInconclusive, err: context.DeadlineExceeded, calls: "inject recover"},
		{name: "the disk is full after the fault", world: world{journalFails: 6, takeover: time.Second},
			phase: Whole, result: ResultInconclusive, err: errDisk, calls: "inject recover"},
		{name: "cancelled after the fault", world: world{takeover: 7 * time.Second, boot: 2 * time.Second}, cancel: 3050 * time.Millisecond,
			phase: Whole, result: ResultInterrupted, calls: "inject recover"},
		{name: "cancelled and then abandoned", world: world{takeover: 7 * time.Second}, cancel: 3050 * time.Millisecond, abandon: 4050 * time.Millisecond,
			phase: NotWhole, result: ResultNotWhole, err: ErrAbandoned, calls: "inject"},
		{name: "abandoned while the cluster recovers", world: world{takeover: time.Second, boot: time.Minute}, abandon: 20050 * time.Millisecond,
			phase: NotWhole, result: ResultNotWhole, err: ErrAbandoned, calls: "inject recover"},
		{name: "the drill times out", world: world{takeover: 25 * time.Second},
			phase: Whole, result: ResultObjectiveMissed, calls: "inject recover"},
		{name: "the service never comes back", world: world{takeover: time.Hour},
			phase: NotWhole, result: ResultNotWhole, err: errAny, calls: "inject recover"},
		{name: "the recovery fails", world: world{takeover: time.Second, recoverErr: errRecover},
			phase: NotWhole, result: ResultNotWhole, err: errRecover, calls: "inject recover"},
		{name: "the cluster is never whole", world: world{takeover: time.Second, whole: errMissing},
			phase: NotWhole, result: ResultNotWhole, err: errMissing, calls: "inject recover"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &tt.world
				d := w.drill()
				if tt.drill != nil {
					tt.drill(d)
				}
				out := runWith(d, tt.cancel, tt.abandon)
				if out.Phase != tt.phase || out.Result != tt.result {
					t.Errorf("it ended %s, %s; want %s, %s", out.Phase, out.Result, tt.phase, tt.result)
				}
				anyWill := errors.Is(tt.err, errAny)
				if tt.err == nil && out.Err != nil || anyWill && out.Err == nil ||
					!anyWill && !errors.Is(out.Err, tt.err) {
					t.Errorf("Err = %v; want %v", out.Err, tt.err)
				}
				if got := w.done(); got != tt.calls {
					t.Errorf("the cluster saw %q; want %q", got, tt.calls)
				}
				if err := w.broken(d, out, tt.abandon > 0); err != nil {
					t.Error(err)
				}
				golden(t, w.transcript(t))
			})
		})
	}
}

var errAny = errors.New("any error")

// runWith runs d with a first and a second Ctrl-C at their times.
func runWith(d *Drill, cancelAt, abandonAt time.Duration) Outcome {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if cancelAt > 0 {
		defer time.AfterFunc(cancelAt, cancel).Stop()
	}
	if abandonAt > 0 {
		abandon := make(chan struct{})
		d.Abandon = abandon
		defer time.AfterFunc(abandonAt, func() { close(abandon) }).Stop()
	}
	return d.Run(ctx)
}

// done lists what the cluster saw.
func (w *world) done() string {
	var seen []string
	for _, call := range w.calls {
		if call == "inject" || call == "recover" {
			seen = append(seen, call)
		}
	}
	return strings.Join(seen, " ")
}

func golden(t *testing.T, got string) {
	t.Helper()
	_, name, _ := strings.Cut(t.Name(), "/")
	path := filepath.Join("testdata", name+".ndjson")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("journal is\n%swant\n%s", got, want)
	}
}

func TestDrillMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{takeover: 7 * time.Second, injectTakes: 300 * time.Millisecond}
		out := runWith(w.drill(), 0, 0)
		m := out.Measurement.Outage
		if m.Lower > w.takeover || m.Upper < w.takeover || m.Upper-m.Lower > time.Second {
			t.Errorf("outage is %s to %s; want narrow bounds around %s", m.Lower, m.Upper, w.takeover)
		}
		if out.FaultAt != w.injectedAt {
			t.Errorf("FaultAt = %s; want %s, when Inject was called", out.FaultAt, w.injectedAt)
		}
		if want := w.injectedAt + w.injectTakes; out.AckAt != want {
			t.Errorf("AckAt = %s; want %s, when Inject returned", out.AckAt, want)
		}
	})
}

// A split brain that has gone by the end is a split brain.
func TestDrillRemembersASplitBrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{takeover: time.Second, boot: 5 * time.Second}
		d := w.drill()
		d.Whole = func(ctx context.Context) error {
			err := w.isWhole(ctx)
			if err != nil {
				return fmt.Errorf("cp-1 and cp-2: %w", ErrSplitBrain)
			}
			return nil
		}
		out := runWith(d, 0, 0)
		if out.Phase != Whole || out.Result != ResultSplitBrain {
			t.Errorf("it ended %s, %s; want whole, splitBrain", out.Phase, out.Result)
		}
	})
}

func TestDrillTakesTheFaultBackWhenInjectPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		d := w.drill()
		d.Fault = panicking{w}
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
			if w.done() != "recover" {
				t.Errorf("the cluster saw %q; want the recovery", w.done())
			}
		}()
		runWith(d, 0, 0)
	})
}

type panicking struct{ *world }

func (panicking) Inject(context.Context) error { panic("inject") }

func TestDrillWithoutAPartIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, spoil := range map[string]func(*Drill){
			"fault":            func(d *Drill) { d.Fault = nil },
			"guard":            func(d *Drill) { d.Guard = nil },
			"whole":            func(d *Drill) { d.Whole = nil },
			"samples":          func(d *Drill) { d.Samples = nil },
			"clock":            func(d *Drill) { d.Now = nil },
			"journal":          func(d *Drill) { d.Journal = nil },
			"settle time":      func(d *Drill) { d.Limits.Settle = 0 },
			"recovery timeout": func(d *Drill) { d.Limits.Recovery = -1 },
			"interval":         func(d *Drill) { d.Interval = 0 },
		} {
			w := &world{}
			d := w.drill()
			spoil(d)
			out := runWith(d, 0, 0)
			if out.Phase != Refused || out.Err == nil || !strings.Contains(out.Err.Error(), name) || w.done() != "" {
				t.Errorf("without %s: %s, %v, the cluster saw %q; want refused", name, out.Phase, out.Err, w.done())
			}
		}
	})
}
