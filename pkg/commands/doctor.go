package commands

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
	"github.com/vipctl/vipctl/pkg/vip"
)

// doctorOptions are what a run of doctor was asked for.
type doctorOptions struct {
	checks.Choice
	snapshotFlags
	FailOn string // warn or fail
}

func newDoctorCommand(f *Factory, runF func(context.Context, *doctorOptions) error) *cobra.Command {
	opts := &doctorOptions{}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether the set-up of the VIP is sound",
		Long: `doctor takes a snapshot of the control plane and judges it. Each check says
what it found and what to do about it; docs/checks.md explains them. A fact that
could not be read never counts as good. With --save the snapshot is kept, and
--from judges one that was kept, with no cluster at hand.`,
		Example: `  vipctl doctor
  vipctl doctor --only vip-one-owner,etcd-quorum
  vipctl doctor -o json --save snapshot.json
  vipctl doctor --from snapshot.json`,
		GroupID: groupLook,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.FailOn != "warn" && opts.FailOn != "fail" {
				return cli.WithHint(cli.Usagef("--fail-on: unknown status %q", opts.FailOn), "warn or fail")
			}
			if err := opts.check(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runDoctor(cmd.Context(), f, opts)
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&opts.Only, "only", nil, "IDs of the checks to do (default all)")
	fs.StringSliceVar(&opts.Skip, "skip", nil, "IDs of checks to leave out")
	fs.StringSliceVar(&opts.Categories, "category", nil, "categories of checks to do (default all)")
	fs.StringVar(&opts.FailOn, "fail-on", "fail", "verdict from which the exit code is 3: warn or fail")
	opts.bind(cmd)
	for flag, complete := range map[string]cobra.CompletionFunc{
		"only": completeChecks, "skip": completeChecks, "category": completeCategories,
		"fail-on": cobra.FixedCompletions([]cobra.Completion{"warn", "fail"}, cobra.ShellCompDirectiveNoFileComp),
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete)
	}
	return cmd
}

func runDoctor(ctx context.Context, f *Factory, opts *doctorOptions) error {
	list, err := checks.Choose(checks.All(), opts.Choice)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	return answer(ctx, f, report.NewDoctorList, func(ctx context.Context, f *Factory) (*report.DoctorReport, cli.ExitCode, error) {
		return doctorReport(ctx, f, opts, list)
	})
}

// doctorReport looks at one cluster.
func doctorReport(ctx context.Context, f *Factory, opts *doctorOptions, list []checks.Check) (*report.DoctorReport, cli.ExitCode, error) {
	seen, err := opts.source(ctx, f, func(ctx context.Context) (*survey, error) {
		return f.survey(ctx, everybody, talos.Everything)
	})
	if seen == nil {
		return nil, 0, err
	}
	doc := report.NewDoctor(seen.snap, checks.Run(seen.snap, list))
	return doc, doctorCode(doc, seen.judged, opts.FailOn), err
}

// doctorCode maps what the doctor found to the exit code. Two owners count as
// such, where it was told to look for them.
func doctorCode(doc *report.DoctorReport, judged []report.Judged, failOn string) cli.ExitCode {
	looked := slices.ContainsFunc(doc.Checks, func(c report.CheckResult) bool { return c.ID == checks.OneOwner })
	split := slices.ContainsFunc(judged, func(j report.Judged) bool { return j.Verdict.Ownership == vip.SplitBrain })
	switch {
	case looked && split:
		return cli.ExitSplitBrain
	case doc.Verdict == "fail" || doc.Verdict == "warn" && failOn == "warn":
		return cli.ExitBad
	default:
		return cli.ExitOK
	}
}
