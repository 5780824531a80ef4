package report

import "time"

// DrillReport is a run of drills on one VIP.
type DrillReport struct {
	Meta
	// Result is the worst of the drills.
	Result     string    `json:"result" jsonschema:"enum=pass,enum=objectiveMissed,enum=notWhole,enum=splitBrain,enum=inconclusive,enum=interrupted,enum=refused"`
	VIP        string    `json:"vip"`
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt"`
	// RunID names the run, Directory is where its journal and samples lie; ""
	// where a dry run kept none.
	RunID     string  `json:"runID"`
	Directory string  `json:"directory,omitempty"`
	Anchor    Anchor  `json:"anchor"`
	Drills    []Drill `json:"drills"`
	// Error is why the run ended before its drills did.
	Error string `json:"error,omitempty"`
	// Hint is what to do next.
	Hint string `json:"hint,omitempty"`
}

// NewDrillReport returns an empty report on a VIP: no drills, no result yet.
func NewDrillReport(vip, runID, directory string, anchor Anchor) *DrillReport {
	return &DrillReport{
		Meta: meta(KindDrill), VIP: vip, RunID: runID, Directory: directory,
		StartedAt: anchor.Wall, Anchor: anchor, Drills: []Drill{},
	}
}

// Add appends a drill. Lists that it leaves nil become empty ones.
func (r *DrillReport) Add(d Drill) {
	if d.Phases == nil {
		d.Phases = []Phase{}
	}
	if d.Probes == nil {
		d.Probes = []Probe{}
	}
	r.Drills = append(r.Drills, d)
}

// Anchor is one instant on two clocks: the start of a run, from which
// everything in it is counted.
type Anchor struct {
	Wall time.Time `json:"wall"`
	// MonotonicNanoseconds is CLOCK_MONOTONIC, 0 where the system has none.
	MonotonicNanoseconds int64 `json:"monotonicNanoseconds"`
}

// At returns the instant that lies so long after the anchor; negative, before.
func (a Anchor) At(sinceStart time.Duration) Instant {
	i := Instant{Wall: a.Wall.Add(sinceStart), RunSeconds: sinceStart.Seconds()}
	if a.MonotonicNanoseconds != 0 {
		i.MonotonicNanoseconds = a.MonotonicNanoseconds + sinceStart.Nanoseconds()
	}
	return i
}

// Instant is a moment of a run. Wall is reckoned from the anchor, so a step of
// the clock during the run does not show in it.
type Instant struct {
	Wall                 time.Time `json:"wall"`
	RunSeconds           float64   `json:"runSeconds"`
	MonotonicNanoseconds int64     `json:"monotonicNanoseconds"`
}

// Drill is one fault and what it did. All atSeconds count from the fault.
type Drill struct {
	Mode     string `json:"mode"`
	Round    int    `json:"round"` // from 1
	Target   string `json:"target"`
	OldOwner string `json:"oldOwner"`
	// NewOwner is who had the VIP at the end, "" where that is not known.
	NewOwner           string `json:"newOwner"`
	OwnerWasEtcdLeader bool   `json:"ownerWasEtcdLeader"`
	Result             string `json:"result" jsonschema:"enum=pass,enum=objectiveMissed,enum=notWhole,enum=splitBrain,enum=inconclusive,enum=interrupted,enum=refused"`
	Error              string `json:"error,omitempty"`
	Hint               string `json:"hint,omitempty"`
	// FaultAt is just before the request that injects was sent; null where no
	// fault was.
	FaultAt *Instant `json:"faultAt" jsonschema:"nullable"`
	// Outage is of new TCP connections to the VIP; null where no fault was.
	Outage *Outage `json:"outage" jsonschema:"nullable"`
	// ResolutionSeconds is the shortest outage that is sure to be seen.
	ResolutionSeconds float64 `json:"resolutionSeconds"`
	// ObjectiveSeconds is the longest outage that is good; 0 is any.
	ObjectiveSeconds float64    `json:"objectiveSeconds,omitempty"`
	Predicted        Prediction `json:"predicted"`
	Phases           []Phase    `json:"phases"`
	Probes           []Probe    `json:"probes"`
}

// Outage is how long a service was gone.
type Outage struct {
	// State: none, no sample failed; closed, it came back to stay; open, it did
	// not come back; inconclusive, it could not be told.
	State string `json:"state" jsonschema:"enum=none,enum=closed,enum=open,enum=inconclusive"`
	// Seconds is the measured value, null unless the outage is closed, or none
	// (then 0). The true length lies between LowerSeconds and UpperSeconds;
	// UpperSeconds is null where there is no upper bound.
	Seconds      *float64 `json:"seconds" jsonschema:"nullable"`
	LowerSeconds float64  `json:"lowerSeconds"`
	UpperSeconds *float64 `json:"upperSeconds" jsonschema:"nullable"`
	// Lost counts the failed samples.
	Lost int `json:"lost"`
	// Flapping: good answers came in between. Partial: the lost samples do not
	// account for the whole length.
	Flapping bool     `json:"flapping"`
	Partial  bool     `json:"partial,omitempty"`
	Windows  []Window `json:"windows"`
}

// Window is one spell of failure.
type Window struct {
	FromAtSeconds float64  `json:"fromAtSeconds"`
	ToAtSeconds   *float64 `json:"toAtSeconds" jsonschema:"nullable"` // null while open
	LowerSeconds  float64  `json:"lowerSeconds"`
	UpperSeconds  *float64 `json:"upperSeconds" jsonschema:"nullable"`
	Lost          int      `json:"lost"`
}

// Prediction is how long the outage should be.
type Prediction struct {
	LowerSeconds float64 `json:"lowerSeconds"`
	UpperSeconds float64 `json:"upperSeconds"`
	// Basis says what it was reckoned from.
	Basis string `json:"basis"`
}

// Phase is something that was seen to happen.
type Phase struct {
	Name      string  `json:"name"`
	AtSeconds float64 `json:"atSeconds"`
}

// Probe is one prober's view of one address.
type Probe struct {
	Name    string  `json:"name" jsonschema:"example=tcp,example=https"`
	Target  string  `json:"target"`                       // host:port
	Outage  *Outage `json:"outage" jsonschema:"nullable"` // null where it sent none
	Samples int     `json:"samples"`
	// Late samples were answered after the timeout and count as failures;
	// suspect ones were sent late and count for nothing.
	Late    int `json:"late"`
	Suspect int `json:"suspect"`
}
