package outage

import (
	"math"
	"time"
)

// Config is what Measure must know besides the samples.
type Config struct {
	// Fault is the instant just before the fault was injected. What ended
	// before it counts for nothing but the bounds.
	Fault time.Duration
	// Settle is how long the service must stay good to be called back.
	Settle time.Duration
	// Interval and Timeout are the prober's.
	Interval, Timeout time.Duration
}

// Resolution is the shortest outage that is sure to fail a sample of a prober,
// wherever it falls: an interval, for it may lie between two samples, and a
// timeout, for an answer that is held back for less is good.
func Resolution(interval, timeout time.Duration) time.Duration {
	return interval + timeout
}

// State is what the samples amount to. The zero value is Inconclusive, which
// never counts as good.
type State int

// The states of a measurement.
const (
	// Inconclusive: no samples, no good sample before the outage, or the run
	// ended before the service had been good for the settle time.
	Inconclusive State = iota
	// None: no sample failed. An outage up to Outage.Upper may still have been.
	None
	// Closed: the service failed and came back to stay.
	Closed
	// Open: the service failed and did not answer again.
	Open
)

// String returns the word used in output and JSON.
func (s State) String() string {
	switch s {
	case None:
		return "none"
	case Closed:
		return "closed"
	case Open:
		return "open"
	default:
		return "inconclusive"
	}
}

// Unbounded is the Upper of an outage whose begin or end was not seen. It is
// longer than any objective, so that who forgets to look errs on the safe side.
const Unbounded = time.Duration(math.MaxInt64)

// Window is one outage. Lower <= Value <= Upper, and the true length lies
// between Lower and Upper.
type Window struct {
	// Start is when the first failed sample was sent, End when the first good
	// one after the last failed one was answered. In an open window End is when
	// the last failed sample ended.
	Start, End time.Duration
	// Value is End - Start. Where no answers are held back it errs by at most an
	// interval and the time of an answer.
	Value, Lower, Upper time.Duration
	// Lost counts the failed samples.
	Lost int
	// Open says that no good sample came after it.
	Open bool
}

// Measurement is what the samples of one prober say of one fault.
type Measurement struct {
	State State
	// Outage reaches from the first failed sample after the fault to the start
	// of lasting service. Where no sample failed only Upper is not zero.
	Outage Window
	// Windows are the spells of failure inside Outage, parted by good answers;
	// more than one means that the service was Flapping.
	Windows  []Window
	Flapping bool
	// Later are the windows after the service had been back for the settle time.
	Later []Window
	// Partial says that the lost samples do not account for the outage's length:
	// some in it were answered. Then Lost * interval is worth showing beside it.
	Partial bool
	// Samples counts the samples given, Late those answered after the timeout,
	// Suspect those that counted for nothing.
	Samples, Late, Suspect int
}
