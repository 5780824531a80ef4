package chaos

import (
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

// Result is what a drill amounts to, in a word. The zero value is no result
// and never counts as good.
type Result string

// The results.
const (
	ResultPass            Result = "pass"
	ResultObjectiveMissed Result = "objectiveMissed" // the outage was too long, or longer than the drill timeout
	ResultNotWhole        Result = "notWhole"        // the cluster is not known to be whole again
	ResultSplitBrain      Result = "splitBrain"      // two owners were seen
	ResultInconclusive    Result = "inconclusive"    // it could not be told
	ResultInterrupted     Result = "interrupted"     // a person stopped it; everything was undone
	ResultRefused         Result = "refused"         // a guard said no; nothing was touched
)

// severity is the order in which results count, worst first.
var severity = []Result{
	ResultNotWhole, ResultSplitBrain, ResultInterrupted, ResultRefused,
	ResultInconclusive, ResultObjectiveMissed, ResultPass,
}

// Worst returns the result that counts for several drills of one run:
// notWhole before splitBrain, interrupted, refused, inconclusive,
// objectiveMissed, pass. Without arguments it is the zero Result. A word that
// is none of these counts as inconclusive.
func Worst(results ...Result) Result {
	worst := Result("")
	for _, r := range results {
		if !slices.Contains(severity, r) {
			r = ResultInconclusive
		}
		if worst == "" || slices.Index(severity, r) < slices.Index(severity, worst) {
			worst = r
		}
	}
	return worst
}

// Stops says that no drill may follow one with this result: the cluster is
// not in a state to be disturbed again, or a person asked to stop.
func (r Result) Stops() bool {
	return r == ResultNotWhole || r == ResultSplitBrain || r == ResultInterrupted
}

// judge says what o amounts to, worst first.
func judge(o Outcome, objective time.Duration) Result {
	switch {
	case o.Phase == NotWhole:
		return ResultNotWhole
	case o.SplitBrain:
		return ResultSplitBrain
	case o.Interrupted:
		return ResultInterrupted
	case o.Phase == Refused:
		return ResultRefused
	case o.Phase == Aborted && o.Err == nil: // a dry run: all that could be asked was good
		return ResultPass
	case o.Phase != Whole || o.Err != nil:
		return ResultInconclusive
	default:
		return judgeOutage(o, objective)
	}
}

// judgeOutage weighs the measured outage of a drill that ended whole. The
// value decides: it errs by at most about an interval, and its bounds lie
// around it, so an outage whose lower bound is over the objective is missed by
// its value too.
func judgeOutage(o Outcome, objective time.Duration) Result {
	m := o.Measurement
	switch {
	case m.State == outage.Inconclusive || m.State == outage.Open:
		return ResultInconclusive
	case o.TimedOut:
		return ResultObjectiveMissed
	case m.State == outage.Closed && objective > 0 && m.Outage.Value > objective:
		return ResultObjectiveMissed
	case m.State == outage.Closed || m.State == outage.None:
		return ResultPass
	default:
		return ResultInconclusive
	}
}
