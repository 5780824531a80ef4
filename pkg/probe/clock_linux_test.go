package probe

import (
	"testing"
	"time"
)

// Two clocks must agree on a reading of CLOCK_MONOTONIC, which is how offsets
// are compared with another process's.
func TestClockOffsetOfMonotonic(t *testing.T) {
	clock := NewClock()
	before := clock.Now()
	reading := monotonic()
	after := clock.Now()
	// The anchor is taken between two readings, so it may be off by a little.
	const slack = 5 * time.Millisecond
	if got := clock.Offset(reading); got < before-slack || got > after+slack {
		t.Errorf("Offset(reading) = %v; want between %v and %v", got, before, after)
	}
}

// A thread may lose its processor between two readings; the anchors do not err
// by that.
func TestAStallDoesNotShiftTheAnchors(t *testing.T) {
	const stall = 100 * time.Millisecond
	readings := 0
	clock := anchored(func() time.Duration {
		if readings++; readings == 2 { // after the first try's time.Now
			time.Sleep(stall)
		}
		return monotonic()
	})
	reading := monotonic()
	if off := (clock.Offset(reading) - clock.Now()).Abs(); off > stall/4 {
		t.Errorf("the anchors are %v apart after a stall of %v; want them together", off, stall)
	}
}
