package probe

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

const ms = time.Millisecond

var pace = Pacer{Interval: 20 * ms, Timeout: 200 * ms}

// fake answers as it is told, by the time since it was made.
type fake func(ctx context.Context) (outage.Result, string)

func (f fake) Probe(ctx context.Context) (outage.Result, string) { return f(ctx) }

// after answers OK after d, or Timeout where ctx ends before.
func after(ctx context.Context, d time.Duration) (outage.Result, string) {
	if !sleep(ctx, d) {
		return outage.Timeout, ""
	}
	return outage.OK, "cp-1"
}

func TestRunKeepsItsScheduleWhateverHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+ms)
		defer cancel()
		var inFlight, most atomic.Int32
		var recorder Recorder
		clock := NewClock()
		Run(ctx, clock, pace, fake(func(ctx context.Context) (outage.Result, string) {
			most.Store(max(most.Load(), inFlight.Add(1)))
			defer inFlight.Add(-1)
			if now := clock.Now(); now >= 3*time.Second && now < 8*time.Second {
				return after(ctx, time.Hour) // a black hole
			}
			return after(ctx, 3*ms)
		}), recorder.Add)

		samples := recorder.Samples()
		if len(samples) != 501 {
			t.Fatalf("%d samples in 10 s; want 501", len(samples))
		}
		for k, s := range samples {
			want := outage.Sample{Sent: time.Duration(k) * 20 * ms, Result: outage.OK, By: "cp-1"}
			want.Done = want.Sent + 3*ms
			if k >= 150 && k < 400 {
				want.Result, want.By, want.Done = outage.Timeout, "", want.Sent+200*ms
			}
			if s != want {
				t.Fatalf("sample %d = %+v; want %+v", k, s, want)
			}
		}
		if got := most.Load(); got != 11 && got != 10 {
			t.Errorf("at most %d in flight; want the 10 or 11 of a timeout", got)
		}
	})
}

func TestRunDrainsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*ms)
		defer cancel()
		var recorder Recorder
		clock := NewClock()
		Run(ctx, clock, pace, fake(func(ctx context.Context) (outage.Result, string) {
			return after(ctx, 150*ms)
		}), recorder.Add)

		samples := recorder.Samples()
		good := func(s outage.Sample) bool { return s.Result == outage.OK }
		if len(samples) != 5 || slices.ContainsFunc(samples, func(s outage.Sample) bool { return !good(s) }) {
			t.Errorf("samples in flight when the run ended: %+v; want 5 that are good", samples)
		}
		if now := clock.Now(); now != 230*ms {
			t.Errorf("Run returned after %v; want 230ms, when the last had its answer", now)
		}
	})
}

func TestRunJudgesEachSample(t *testing.T) {
	tests := []struct {
		name    string
		prober  fake
		result  outage.Result
		suspect bool
	}{
		{"in time", func(ctx context.Context) (outage.Result, string) { return after(ctx, 199*ms) }, outage.OK, false},
		{"answered, but over", func(context.Context) (outage.Result, string) { return after(context.Background(), 210*ms) }, outage.Late, false},
		{"no answer", func(ctx context.Context) (outage.Result, string) { return after(ctx, time.Hour) }, outage.Timeout, false},
		{"refused", func(context.Context) (outage.Result, string) { return outage.Refused, "" }, outage.Refused, false},
		{"the prober slept through the timeout", func(context.Context) (outage.Result, string) {
			time.Sleep(250 * ms)
			return outage.Timeout, ""
		}, outage.Timeout, true},
		{"the machine could not ask", func(context.Context) (outage.Result, string) { return 0, "" }, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
				defer cancel()
				var recorder Recorder
				Run(ctx, NewClock(), pace, tt.prober, recorder.Add)
				samples := recorder.Samples()
				if len(samples) != 1 || samples[0].Result != tt.result || samples[0].Suspect != tt.suspect {
					t.Errorf("samples = %+v; want one that is %v, suspect: %t", samples, tt.result, tt.suspect)
				}
			})
		})
	}
}

// A machine that stands still for a second must not send fifty questions at
// once, nor take its own absence for the service's.
func TestRunSuspectsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second+ms)
		defer cancel()
		var recorder Recorder
		clock := NewClock()
		var asked atomic.Int32
		stalls := func(ctx context.Context, d time.Duration) bool {
			if now := clock.Now(); now >= 500*ms && now < 520*ms {
				d += time.Second
			}
			return sleep(ctx, d)
		}
		run(ctx, clock, pace, fake(func(ctx context.Context) (outage.Result, string) {
			asked.Add(1)
			return outage.OK, "cp-1"
		}), recorder.Add, stalls)

		suspect := 0
		for _, s := range recorder.Samples() {
			if s.Suspect {
				suspect++
			}
		}
		// Due at 520, 540, ... 1480 ms, and noticed at 1520 ms.
		if suspect != 49 || asked.Load() != 101-49 {
			t.Errorf("%d suspect, %d asked; want 49 and 52", suspect, asked.Load())
		}
	})
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := NewClock()
		time.Sleep(3 * time.Second)
		if got := clock.Now(); got != 3*time.Second {
			t.Errorf("Now() = %v; want 3s", got)
		}
		if got := clock.Wall(3 * time.Second); !got.Equal(time.Now()) {
			t.Errorf("Wall(3s) = %v; want %v", got, time.Now())
		}
	})
}

func TestRecorderKeepsTheOrderOfSent(t *testing.T) {
	var r Recorder
	for _, sent := range []int{0, 3, 1, 2, 5, 4, 5} {
		r.Add(outage.Sample{Sent: time.Duration(sent)})
	}
	sent := func(samples []outage.Sample) (list []int) {
		for _, s := range samples {
			list = append(list, int(s.Sent))
		}
		return list
	}
	if got, want := sent(r.Samples()), []int{0, 1, 2, 3, 4, 5, 5}; !slices.Equal(got, want) {
		t.Errorf("Samples() sent at %v; want %v", got, want)
	}
	if got, want := sent(r.From(4)), []int{4, 5, 5}; !slices.Equal(got, want) {
		t.Errorf("From(4) sent at %v; want %v", got, want)
	}
	r.Samples()[0].Sent = 99
	if got := r.Samples()[0].Sent; got != 0 {
		t.Errorf("the caller's copy changed the recorder's: %v", got)
	}
}
