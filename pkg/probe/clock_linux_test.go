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
