package probe

import (
	"math"
	"time"
)

// Clock is what all the times of a run are offsets on. Its anchors relate
// them to the world: Start to the wall clock, Monotonic to what other processes
// of this machine have written down.
type Clock struct {
	// Start is offset 0. It carries a monotonic reading, which it loses when it
	// is written down and read back: then Now means nothing, and Wall still does.
	Start time.Time
	// Monotonic is the reading of CLOCK_MONOTONIC at Start; 0 except on Linux.
	Monotonic time.Duration
}

// NewClock returns a clock that starts now.
func NewClock() Clock { return anchored(monotonic) }

// anchorTries are enough for one that nothing comes between.
const anchorTries = 5

// anchored returns a clock whose anchors err by as little as can be: of several
// tries it takes the one with the least time between the readings. A thread that
// loses its processor there would put them apart by half of the time it waits.
func anchored(monotonic func() time.Duration) (best Clock) {
	least := time.Duration(math.MaxInt64)
	for range anchorTries {
		before := monotonic()
		start := time.Now()
		if between := monotonic() - before; between < least {
			least, best = between, Clock{Start: start, Monotonic: before + between/2}
		}
	}
	return best
}

// Now returns the time since the start, on a clock that is never set.
func (c Clock) Now() time.Duration { return time.Since(c.Start) }

// Wall returns the wall-clock time of an offset, as the wall clock stood at the start.
func (c Clock) Wall(offset time.Duration) time.Time {
	return c.Start.Add(offset).Round(0)
}

// Offset returns the offset of a reading of CLOCK_MONOTONIC on this machine.
func (c Clock) Offset(monotonic time.Duration) time.Duration {
	return monotonic - c.Monotonic
}
