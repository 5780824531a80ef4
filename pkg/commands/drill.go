package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/chaos"
	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/config"
	"github.com/vipctl/vipctl/pkg/probe"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
	"github.com/vipctl/vipctl/pkg/vip"
)

// failoverRun is a run of failover-test under way.
type failoverRun struct {
	f     *Factory
	opts  *failoverOptions
	look  *observer
	cfg   *config.Config
	vip   netip.Addr
	plan  chaos.Plan
	clock probe.Clock
	dir   *runDir
	doc   *report.DrillReport
}

// runFailoverTest does the drills and writes their report, also when it ends
// before they are done.
func runFailoverTest(ctx context.Context, f *Factory, opts *failoverOptions) error {
	if !opts.Yes && !opts.DryRun && !f.Streams.Interactive {
		return cli.WithHint(cli.Usagef("a drill must be confirmed, and there is no terminal to ask on"),
			"add --yes, or see what would happen with --dry-run")
	}
	r := &failoverRun{f: f, opts: opts, plan: chaos.NewPlan(opts.Modes, opts.Rounds), clock: probe.NewClock()}
	var err error
	if r.cfg, err = f.Config(); err != nil {
		return err
	}
	if r.look, err = f.observer(servers); err != nil {
		return err
	}
	defer r.look.close()
	first, err := r.look.look(ctx, talos.Everything)
	if err != nil {
		return err
	}
	if r.vip, err = r.chooseVIP(first); err != nil {
		return err
	}
	if r.dir, err = openRunDir(); err != nil {
		return err
	}
	defer func() { _ = r.dir.Close() }()
	r.doc = report.NewDrillReport(r.vip.String(), r.dir.ID, r.dir.Path,
		report.Anchor{Wall: r.clock.Start, MonotonicNanoseconds: r.clock.Monotonic.Nanoseconds()})
	return r.finish(r.drills(ctx, first))
}

// chooseVIP is the VIP that the drills are about: there must be one.
func (r *failoverRun) chooseVIP(snap *cluster.Snapshot) (netip.Addr, error) {
	if err := r.look.checkVIPs(snap); err != nil {
		return netip.Addr{}, err
	}
	list := r.look.vips
	if len(list) == 0 {
		for _, v := range snap.VIPs {
			list = append(list, v.Addr)
		}
	}
	switch len(list) {
	case 0:
		return netip.Addr{}, cli.WithHint(refusef("no node has a VIP configured"), "see vipctl doctor")
	case 1:
		return list[0], nil
	default:
		return netip.Addr{}, cli.WithHint(cli.Usagef("there are %d VIPs, and a drill is about one", len(list)),
			"choose it with --vip: %s", joined(texts(list)))
	}
}

// drills asks the guard, shows the plan, asks the person, and does one drill
// after the other until one stops the run.
func (r *failoverRun) drills(ctx context.Context, first *cluster.Snapshot) error {
	target, err := r.ready(ctx, first)
	if err != nil {
		return err
	}
	if err := r.showPlan(first, target); err != nil {
		return err
	}
	if err := r.confirm(ctx, target); err != nil {
		return err
	}
	for i, step := range r.plan {
		r.f.Streams.Errorf("\nDrill %d of %d: %s", i+1, len(r.plan), step.Mode)
		result, err := r.drill(ctx, step)
		if err != nil {
			return err
		}
		if result == chaos.ResultNotWhole {
			return nil // perhaps a person is in a hurry; in any case a look tells little
		}
		if result.Stops() || result == chaos.ResultRefused {
			break
		}
	}
	if r.opts.DryRun {
		r.f.Streams.Errorf("\ndry run: nothing was touched")
		return nil
	}
	r.showTopology(context.WithoutCancel(ctx))
	return nil
}

// ready asks the guard before anything is shown, and returns the node that the
// first drill is done to. Every node that may lose its power must have a switch.
func (r *failoverRun) ready(ctx context.Context, snap *cluster.Snapshot) (string, error) {
	target, err := r.ownerOf(ctx, snap)
	if err != nil {
		return "", err
	}
	if objections := checks.Guard(snap, checks.Aim{VIP: r.vip, Target: target, Owner: target}); len(objections) > 0 {
		return "", &cli.CodeError{Code: cli.ExitRefused, Err: fmt.Errorf("the guard refuses: %w", objections.Err())}
	}
	for i, step := range r.plan {
		if step.Mode != modeHard {
			continue
		}
		for _, n := range snap.Nodes {
			if i > 0 || n.Name == target {
				if _, err := powerSwitch(n.Name, r.cfg); err != nil {
					return "", err
				}
			}
		}
	}
	return target, nil
}

