package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/chaos"
	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/outage"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
	"github.com/vipctl/vipctl/pkg/vip"
)

// drill does one step of the plan and appends it to the report. An error means
// that the step could not even begin.
func (r *failoverRun) drill(ctx context.Context, step chaos.Step) (chaos.Result, error) {
	before, err := r.look.look(ctx, talos.Everything)
	if err != nil {
		return "", err
	}
	target, err := r.ownerOf(ctx, before)
	if err != nil {
		return "", err
	}
	fault, err := newFault(step.Mode, before.Node(target), r.look.talos, r.cfg)
	if err != nil {
		return "", err
	}
	aim := checks.Aim{VIP: r.vip, Target: target, Owner: target}
	owner := leadership(target, checks.EtcdVerdict(before).Leader)

	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	probes := r.startProbes(watching, before)
	sightings := r.watch(watching, before)
	d := chaos.Drill{
		Mode: step.Mode, Round: step.Round, Target: target, Fault: fault,
		Guard:   r.guard(aim),
		Whole:   r.whole(before, aim),
		Samples: probes.headline().recorder.Samples,
		Now:     r.clock.Now,
		Journal: r.journal(),
		Limits: chaos.Limits{
			Baseline: r.opts.Baseline, Settle: r.opts.Settle,
			Outage: r.opts.Drill, Recovery: r.opts.Recovery,
		},
		Interval: r.opts.Interval, Timeout: r.opts.Timeout,
		Objective: r.objective(step.Mode),
		DryRun:    r.opts.DryRun,
		Abandon:   r.f.interrupts.abandon,
		Progress:  r.progress,
	}
	out := d.Run(ctx)
	stop()
	probes.wait()
	sightings.wait()

	doc := r.document(out, owner)
	doc.NewOwner = r.newOwner(ctx, out, sightings)
	if out.FaultAt > 0 {
		doc.Probes = probes.report(out, r.opts)
		doc.Phases = phases(out, probes, sightings, r.opts)
	}
	r.doc.Add(doc)
	return out.Result, r.dir.append("samples.ndjson", probes.lines(len(r.doc.Drills))...)
}

// document is what the drill's outcome alone says; owner is how its target
// stood to etcd's leader before it.
func (r *failoverRun) document(out chaos.Outcome, owner vip.Leadership) report.Drill {
	doc := report.Drill{
		Mode: out.Mode, Round: out.Round, Target: out.Target, OldOwner: out.Target,
		OwnerWasEtcdLeader: owner == vip.OwnerLeads,
		Result:             string(out.Result),
		Outage:             report.NewOutage(out.Measurement, out.FaultAt),
		ResolutionSeconds:  outage.Resolution(r.opts.Interval, r.opts.Timeout).Seconds(),
		ObjectiveSeconds:   r.objective(out.Mode).Seconds(),
		Predicted:          r.predict(out.Mode, owner),
	}
	if out.Err != nil {
		doc.Error, doc.Hint = out.Err.Error(), r.hintFor(out)
	}
	if errors.Is(out.Err, context.Canceled) && !out.Phase.Touched() {
		doc.Error = "interrupted before the fault: nothing was touched"
	}
	if out.FaultAt > 0 {
		doc.FaultAt = new(r.doc.Anchor.At(out.FaultAt))
	}
	return doc
}

// guard looks at the cluster and says what speaks against the fault now.
func (r *failoverRun) guard(aim checks.Aim) func(context.Context) error {
	return func(ctx context.Context) error {
		snap, err := r.look.look(ctx, talos.Everything)
		if err != nil {
			return err
		}
		if _, err := r.ownerOf(ctx, snap); err != nil {
			return err
		}
		return checks.Guard(snap, aim).Err()
	}
}

// whole looks at the cluster and says what is missing for it to be as before.
// Two holders of the VIP are a split brain when they are still two a while
// after they were first seen.
func (r *failoverRun) whole(before *cluster.Snapshot, aim checks.Aim) func(context.Context) error {
	var (
		suspect vip.Verdict
		since   time.Time
	)
	return func(ctx context.Context) error {
		now, err := r.look.look(ctx, talos.Everything)
		if err != nil {
			return err
		}
		verdict := vip.Judge(now.Claims(r.vip))
		switch {
		case verdict.Ownership != vip.SplitBrain:
			since = time.Time{}
		case since.IsZero():
			suspect, since = verdict, time.Now()
		case time.Since(since) >= vip.ResampleAfter:
			if confirmed := vip.Confirm(suspect, verdict); confirmed.Ownership == vip.SplitBrain {
				return fmt.Errorf("%w: %s", chaos.ErrSplitBrain, confirmed.Reason)
			}
			suspect, since = verdict, time.Now()
		}
		return checks.Whole(now, before, aim, true).Err()
	}
}

// newOwner is who has the VIP when the drill is over: the last node seen to
// gain it, for Talos never gives it back by itself.
func (r *failoverRun) newOwner(ctx context.Context, out chaos.Outcome, seen *sightings) string {
	if out.Phase == chaos.Whole {
		looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*r.look.cfg.Timeout)
		defer cancel()
		if snap, err := r.look.look(looking, talos.Addresses); err == nil {
			if v := vip.Judge(snap.Claims(r.vip)); v.Ownership == vip.Owned {
				return v.Owners[0]
			}
		}
	}
	return seen.lastGain()
}

func (r *failoverRun) objective(mode string) time.Duration {
	if d, ok := r.opts.Objectives[mode]; ok {
		return d
	}
	return time.Duration(r.cfg.Objectives[mode])
}

// lease is the election lease that predictions are reckoned from.
func (r *failoverRun) lease() time.Duration {
	if r.cfg.LeaseTTL > 0 {
		return time.Duration(r.cfg.LeaseTTL)
	}
	return vip.DefaultLease
}

// hintFor says what a person should do about a drill that did not end well.
func (r *failoverRun) hintFor(out chaos.Outcome) string {
	switch {
	case out.Phase != chaos.NotWhole:
		return cli.HintOf(out.Err)
	case out.Mode == modeHard:
		return fmt.Sprintf("see that %s has power, then vipctl doctor; what was done is in %s", out.Target, r.dir.Path)
	default:
		return fmt.Sprintf("see whether %s comes back, then vipctl doctor; what was done is in %s", out.Target, r.dir.Path)
	}
}

// journal keeps the events of the run on the disk.
func (r *failoverRun) journal() chaos.Journal { return journal{r.dir} }

type journal struct{ dir *runDir }

func (j journal) Append(e chaos.Event) error { return j.dir.append("journal.ndjson", e) }

// progress tells the person how far the drill is.
func (r *failoverRun) progress(e chaos.Event) {
	text := map[chaos.Kind]string{
		chaos.KindPhase: string(e.Phase), chaos.KindInjecting: "fault: " + e.Detail,
		chaos.KindAccepted: "accepted", chaos.KindBack: "the VIP is back",
		chaos.KindTimedOut: e.Detail, chaos.KindRecovered: "fault taken back",
		chaos.KindWaiting: "waiting: " + e.Detail, chaos.KindFailed: "failed: " + e.Detail,
		chaos.KindInterrupted: "interrupted: waiting until the cluster is whole; Ctrl-C again leaves at once",
	}[e.Kind]
	r.f.Streams.Errorf("%8.3f s  %s", e.At.Seconds(), text)
}
