package chaos

import (
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

// Outcome is how a drill went. Times are on the run's clock.
type Outcome struct {
	Mode   string
	Target string
	Round  int

	// Phase is an end: Whole, Refused, Aborted or NotWhole.
	Phase  Phase
	Result Result
	// FaultAt is the instant just before Inject was called, 0 where it was
	// not. AckAt is when Inject returned without an error, 0 where it did not.
	FaultAt time.Duration
	AckAt   time.Duration
	// EndAt is when the drill reached its end.
	EndAt  time.Duration
	Events []Event

	// Interrupted: a person asked to stop, before the fault or after it.
	Interrupted bool
	// TimedOut: the service did not come back within the drill timeout, so the
	// recovery may have helped it back.
	TimedOut bool
	// SplitBrain: two owners were seen, if only for a while.
	SplitBrain bool
	// Err is everything that went wrong, joined; nil where nothing did.
	Err error
	// Measurement is the outage, where a fault was injected.
	Measurement outage.Measurement
}
