package outage

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	s := func(list ...int) (values []time.Duration) {
		for _, v := range list {
			values = append(values, time.Duration(v)*time.Second)
		}
		return values
	}
	tests := []struct {
		name             string
		values           []time.Duration
		min, median, max time.Duration
		interval         *Interval
	}{
		{"nothing", nil, 0, 0, 0, nil},
		{"one value is all three", s(7), 7 * time.Second, 7 * time.Second, 7 * time.Second, nil},
		{"an odd number has a middle", s(9, 1, 5), time.Second, 5 * time.Second, 9 * time.Second, nil},
		{"an even number has two", s(9, 1, 6, 5), time.Second, 5500 * ms, 9 * time.Second, nil},
		{"five are too few for an interval", s(1, 2, 3, 4, 5), time.Second, 3 * time.Second, 5 * time.Second, nil},
		{"six have one, from end to end", s(6, 5, 4, 3, 2, 1), time.Second, 3500 * ms, 6 * time.Second,
			&Interval{time.Second, 6 * time.Second, 1 - 2.0/64}},
		{"of nine it leaves out one at each end", s(1, 2, 3, 4, 5, 6, 7, 8, 9), time.Second, 5 * time.Second, 9 * time.Second,
			&Interval{2 * time.Second, 8 * time.Second, 1 - 2*10.0/512}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Summarize(tt.values)
			if got.N != len(tt.values) || got.Min != tt.min || got.Median != tt.median || got.Max != tt.max {
				t.Errorf("Summarize(%v) = %+v; want %v, %v, %v", tt.values, got, tt.min, tt.median, tt.max)
			}
			if !slices.Equal(got.Values, tt.values) {
				t.Errorf("Values = %v; want %v, in the order given", got.Values, tt.values)
			}
			if !same(got.MedianInterval, tt.interval) {
				t.Errorf("MedianInterval = %+v; want %+v", got.MedianInterval, tt.interval)
			}
		})
	}
}

func same(a, b *Interval) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Lower == b.Lower && a.Upper == b.Upper && math.Abs(a.Confidence-b.Confidence) < 1e-12
}

// The interval must hold the true median as often as it says, whatever the
// distribution.
func TestMedianIntervalHoldsTheMedian(t *testing.T) {
	const rounds = 20_000
	r := rand.New(rand.NewPCG(1, 1))
	median := time.Duration(math.Round(math.Ln2 * 1e9)) // of the exponential distribution
	for _, n := range []int{6, 10, 17} {
		held, claimed := 0, 0.0
		for range rounds {
			values := make([]time.Duration, n)
			for i := range values {
				values[i] = time.Duration(r.ExpFloat64() * float64(time.Second))
			}
			in := Summarize(values).MedianInterval
			if claimed = in.Confidence; in.Lower <= median && median <= in.Upper {
				held++
			}
		}
		if got := float64(held) / rounds; math.Abs(got-claimed) > 0.01 {
			t.Errorf("of %d values the interval held the median in %.3f of the cases; it says %.3f", n, got, claimed)
		}
	}
}