// ownerOf is the one owner of the VIP, or why a drill cannot begin.
func (r *failoverRun) ownerOf(ctx context.Context, snap *cluster.Snapshot) (string, error) {
	_, judged, err := r.look.owners(ctx, snap, talos.Ownership)
	if err != nil {
		return "", err
	}
	for _, j := range judged {
		if j.VIP != r.vip {
			continue
		}
		switch j.Verdict.Ownership {
		case vip.Owned:
			return j.Verdict.Owners[0], nil
		case vip.SplitBrain:
			return "", cli.WithHint(&cli.CodeError{Code: cli.ExitSplitBrain,
				Err: fmt.Errorf("%w: %s", chaos.ErrSplitBrain, j.Verdict.Reason)}, "see vipctl owner -o wide")
		default:
			return "", cli.WithHint(refusef("the guard refuses: %s is %s: %s", r.vip, j.Verdict.Ownership, j.Verdict.Reason),
				"see vipctl owner -o wide")
		}
	}
	return "", refusef("the guard refuses: %s was not seen", r.vip)
}

// showTopology prints who has the VIP now that the drills are over.
func (r *failoverRun) showTopology(ctx context.Context) {
	snap, err := r.look.look(ctx, talos.Everything)
	if err != nil {
		r.f.Streams.Errorf("\nthe cluster cannot be seen: %v", err)
		return
	}
	style := report.Style{Color: r.f.Streams.Interactive && !r.f.flags.NoColor}
	r.f.Streams.Errorf("\nAfter the drills")
	_ = style.WriteGrids(r.f.Streams.Err, report.NewOwnership(snap, judgeAll(snap)...).Grids(true)) // progress only
	r.f.Streams.Errorf("")
}

// finish writes the report wherever it is wanted and says the exit code, which
// is the same in every format. err is why the run ended before its drills did.
func (r *failoverRun) finish(err error) error {
	if errors.Is(err, context.Canceled) {
		err = &cli.CodeError{Code: cli.ExitInterrupted, Err: errors.New("interrupted before the next fault")}
	}
	var (
		results []chaos.Result
		codes   []cli.ExitCode
	)
	for _, d := range r.doc.Drills {
		results = append(results, chaos.Result(d.Result))
		codes = append(codes, codeOf(chaos.Result(d.Result)))
	}
	if err != nil {
		results = append(results, resultOf(err))
		codes = append(codes, cli.CodeOf(err))
		r.doc.Error, r.doc.Hint = err.Error(), cli.HintOf(err)
	}
	r.doc.FinishedAt = time.Now()
	r.doc.Result = string(chaos.Worst(results...))
	if werr := r.dir.writeReport(r.doc); werr != nil {
		err = errors.Join(err, stateError(werr))
		codes = append(codes, cli.ExitFailed)
	}
	code := cli.Worst(codes...)
	format, ferr := r.f.format()
	if ferr != nil {
		return ferr
	}
	if len(r.doc.Drills) == 0 && format != report.JSON && format != report.YAML {
		return &cli.CodeError{Code: code, Err: err} // no drill was done, so there is an error
	}
	if werr := r.f.write(format, r.doc); werr != nil {
		err = errors.Join(err, werr)
	}
	r.reportDrills(format)
	r.f.Streams.Report(err)
	return cli.Exit(code)
}

// reportDrills says what went wrong in the drills, and what to do, where
// people will not find it on stdout; and what must not be missed, in any case.
func (r *failoverRun) reportDrills(format string) {
	forPeople := format != report.JSON && format != report.YAML
	for _, d := range r.doc.Drills {
		if d.Error == "" || forPeople && d.Result != string(chaos.ResultNotWhole) {
			continue
		}
		r.f.Streams.Report(cli.WithHint(errors.New(d.Error), "%s", d.Hint))
	}
}

// resultOf is what an error that ended a run amounts to.
func resultOf(err error) chaos.Result {
	switch cli.CodeOf(err) {
	case cli.ExitSplitBrain:
		return chaos.ResultSplitBrain
	case cli.ExitInterrupted:
		return chaos.ResultInterrupted
	case cli.ExitRefused:
		return chaos.ResultRefused
	default:
		return chaos.ResultInconclusive
	}
}

// codeOf maps the result of a run to the exit code.
func codeOf(result chaos.Result) cli.ExitCode {
	return map[chaos.Result]cli.ExitCode{
		chaos.ResultPass: cli.ExitOK, chaos.ResultObjectiveMissed: cli.ExitBad,
		chaos.ResultNotWhole: cli.ExitNotWhole, chaos.ResultSplitBrain: cli.ExitSplitBrain,
		chaos.ResultInconclusive: cli.ExitInconclusive, chaos.ResultInterrupted: cli.ExitInterrupted,
		chaos.ResultRefused: cli.ExitRefused,
	}[result]
}

func texts(list []netip.Addr) []string {
	words := make([]string, 0, len(list))
	for _, a := range list {
		words = append(words, a.String())
	}
	return slices.Sorted(slices.Values(words))
}
