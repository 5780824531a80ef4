package chaos

// Step is one drill of a run: which mode, and which round of it, from 1.
type Step struct {
	Mode  string `json:"mode"`
	Round int    `json:"round"`
}

// Plan is the drills of a run in the order in which they are done.
type Plan []Step

// NewPlan returns rounds drills of each mode: all rounds of the first mode,
// then all of the next. So who names the gentle modes first sees them pass
// before the rough ones begin. Rounds below 1 give an empty plan.
func NewPlan(modes []string, rounds int) Plan {
	var plan Plan
	for _, mode := range modes {
		for round := range rounds {
			plan = append(plan, Step{Mode: mode, Round: round + 1})
		}
	}
	return plan
}
