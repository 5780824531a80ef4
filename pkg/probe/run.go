package probe

import (
	"context"
	"sync"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

// Pacer is the schedule of a run. Sample k is due at its start + k * Interval;
// nothing that happens moves it.
type Pacer struct {
	// Interval is the time between samples, more than 0.
	Interval time.Duration
	// Timeout is how long an answer may take, more than 0.
	Timeout time.Duration
}

// due returns when sample k is due, for a run that began at start.
func (p Pacer) due(start time.Duration, k int) time.Duration {
	return start + time.Duration(k)*p.Interval
}

// missed says that now is too late to send a sample that was due.
func (p Pacer) missed(due, now time.Duration) bool {
	return now-due > p.Interval
}

// overslept says that the prober noticed the end of a sample so late that it
// cannot tell whether the answer was there in time.
func (p Pacer) overslept(s outage.Sample) bool {
	return s.Done-s.Sent > p.Timeout+p.Interval
}

// Run samples until ctx is done, waits for the samples in flight (no longer
// than the timeout), and returns. Each is handed to sink when it ends, so not in
// the order of Sent, and by many goroutines at once; Recorder.Add is one.
//
// The prober watches itself: what was due more than an interval ago, because
// this machine was too busy, is not sent but recorded as suspect; and so is
// what ended more than an interval after its timeout.
func Run(ctx context.Context, clock Clock, pacer Pacer, prober Prober, sink func(outage.Sample)) {
	run(ctx, clock, pacer, prober, sink, sleep)
}

// run is Run with a sleep of the caller's, which says false once ctx is done.
func run(ctx context.Context, clock Clock, pacer Pacer, prober Prober, sink func(outage.Sample), sleep func(context.Context, time.Duration) bool) {
	var inFlight sync.WaitGroup
	defer inFlight.Wait()

	start := clock.Now()
	for k := 0; sleep(ctx, pacer.due(start, k)-clock.Now()); k++ {
		due := pacer.due(start, k)
		if now := clock.Now(); pacer.missed(due, now) {
			sink(outage.Sample{Sent: now, Done: now, Suspect: true})
			continue
		}
		inFlight.Go(func() {
			sink(sample(context.WithoutCancel(ctx), clock, pacer, prober, due))
		})
	}
}

// sample sends one sample and returns it once it has ended.
func sample(ctx context.Context, clock Clock, pacer Pacer, prober Prober, due time.Duration) outage.Sample {
	s := outage.Sample{Sent: clock.Now()}
	ctx, cancel := context.WithTimeout(ctx, pacer.Timeout)
	defer cancel()
	s.Result, s.By = prober.Probe(ctx)
	s.Done = clock.Now()
	if s.Result == outage.OK && s.Done-s.Sent > pacer.Timeout {
		s.Result = outage.Late
	}
	s.Suspect = s.Result == 0 || pacer.missed(due, s.Sent) || pacer.overslept(s)
	return s
}

// sleep waits for d, and says false as soon as ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
