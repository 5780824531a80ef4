package outage

import (
	"math/rand/v2"
	"testing"
	"time"
)

// world is a service with one outage, and a prober that asks it in an open
// loop. Nothing here knows how Measure works.
type world struct {
	interval, timeout time.Duration
	// latency is the longest time that a packet takes one way.
	latency time.Duration
	// down and up are the true instants.
	down, up time.Duration
	// held and refused are how many per cent of the requests that meet the
	// outage wait for its end, or are refused at once. The others are lost.
	held, refused int
	// suspect is how many per cent of the samples count for nothing.
	suspect int
}

// conditions are those that a simulation is run under.
type conditions struct {
	// latency is the longest time that a packet takes one way, in per cent of
	// the timeout; 0 is a millisecond.
	latency int
	// held and suspect are the most that a world may have of them.
	held, suspect int
}

func newWorld(r *rand.Rand, c conditions) world {
	span := func(from, to time.Duration) time.Duration { return from + time.Duration(r.Int64N(int64(to-from))) }
	w := world{interval: span(5*ms, 50*ms), timeout: span(40*ms, 300*ms), latency: ms, suspect: c.suspect}
	if c.latency > 0 {
		w.latency = w.timeout * time.Duration(c.latency) / 100
	}
	lengths := []time.Duration{w.interval, w.timeout, 3 * w.timeout, 2 * time.Second}
	w.down = span(900*ms, 1000*ms)
	w.up = w.down + span(1, lengths[r.IntN(len(lengths))])
	w.held = r.IntN(c.held + 1)
	w.refused = r.IntN(101 - w.held)
	return w
}

// probe runs the prober until well after the outage.
func (w world) probe(r *rand.Rand) []Sample {
	var samples []Sample
	for at := time.Duration(0); at < w.up+800*ms; at += w.interval {
		s := w.sample(at+time.Duration(r.Int64N(int64(ms/2))), r)
		s.Suspect = r.IntN(100) < w.suspect
		samples = append(samples, s)
	}
	return samples
}

func (w world) length() time.Duration { return w.up - w.down }

func (w world) isDown(t time.Duration) bool { return t >= w.down && t < w.up }

// sample is what becomes of one request.
func (w world) sample(sent time.Duration, r *rand.Rand) Sample {
	travel := func() time.Duration { return time.Duration(r.Int64N(int64(w.latency)) + 1) }
	lost := Sample{Sent: sent, Done: sent + w.timeout + time.Duration(r.Int64N(int64(ms))), Result: Timeout}

	arrives := sent + travel()
	answered := arrives
	if w.isDown(arrives) {
		switch fate := r.IntN(100); {
		case fate < w.held: // the queue is let go at the end, not all at one instant
			answered = w.up + time.Duration(r.Int64N(int64(3*ms)))
		case fate < w.held+w.refused:
			return Sample{Sent: sent, Done: min(arrives+travel(), lost.Done), Result: Refused}
		default:
			return lost
		}
	}
	done := answered + travel()
	switch {
	case w.isDown(done): // the answer was under way when the outage began
		return lost
	case done > sent+w.timeout:
		lost.Result = Late
		return lost
	}
	return Sample{Sent: sent, Done: done, Result: OK}
}

// simulations is how many worlds each property is tried on.
const simulations = 20_000

// measure runs a world of the given seed, and fails where its outage lies
// outside the bounds.
func measure(t *testing.T, seed uint64, c conditions) (world, Measurement) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(r, c)
	m := Measure(w.probe(r), Config{Fault: w.down, Settle: 300 * ms, Interval: w.interval, Timeout: w.timeout})
	o := m.Outage
	switch {
	case w.length() < o.Lower || w.length() > o.Upper:
		t.Fatalf("seed %d: the outage of %v is outside its bounds: %s; %+v", seed, w.length(), describe(m), w)
	case o.Value < o.Lower || o.Value > o.Upper:
		t.Fatalf("seed %d: the value is outside its bounds: %s", seed, describe(m))
	case m.State == Open || o.Upper == Unbounded:
		t.Fatalf("seed %d: a service that came back is %s", seed, describe(m))
	}
	return w, m
}

func TestTruthLiesWithinTheBounds(t *testing.T) {
	for name, c := range map[string]conditions{
		"packets take a moment":             {},
		"answers queue and come in a burst": {held: 100},
		"packets overtake each other":       {latency: 50},
		"both, and the prober is late":      {latency: 20, held: 100, suspect: 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unseen := 0
			for seed := range uint64(simulations) {
				if _, m := measure(t, seed, c); m.Outage.Lost == 0 {
					unseen++
				}
			}
			if unseen == 0 || unseen > simulations/2 {
				t.Errorf("%d of %d outages failed no sample; want some, and not most", unseen, simulations)
			}
		})
	}
}

// Where nothing is held back and a packet takes up to a millisecond.
func TestValueErrsByAnInterval(t *testing.T) {
	t.Parallel()
	for seed := range uint64(simulations) {
		w, m := measure(t, seed, conditions{})
		if off := (m.Outage.Value - w.length()).Abs(); off > w.interval+5*ms {
			t.Fatalf("seed %d: the outage of %v was measured as %s, wrong by %v; the interval is %v",
				seed, w.length(), describe(m), off, w.interval)
		}
		if m.State != Closed && w.length() > Resolution(w.interval, w.timeout) {
			t.Fatalf("seed %d: the outage of %v was not seen: %s", seed, w.length(), describe(m))
		}
		if m.Flapping || m.Partial {
			t.Fatalf("seed %d: one whole outage is %s", seed, describe(m))
		}
	}
}

// The bounds of a flapping outage reach from the first spell to the last.
func TestTruthOfFlappingLiesWithinTheBounds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(simulations / 10) {
		r := rand.New(rand.NewPCG(seed, 2))
		first := newWorld(r, conditions{})
		// Both spells are long enough to fail a sample, the good one between
		// them to be seen, and shorter than the settle time.
		first.up = first.down + 2*first.interval + time.Duration(r.Int64N(int64(time.Second)))
		second := first
		second.down = first.up + 3*first.interval
		second.up = second.down + 2*first.interval + time.Duration(r.Int64N(int64(time.Second)))

		samples := second.probe(r)
		for i, s := range first.probe(r) {
			if s.Sent < first.up+first.interval {
				samples[i] = s
			}
		}
		m := Measure(samples, Config{Fault: first.down, Settle: 300 * ms, Interval: first.interval, Timeout: first.timeout})
		truth := second.up - first.down
		if truth < m.Outage.Lower || truth > m.Outage.Upper || !m.Flapping || len(m.Windows) != 2 {
			t.Fatalf("seed %d: two spells, together %v, were measured as %s", seed, truth, describe(m))
		}
	}
}
