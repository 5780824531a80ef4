package outage

import (
	"math"
	"slices"
	"time"
)

// Summary describes the outages of several rounds. A few rounds have no tail:
// there are no percentiles here.
type Summary struct {
	N int
	// Values are all of them, in the order given.
	Values []time.Duration
	// Median is the mean of the two in the middle where N is even.
	Min, Median, Max time.Duration
	// MedianInterval holds the true median, nil for fewer than six values.
	MedianInterval *Interval
}

// Interval is a confidence interval.
type Interval struct {
	Lower, Upper time.Duration
	// Confidence is the chance that it holds the truth, at least 0.95.
	Confidence float64
}

// confidence is what an interval of the median must reach. Of five values even
// the interval from the least to the greatest holds it only in 15 of 16 cases.
const confidence = 0.95

// Summarize describes values, which it does not change. Without any the
// summary is zero.
func Summarize(values []time.Duration) Summary {
	n := len(values)
	if n == 0 {
		return Summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	low, high := sorted[(n-1)/2], sorted[n/2]
	return Summary{
		N:              n,
		Values:         slices.Clone(values),
		Min:            sorted[0],
		Median:         low + (high-low)/2,
		Max:            sorted[n-1],
		MedianInterval: medianInterval(sorted),
	}
}

// medianInterval returns the narrowest pair of order statistics, as many from
// the bottom as from the top, that holds the median with enough confidence. A
// value falls below the median with probability 1/2, so that the number that
// do is binomial, whatever the distribution (David and Nagaraja, Order
// Statistics, 3rd edition, section 7.1).
func medianInterval(sorted []time.Duration) *Interval {
	n := len(sorted)
	var found *Interval
	below := 0.0 // the chance that at most k values fall below the median
	for k := range n / 2 {
		below += choose(n, k) * math.Pow(0.5, float64(n))
		if 1-2*below < confidence {
			break
		}
		found = &Interval{Lower: sorted[k], Upper: sorted[n-1-k], Confidence: 1 - 2*below}
	}
	return found
}

// choose returns the number of ways to choose k of n.
func choose(n, k int) float64 {
	c := 1.0
	for i := range k {
		c = c * float64(n-i) / float64(i+1)
	}
	return c
}
