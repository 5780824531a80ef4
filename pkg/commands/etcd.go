package commands

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
)

// etcdOptions are what a run of etcd was asked for.
type etcdOptions struct {
	snapshotFlags
}

func newEtcdCommand(f *Factory, runF func(context.Context, *etcdOptions) error) *cobra.Command {
	opts := &etcdOptions{}
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "Show etcd's members, and how many may still be lost",
		Long: `etcd asks every control-plane node for etcd's members, compares the answers,
and says whether there is a quorum and how many voters may be lost before there
is none. The VIP's election is held in etcd: without a quorum nobody wins it.
With --save the snapshot is kept, and --from judges one that was kept.`,
		Example: `  vipctl etcd
  vipctl etcd -o json
  vipctl etcd --save snapshot.json
  vipctl etcd --from snapshot.json`,
		GroupID: groupLook,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runEtcd(cmd.Context(), f, opts)
		},
	}
	opts.bind(cmd)
	return cmd
}

func runEtcd(ctx context.Context, f *Factory, opts *etcdOptions) error {
	return f.answer(ctx, func(ctx context.Context, f *Factory) (any, cli.ExitCode, error) { return etcdReport(ctx, f, opts) })
}

// etcdReport looks at one cluster.
func etcdReport(ctx context.Context, f *Factory, opts *etcdOptions) (*report.EtcdReport, cli.ExitCode, error) {
	seen, err := opts.source(ctx, f, func(ctx context.Context) (*survey, error) {
		return f.survey(ctx, talosOnly, talos.Everything)
	})
	if seen == nil {
		return nil, 0, err
	}
	f.warnOfEndpoints(seen.snap)
	doc := report.NewEtcd(seen.snap)
	return doc, etcdCodes[doc.Verdict], err
}

// etcdCodes maps the verdict of an EtcdReport to the exit code.
var etcdCodes = map[string]cli.ExitCode{
	"healthy": cli.ExitOK, "degraded": cli.ExitBad, "noQuorum": cli.ExitBad, "unknown": cli.ExitInconclusive,
}
