package commands

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
)

func newEtcdCommand(f *Factory, runF func(context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use:   "etcd",
		Short: "Show etcd's members, and how many may still be lost",
		Long: `etcd asks every control-plane node for etcd's members, compares the answers,
and says whether there is a quorum and how many voters may be lost before there
is none. The VIP's election is held in etcd: without a quorum nobody wins it.`,
		Example: "  vipctl etcd\n  vipctl etcd -o json",
		GroupID: groupLook,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context())
			}
			return runEtcd(cmd.Context(), f)
		},
	}
}

func runEtcd(ctx context.Context, f *Factory) error {
	return f.answer(ctx, func(ctx context.Context, f *Factory) (any, cli.ExitCode, error) { return etcdReport(ctx, f) })
}

// etcdReport looks at one cluster.
func etcdReport(ctx context.Context, f *Factory) (*report.EtcdReport, cli.ExitCode, error) {
	seen, err := f.survey(ctx, talosOnly, talos.Everything)
	if err != nil {
		return nil, 0, err
	}
	f.warnOfEndpoints(seen.snap)
	doc := report.NewEtcd(seen.snap)
	return doc, etcdCodes[doc.Verdict], nil
}

// etcdCodes maps the verdict of an EtcdReport to the exit code.
var etcdCodes = map[string]cli.ExitCode{
	"healthy": cli.ExitOK, "degraded": cli.ExitBad, "noQuorum": cli.ExitBad, "unknown": cli.ExitInconclusive,
}
