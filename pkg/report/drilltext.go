package report

import (
	"fmt"
	"strconv"
	"time"

	"github.com/vipctl/vipctl/pkg/vip"
)

// Grids shows a block a drill with its phases, and at the end a row a drill.
// When wide it shows every prober too.
func (r *DrillReport) Grids(wide bool) []Grid {
	var grids []Grid
	for i, d := range r.Drills {
		grids = append(grids, d.grid(fmt.Sprintf("Drill %d of %d: %s", i+1, len(r.Drills), d.Mode)))
		if len(d.Phases) > 0 {
			grids = append(grids, d.phaseGrid())
		}
		if wide && len(d.Probes) > 0 {
			grids = append(grids, d.probeGrid())
		}
	}
	return append(grids, r.summary())
}

func (r *DrillReport) summary() Grid {
	g := Grid{Header: []string{"MODE", "ROUND", "TARGET", "NEW OWNER", "FAILOVER", "PREDICTED", "RESULT"}}
	for _, d := range r.Drills {
		g.Rows = append(g.Rows, []string{d.Mode, strconv.Itoa(d.Round), d.Target, d.NewOwner,
			d.Outage.String(), d.Predicted.span(), d.Result})
	}
	g.Footer = append(g.Footer, "result: "+r.Result)
	if r.Error != "" {
		g.Footer = append(g.Footer, "reason: "+r.Error)
	}
	if r.Hint != "" {
		g.Footer = append(g.Footer, "hint: "+r.Hint)
	}
	if r.Directory != "" {
		g.Footer = append(g.Footer, "journal and samples: "+r.Directory)
	}
	return g
}

// grid shows one drill by itself.
func (d Drill) grid(title string) Grid {
	g := Grid{Title: title}
	add := func(name, value string) { g.Rows = append(g.Rows, []string{name, value}) }
	add("round", strconv.Itoa(d.Round))
	add("target", d.Target)
	add("old owner", d.OldOwner)
	add("new owner", d.NewOwner)
	add("owner was etcd leader", yesNo(d.OwnerWasEtcdLeader))
	add("failover", d.Outage.String())
	if d.Outage != nil && d.Outage.Flapping {
		add("flapping", fmt.Sprintf("%d spells of failure", len(d.Outage.Windows)))
	}
	if d.Outage != nil && d.Outage.Partial {
		add("partial", vip.Count(d.Outage.Lost, "sample", "samples")+" lost, which is less than the failover's length")
	}
	if d.ResolutionSeconds > 0 {
		add("resolution", seconds(d.ResolutionSeconds))
	}
	if d.Predicted.Basis != "" {
		add("predicted", fmt.Sprintf("%s (%s)", d.Predicted.span(), d.Predicted.Basis))
	}
	if d.ObjectiveSeconds > 0 {
		add("objective", "at most "+seconds(d.ObjectiveSeconds))
	}
	add("result", d.Result)
	if d.Error != "" {
		add("reason", d.Error)
	}
	if d.Hint != "" {
		add("hint", d.Hint)
	}
	return g
}

func (d Drill) phaseGrid() Grid {
	g := Grid{Header: []string{"AFTER THE FAULT", "PHASE"}}
	for _, p := range d.Phases {
		g.Rows = append(g.Rows, []string{fmt.Sprintf("%+.3f s", p.AtSeconds), p.Name})
	}
	return g
}

func (d Drill) probeGrid() Grid {
	g := Grid{Header: []string{"PROBE", "TARGET", "OUTAGE", "SAMPLES", "LOST", "LATE", "SUSPECT"}}
	for _, p := range d.Probes {
		lost := 0
		if p.Outage != nil {
			lost = p.Outage.Lost
		}
		g.Rows = append(g.Rows, []string{p.Name, p.Target, p.Outage.String(), strconv.Itoa(p.Samples),
			strconv.Itoa(lost), strconv.Itoa(p.Late), strconv.Itoa(p.Suspect)})
	}
	return g
}

// Plan is what a run of drills is about to do, for people to confirm.
type Plan struct {
	VIP, Owner, EtcdLeader string
	// Steps are the drills in their order. The target of a later one is not
	// known before the earlier are over.
	Steps []PlannedDrill
	// Interval and Timeout are of each probe; Baseline and Settle of good
	// service before and after.
	Interval, Timeout, Baseline, Settle time.Duration
}

// PlannedDrill is one step of a Plan.
type PlannedDrill struct {
	Mode   string
	Round  int
	Target string // "the owner" where that cannot be known yet
	// Does says in words what is done to the target.
	Does      string
	Predicted Prediction
	Objective time.Duration // 0 is any
}

// Grids shows the plan.
func (p Plan) Grids(bool) []Grid {
	steps := Grid{Header: []string{"MODE", "ROUND", "TARGET", "DOES", "PREDICTED", "OBJECTIVE"}}
	for _, s := range p.Steps {
		objective := ""
		if s.Objective > 0 {
			objective = "at most " + seconds(s.Objective.Seconds())
		}
		steps.Rows = append(steps.Rows, []string{s.Mode, strconv.Itoa(s.Round), s.Target, s.Does, s.Predicted.span(), objective})
	}
	for _, basis := range p.bases() {
		steps.Footer = append(steps.Footer, "predicted from "+basis)
	}
	return []Grid{{Title: "Plan", Rows: [][]string{
		{"VIP", p.VIP}, {"owner", p.Owner}, {"etcd leader", p.EtcdLeader},
		{"probe", fmt.Sprintf("every %s, timeout %s", vip.Seconds(p.Interval), vip.Seconds(p.Timeout))},
		{"good service", fmt.Sprintf("%s before the fault, %s after", vip.Seconds(p.Baseline), vip.Seconds(p.Settle))},
	}}, steps}
}

// bases returns what the predictions rest on, each once.
func (p Plan) bases() []string {
	var list []string
	seen := make(map[string]bool)
	for _, s := range p.Steps {
		if basis := s.Predicted.Basis; basis != "" && !seen[basis] {
			seen[basis] = true
			list = append(list, fmt.Sprintf("%s: %s", s.Mode, basis))
		}
	}
	return list
}

func seconds(s float64) string { return vip.Seconds(inSeconds(s)) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
