package chaos

import (
	"encoding/json"
	"math"
	"time"
)

// Journal keeps the events of a run where they outlive the program. When
// Append returns nil the event is on the disk.
type Journal interface {
	Append(Event) error
}

// Kind says what an Event is about.
type Kind string

// The kinds of event.
const (
	KindPhase       Kind = "phase"       // the drill entered Phase
	KindInjecting   Kind = "injecting"   // on the disk before the fault is sent: from here on the fault may be in
	KindAccepted    Kind = "accepted"    // the fault was acknowledged
	KindFailed      Kind = "failed"      // a step failed; Detail says how
	KindBack        Kind = "back"        // the service is back by itself
	KindTimedOut    Kind = "timedOut"    // the service did not come back within the drill timeout
	KindRecovered   Kind = "recovered"   // the fault was taken back
	KindWaiting     Kind = "waiting"     // not whole yet; Detail says what is missing
	KindInterrupted Kind = "interrupted" // a person asked to stop after the fault
)

// Event is one line of a journal. Every line names its drill, so that a line
// can be read by itself.
type Event struct {
	// At is the time since the start of the run, on the run's clock.
	At     time.Duration
	Mode   string
	Round  int
	Target string
	// Phase is the phase of the drill at the time.
	Phase  Phase
	Kind   Kind
	Detail string
}

// eventJSON is an Event on the wire. runSeconds counts from the start of the
// run, unlike the atSeconds of a report, which count from the fault.
type eventJSON struct {
	RunSeconds float64 `json:"runSeconds"`
	Mode       string  `json:"mode"`
	Round      int     `json:"round"`
	Target     string  `json:"target"`
	Phase      Phase   `json:"phase"`
	Kind       Kind    `json:"kind"`
	Detail     string  `json:"detail,omitempty"`
}

// MarshalJSON writes the event with its time as runSeconds, exact to the
// nanosecond for runs of up to a month.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(eventJSON{e.At.Seconds(), e.Mode, e.Round, e.Target, e.Phase, e.Kind, e.Detail})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Event) UnmarshalJSON(data []byte) error {
	var j eventJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	at := time.Duration(math.Round(j.RunSeconds * float64(time.Second)))
	*e = Event{at, j.Mode, j.Round, j.Target, j.Phase, j.Kind, j.Detail}
	return nil
}
