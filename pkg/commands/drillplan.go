package commands

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/vip"
)

// showPlan prints what is about to be done to whom.
func (r *failoverRun) showPlan(snap *cluster.Snapshot, target string) error {
	leader := checks.EtcdVerdict(snap).Leader
	plan := report.Plan{
		VIP: r.vip.String(), Owner: target, EtcdLeader: leader,
		Interval: r.opts.Interval, Timeout: r.opts.Timeout, Baseline: r.opts.Baseline, Settle: r.opts.Settle,
	}
	for i, step := range r.plan {
		planned := report.PlannedDrill{Mode: step.Mode, Round: step.Round, Target: "the owner then",
			Does: modeDoes[step.Mode], Objective: r.objective(step.Mode)}
		if i == 0 {
			planned.Target = target
			planned.Predicted = r.predict(step.Mode, leadership(target, leader))
		} else { // who owns it then, and who leads, is not known yet
			planned.Predicted = r.predict(step.Mode, vip.LeadershipUnknown)
		}
		plan.Steps = append(plan.Steps, planned)
	}
	style := report.Style{Color: r.f.Streams.Interactive && !r.f.flags.NoColor}
	grids := append(plan.Grids(false), report.NewOwnership(snap, judgeAll(snap)...).Grids(true)...)
	return style.WriteGrids(r.f.Streams.Err, grids)
}

var modeDoes = map[string]string{
	modeGraceful: "reboot through the Talos API",
	modeForce:    "reboot without stopping workloads",
	modeHard:     "power off by its switch, then on",
}

// confirm makes the person name the node that is about to be disturbed.
func (r *failoverRun) confirm(ctx context.Context, target string) error {
	if r.opts.Yes || r.opts.DryRun {
		return nil
	}
	fmt.Fprintf(r.f.Streams.Err, "\nType the name of the node to go on (%s): ", target)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r.f.Streams.In).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case typed := <-answer:
		if typed != target {
			return cli.WithHint(refusef("not confirmed: %q is not %s", typed, target), "nothing was touched")
		}
		return nil
	}
}
