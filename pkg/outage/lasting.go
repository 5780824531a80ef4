package outage

import (
	"fmt"
	"slices"
	"time"
)

// LastingSince returns since when the service has been good, and whether that
// is for the whole settle time; judged from what was known at now. A service
// that never failed is good since the first answer to a sample sent after the
// instant after; a sample sent before and not good counts if it ended later.
//
// The settle time is measured from answer to answer, as Measure does, so that
// a prober that stands still proves nothing. It looks at samples from the last
// back to the last failure only, and so is cheap to call again and again where
// they are in the order of Sent.
func LastingSince(samples []Sample, after, settle, now time.Duration) (time.Duration, bool) {
	since, until := never, time.Duration(0)
	for _, s := range slices.Backward(inOrder(samples)) {
		if s.Suspect || s.Done > now {
			continue
		}
		if s.Result != OK {
			if s.Done > after {
				break
			}
			continue
		}
		if s.Sent < after {
			continue
		}
		since, until = min(since, s.Done), max(until, s.Done)
	}
	if since == never {
		return 0, false
	}
	return since, until-since >= settle
}

// BaselineError says why a baseline does not do.
type BaselineError struct {
	// Good, Failed and Suspect count the samples. First is when the first
	// failed one was sent, and Result how it ended.
	Good, Failed, Suspect int
	First                 time.Duration
	Result                Result
}

func (e *BaselineError) Error() string {
	switch {
	case e.Failed > 0:
		return fmt.Sprintf("the service is not steady before the fault: %d of %d samples failed, the first %s",
			e.Failed, e.Failed+e.Good, e.Result)
	case e.Good == 0 && e.Suspect == 0:
		return "no sample was taken before the fault"
	default:
		return fmt.Sprintf("the prober is too slow on this machine: %d of %d samples were sent late",
			e.Suspect, e.Suspect+e.Good)
	}
}

// Hint says what to try.
func (e *BaselineError) Hint() string {
	if e.Failed > 0 {
		return "find out why the address does not answer every time, for an outage cannot be told from this"
	}
	return "try a longer interval (--interval), or a less busy machine"
}

// Baseline returns nil if the service was good in all the samples sent between
// from (included) and to (excluded), and a *BaselineError otherwise: also
// where there are none, or where more are suspect than good.
func Baseline(samples []Sample, from, to time.Duration) error {
	var e BaselineError
	for _, s := range inOrder(samples) {
		switch {
		case s.Sent < from || s.Sent >= to:
		case s.Suspect:
			e.Suspect++
		case s.Result == OK:
			e.Good++
		default:
			if e.Failed == 0 {
				e.First, e.Result = s.Sent, s.Result
			}
			e.Failed++
		}
	}
	if e.Failed > 0 || e.Good == 0 || e.Suspect > e.Good {
		return &e
	}
	return nil
}
