package outage

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	// Samples are 20 ms apart; a good one takes 1 ms, a lost one 200 ms.
	tests := []struct {
		name    string
		picture string
		want    string
	}{
		{
			"samples lost in a row are one outage",
			"10+ | 100- 10+",
			"closed 2.001 (1.780 - 2.021), 100 lost",
		},
		{
			"a refusal comes at once, so its bounds are narrow",
			"10+ | 100r 10+",
			"closed 2.001 (1.979 - 2.021), 100 lost",
		},
		{
			"one lost sample proves no length",
			"10+ | - 20+",
			"closed 0.021 (0.000 - 0.041), 1 lost",
		},
		{
			"nothing lost: shorter than an interval and an answer",
			"10+ | 10+",
			"none 0.000 (0.000 - 0.021), 0 lost",
		},
		{
			"nothing lost, but five answers were held back: up to the burst",
			"10+ | 5q 10+",
			"none 0.000 (0.000 - 0.121), 0 lost",
		},
		{
			"answers held back before the losses do not show the service up",
			"10+ | 3q 20- 10+",
			"closed 0.401 (0.180 - 0.481), 20 lost",
		},
		{
			"answers held back after the losses are a burst at the end",
			"10+ | 20- 3q 10+",
			"closed 0.461 (0.180 - 0.481), 20 lost",
		},
		{
			"answers held back among the losses: the lost do not add up",
			"10+ | 10- 4q 10- 10+",
			"closed 0.481 (0.260 - 0.501), 20 lost, partial",
		},
		{
			"late answers are failures",
			"10+ | 100l 10+",
			"closed 2.001 (1.770 - 2.021), 100 lost, 100 late",
		},
		{
			"a sample in flight when the fault came is the first of the outage",
			"10+ - | 99- 10+",
			"closed 2.001 (1.780 - 2.021), 100 lost",
		},
		{
			"a failure over before the fault is not the fault's",
			"10+ r 5+ | 10+",
			"none 0.000 (0.000 - 0.021), 0 lost",
		},
		{
			"a good spell shorter than the settle time keeps it one outage, flapping",
			"10+ | 20r 3+ 20r 10+",
			"closed 0.861 (0.839 - 0.881), 40 lost, partial, flapping [0.401 0.401]",
		},
		{
			"flapping after answers that were held back: the bound reaches before them",
			"10+ | 3q 10r 2+ 10r 10+",
			"closed 0.441 (0.419 - 0.521), 20 lost, partial, flapping [0.201 0.201]",
		},
		{
			"a good spell of the settle time ends it, and what follows is later",
			"10+ | 20r 12+ 20r 12+",
			"closed 0.401 (0.379 - 0.421), 20 lost, later [0.401]",
		},
		{
			"never back is open, and has no upper bound",
			"10+ | 100-",
			"open 2.180 (1.780 - ), 100 lost",
		},
		{
			"back for a moment and down again is open",
			"10+ | 10r 2+ 10r",
			"open 0.421 (0.419 - ), 20 lost, partial, flapping [0.201 0.181]",
		},
		{
			"down again at the end of the run, after it had settled",
			"10+ | 10r 12+ r",
			"inconclusive 0.201 (0.179 - 0.221), 10 lost, later [0.001]",
		},
		{
			"the run ended before the service had settled",
			"10+ | 10r 3+",
			"inconclusive 0.201 (0.179 - 0.221), 10 lost",
		},
		{
			"no failure, but the run ended before it could show",
			"10+ | 3+",
			"inconclusive 0.000 (0.000 - 0.021), 0 lost",
		},
		{
			"never seen up: the outage may have begun at any time",
			"| 10r 20+",
			"inconclusive 0.201 (0.179 - ), 10 lost",
		},
		{
			"no sample after the fault tells nothing",
			"10+ |",
			"inconclusive 0.000 (0.000 - ), 0 lost",
		},
		{
			"suspect samples are no failures, but widen the bounds",
			"10+ | 5? 10+",
			"none 0.000 (0.000 - 0.121), 0 lost, 5 suspect",
		},
		{
			"suspect samples in the outage may have been lost, so it is not partial",
			"10+ | 10r 5? 10r 10+",
			"closed 0.501 (0.479 - 0.521), 20 lost, 5 suspect",
		},
		{
			"suspect samples at the edges widen the bounds",
			"10+ | ? 10r ? 20+",
			"closed 0.221 (0.179 - 0.261), 10 lost, 2 suspect",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := describe(measurePicture(t, tt.picture, 150*ms)); got != tt.want {
				t.Errorf("Measure(%q):\n got %s\nwant %s", tt.picture, got, tt.want)
			}
		})
	}
}

// describe writes a measurement in a line, in seconds.
func describe(m Measurement) string {
	seconds := func(d time.Duration) string {
		if d == Unbounded {
			return ""
		}
		return fmt.Sprintf("%.3f", d.Seconds())
	}
	lengths := func(name string, windows []Window) string {
		if len(windows) == 0 {
			return ""
		}
		var list []string
		for _, w := range windows {
			list = append(list, seconds(w.Value))
		}
		return fmt.Sprintf(", %s %v", name, list)
	}
	o := m.Outage
	text := fmt.Sprintf("%s %s (%s - %s), %d lost", m.State, seconds(o.Value), seconds(o.Lower), seconds(o.Upper), o.Lost)
	if m.Late > 0 {
		text += fmt.Sprintf(", %d late", m.Late)
	}
	if m.Suspect > 0 {
		text += fmt.Sprintf(", %d suspect", m.Suspect)
	}
	if m.Partial {
		text += ", partial"
	}
	if m.Flapping {
		text += lengths("flapping", m.Windows)
	}
	return text + lengths("later", m.Later)
}

func TestMeasureTakesSamplesInAnyOrder(t *testing.T) {
	samples, fault := draw(t, "10+|20-3q10+")
	cfg := Config{Fault: fault, Interval: interval, Timeout: timeout}
	want := describe(Measure(samples, cfg))

	given := slices.Clone(samples)
	slices.Reverse(given)
	before := slices.Clone(given)
	if got := describe(Measure(given, cfg)); got != want {
		t.Errorf("Measure(reversed) = %s; want %s", got, want)
	}
	if !slices.Equal(given, before) {
		t.Error("Measure changed the samples it was given")
	}
}

func TestMeasureSaysWhenTheOutageWas(t *testing.T) {
	o := measurePicture(t, "10+ | 5- 20+", 150*ms).Outage
	if o.Start != 200*ms || o.End != 301*ms {
		t.Errorf("Outage from %v to %v; want from 200ms to 301ms", o.Start, o.End)
	}
}

func TestMeasureOfNothing(t *testing.T) {
	m := Measure(nil, Config{})
	if m.State != Inconclusive || m.Outage.Upper != Unbounded {
		t.Errorf("Measure(nil) = %+v; want inconclusive, without an upper bound", m)
	}
}

func TestResolution(t *testing.T) {
	if got := Resolution(interval, timeout); got != 220*ms {
		t.Errorf("Resolution = %v; want 220ms", got)
	}
}
