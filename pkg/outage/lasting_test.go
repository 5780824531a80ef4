package outage

import (
	"errors"
	"testing"
	"time"
)

func TestLastingSince(t *testing.T) {
	tests := []struct {
		name    string
		picture string
		since   time.Duration
		ok      bool
	}{
		{"good since the fault, long enough", "5+|20+", 101 * ms, true},
		{"good since the fault, not yet long enough", "5+|5+", 101 * ms, false},
		{"what was good before the fault does not count", "50+|5+", 1001 * ms, false},
		{"good since the end of the outage", "5+|10-20+", 301 * ms, true},
		{"good since the last failure only", "5+|10r20+r20+", 721 * ms, true},
		{"one failure near the end begins it anew", "5+|10r20+r3+", 721 * ms, false},
		{"a sample in flight at the fault counts", "4+-|20+", 101 * ms, true},
		{"a failure over before the fault does not", "3+r+|20+", 101 * ms, true},
		{"a suspect sample does not", "5+|10+?10+", 101 * ms, true},
		{"the last sample failed", "5+|20+-", 0, false},
		{"no sample after the fault", "5+|", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			samples, fault := draw(t, tt.picture)
			since, ok := LastingSince(samples, fault, 200*ms, time.Minute)
			if since != tt.since || ok != tt.ok {
				t.Errorf("LastingSince(%q) = %v, %t; want %v, %t", tt.picture, since, ok, tt.since, tt.ok)
			}
		})
	}
}

func TestLastingSinceKnowsNothingOfTheFuture(t *testing.T) {
	samples, fault := draw(t, "5+|20+")
	if since, ok := LastingSince(samples, fault, 200*ms, 250*ms); ok {
		t.Errorf("LastingSince(now: 250ms) = %v, true; the settle time ends at 301ms", since)
	}
}

// Who waits for LastingSince must find the outage closed.
func TestMeasureAgreesWithLastingSince(t *testing.T) {
	samples, fault := draw(t, "5+|10r5+r20-2q40+")
	cfg := Config{Fault: fault, Settle: 300 * ms, Interval: interval, Timeout: timeout}
	agreed := false
	for n := range samples {
		seen := samples[:n+1]
		_, ok := LastingSince(seen, fault, cfg.Settle, time.Minute)
		if m := Measure(seen, cfg); (m.State == Closed) != ok {
			t.Errorf("after %d samples: LastingSince = %t; Measure = %s", n+1, ok, describe(m))
		}
		agreed = agreed || ok
	}
	if !agreed {
		t.Error("the service was never good for the settle time")
	}
}

func TestBaseline(t *testing.T) {
	tests := []struct {
		name, picture, want string
	}{
		{"all good", "50+", ""},
		{"a suspect one among good ones", "20+?20+", ""},
		{"one lost", "20+-20+", "the service is not steady before the fault: 1 of 41 samples failed, the first timeout"},
		{"no sample", "", "no sample was taken before the fault"},
		{"more suspect than good", "2+5?", "the prober is too slow on this machine: 5 of 7 samples were sent late"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			samples, _ := draw(t, tt.picture)
			err := Baseline(samples, 0, time.Second)
			if got := text(err); got != tt.want {
				t.Errorf("Baseline(%q) = %q; want %q", tt.picture, got, tt.want)
			}
			var e *BaselineError
			if errors.As(err, &e) && e.Hint() == "" {
				t.Error("the error has no hint")
			}
		})
	}
}

func TestBaselineLooksAtItsTimeOnly(t *testing.T) {
	samples, _ := draw(t, "r20+r") // the last is sent at 420 ms
	if err := Baseline(samples, 20*ms, 420*ms); err != nil {
		t.Errorf("Baseline(20ms, 420ms) = %v; want nil", err)
	}
	if err := Baseline(samples, 20*ms, 421*ms); err == nil {
		t.Error("Baseline(20ms, 421ms) = nil; want an error")
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTurns(t *testing.T) {
	samples, _ := draw(t, "3+2-4+")
	for i := 5; i < 9; i++ {
		samples[i].By = "cp-2"
	}
	got := Turns(samples)
	want := []Turn{{"cp-1", ms, 41 * ms, 3}, {"cp-2", 101 * ms, 161 * ms, 4}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("Turns = %v; want %v", got, want)
	}
}
