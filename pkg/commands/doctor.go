package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/renameio/v2/maybe"
	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
)

// doctorOptions are what a run of doctor was asked for.
type doctorOptions struct {
	checks.Choice
	FailOn string // warn or fail
	Save   string // file to write the snapshot to
	From   string // file to read it from
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
			if opts.Save != "" && opts.From != "" {
				return cli.WithHint(cli.Usagef("--save and --from exclude each other"), "copy the file instead")
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
	fs.StringVar(&opts.Save, "save", "", "write the snapshot to this file")
	fs.StringVar(&opts.From, "from", "", "judge the snapshot in this file, and ask nobody")
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
	return f.answer(ctx, func(ctx context.Context, f *Factory) (any, cli.ExitCode, error) { return doctorReport(ctx, f, opts, list) })
}

// doctorReport looks at one cluster.
func doctorReport(ctx context.Context, f *Factory, opts *doctorOptions, list []checks.Check) (*report.DoctorReport, cli.ExitCode, error) {
	snap, err := opts.snapshot(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	doc := report.NewDoctor(snap, checks.Run(snap, list))
	if doc.Verdict == "fail" || doc.Verdict == "warn" && opts.FailOn == "warn" {
		return doc, cli.ExitBad, nil
	}
	return doc, cli.ExitOK, nil
}

// snapshot reads the snapshot from the file named, or collects one, and keeps
// it where that was asked for.
func (opts *doctorOptions) snapshot(ctx context.Context, f *Factory) (*cluster.Snapshot, error) {
	if opts.From != "" {
		return readSnapshot(opts.From)
	}
	seen, err := f.survey(ctx, servers, talos.Everything)
	if err != nil {
		return nil, err
	}
	if opts.Save != "" {
		return seen.snap, saveSnapshot(opts.Save, seen.snap)
	}
	return seen.snap, nil
}

func saveSnapshot(path string, snap *cluster.Snapshot) error {
	data, err := json.MarshalIndent(snap, "", "  ")
	if err != nil {
		return err
	}
	if err := maybe.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("--save: %w", err)
	}
	return nil
}

func readSnapshot(path string) (*cluster.Snapshot, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, cli.WithHint(&cli.UsageError{Err: fmt.Errorf("--from: %w", err)}, "a snapshot is written by vipctl doctor --save FILE")
	}
	snap, err := cluster.Parse(data)
	if err != nil {
		return nil, cli.WithHint(&cli.UsageError{Err: fmt.Errorf("--from: %s: %w", path, err)},
			"a snapshot is written by vipctl doctor --save FILE")
	}
	return snap, nil
}
