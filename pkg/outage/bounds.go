package outage

import (
	"math"
	"slices"
	"time"
)

// never is later than any sample.
const never = time.Duration(math.MaxInt64)

// evidence is the good and the failed samples of a run, each in the order of
// Sent, without the suspect ones.
//
// What a sample proves. A good one: the service was up at some instant in
// [Sent, Done]. A failed one: it was down at some instant in [Sent, Done], for
// it may have been under way when the outage began, and an answer that is held
// back for longer than the timeout fails, too. No sample says at which instant,
// so a good sample that overlaps a failed one does not say whether it comes
// before or after the outage: it may have been sent during the outage, held in
// a queue (an unresolved ARP entry keeps SYNs) and answered in a burst at its end.
type evidence struct {
	good, failed []Sample
	// answered[i] is the earliest Done of good[i:], and answered[len(good)] is never.
	answered []time.Duration
}

// weigh sorts the samples that count.
func weigh(samples []Sample) evidence {
	var e evidence
	for _, s := range inOrder(samples) {
		switch {
		case s.Suspect:
		case s.Result == OK:
			e.good = append(e.good, s)
		default:
			e.failed = append(e.failed, s)
		}
	}
	e.answered = make([]time.Duration, len(e.good)+1)
	e.answered[len(e.good)] = never
	for i, s := range slices.Backward(e.good) {
		e.answered[i] = min(s.Done, e.answered[i+1])
	}
	return e
}

func bySent(a, b Sample) int {
	return int(min(max(a.Sent-b.Sent, -1), 1))
}

// inOrder returns the samples in the order of Sent, and leaves the caller's alone.
func inOrder(samples []Sample) []Sample {
	if slices.IsSortedFunc(samples, bySent) {
		return samples
	}
	sorted := slices.Clone(samples)
	slices.SortStableFunc(sorted, bySent)
	return sorted
}

// sentAfter returns how many good samples were sent up to and at t.
func (e evidence) sentAfter(t time.Duration) int {
	i, _ := slices.BinarySearchFunc(e.good, t, func(s Sample, t time.Duration) int {
		if s.Sent <= t {
			return -1
		}
		return 1
	})
	return i
}

// backAfter returns the earliest answer to a good sample sent after t, never
// where there is none.
func (e evidence) backAfter(t time.Duration) time.Duration {
	return e.answered[e.sentAfter(t)]
}

// lastBefore returns the last good sample that was answered by t.
func (e evidence) lastBefore(t time.Duration) (Sample, bool) {
	for _, s := range slices.Backward(e.good[:e.sentAfter(t)]) {
		if s.Done <= t {
			return s, true
		}
	}
	return Sample{}, false
}

// window returns the outage that reaches from the first to the last of the
// failed samples, of which there is at least one.
func (e evidence) window(failed []Sample) Window {
	first, last := failed[0], failed[len(failed)-1]
	ended := first.Done
	for _, s := range failed {
		ended = min(ended, s.Done)
	}
	w := Window{
		Start: first.Sent,
		End:   e.backAfter(last.Sent),
		Lower: max(0, last.Sent-ended),
		Upper: Unbounded,
		Lost:  len(failed),
	}
	if w.End == never {
		w.Open = true
		w.End = last.Done
	}
	w.Value = w.End - w.Start
	if before, ok := e.lastBefore(first.Sent); ok && !w.Open {
		w.Upper = max(w.End-before.Sent, e.longest(ended, last.Sent))
	}
	return w
}

// longest returns the length of the longest single outage that began by began
// and went on after lasted, and in which no good sample lies whole.
//
// An outage [b, e) has a last good sample sent by b. Every good one sent later
// was sent after b and so answered at e or later. Hence e - b is no more than
// the earliest of those answers less the Sent of that last one, for some good
// sample that obeys b <= began and e > lasted. This finds the worst. It
// matters for outages shorter than the timeout, of which a failed sample does
// not say where between its Sent and Done they lie.
func (e evidence) longest(began, lasted time.Duration) time.Duration {
	var longest time.Duration
	i, _ := slices.BinarySearchFunc(e.answered, lasted, func(done, lasted time.Duration) int {
		if done <= lasted {
			return -1
		}
		return 1
	})
	for i = max(i, 1); i < len(e.good) && e.good[i-1].Sent <= began; i++ {
		longest = max(longest, e.answered[i]-e.good[i-1].Sent)
	}
	return longest
}
