package chaos

import "slices"

// Phase is how far a drill has come. The zero value is no phase: the drill
// has not started.
type Phase string

// The phases. The last four are ends: nothing follows them.
const (
	Planned    Phase = "planned"    // started; the guard is being asked
	Guarded    Phase = "guarded"    // the guard agreed
	Baseline   Phase = "baseline"   // the service is watched, and must be good throughout
	Injected   Phase = "injected"   // the fault may be in; entered before Inject is called
	Observing  Phase = "observing"  // waiting for the service to come back by itself
	Recovering Phase = "recovering" // taking the fault back
	Verifying  Phase = "verifying"  // waiting until cluster and service are whole

	Whole    Phase = "whole"    // the fault is gone and the cluster is whole
	Refused  Phase = "refused"  // a guard said no; nothing was touched
	Aborted  Phase = "aborted"  // stopped before the fault; nothing was touched
	NotWhole Phase = "notWhole" // a fault was injected and we do not know what we left behind
)

// moves is the whole table of legal moves; the drawing is at Drill.Run.
// A phase that is not a key of it is an end.
var moves = map[Phase][]Phase{
	"":         {Planned, Refused},
	Planned:    {Guarded, Refused, Aborted},
	Guarded:    {Baseline, Refused, Aborted},
	Baseline:   {Injected, Refused, Aborted},
	Injected:   {Observing, Recovering, NotWhole},
	Observing:  {Recovering, NotWhole},
	Recovering: {Verifying, NotWhole},
	Verifying:  {Whole, NotWhole},
}

// legal says whether a drill may go from one phase to the other.
func legal(from, to Phase) bool { return slices.Contains(moves[from], to) }

// Ended says that no phase follows p.
func (p Phase) Ended() bool { return p != "" && moves[p] == nil }

// Touched says that in phase p, or on the way to it, a fault may have been
// sent to the cluster.
func (p Phase) Touched() bool {
	switch p {
	case Injected, Observing, Recovering, Verifying, Whole, NotWhole:
		return true
	default:
		return false
	}
}
