package commands

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
)

// etcdOptions are what a run of etcd was asked for.
type etcdOptions struct {
	snapshotFlags
	Without []string // nodes or members that might be gone
}

// secondSample is how long after the first time each node is asked again for
// its etcd's status: ten heartbeats, and an election takes one to two seconds.
const secondSample = time.Second

func newEtcdCommand(f *Factory, runF func(context.Context, *etcdOptions) error) *cobra.Command {
	opts := &etcdOptions{}
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "Show etcd's members, and how many may still be lost",
		Long: `etcd asks every control-plane node for etcd's members, compares the answers,
and says whether there is a quorum and how many voters may be lost before there
is none. The VIP's election is held in etcd: without a quorum nobody wins it.

Every node is asked twice for its etcd's status, a second apart: a term that grew
in between is an election. --without answers "and if these were gone?", by the
names of nodes or members, their addresses, or members' IDs; the exit code is 3
where the quorum would be lost, and 7 where that is not known.

With --save the snapshot is kept, and --from judges one that was kept.`,
		Example: `  vipctl etcd
  vipctl etcd -o json
  vipctl etcd --without cp-2,cp-3
  vipctl etcd --save snapshot.json
  vipctl etcd --from snapshot.json`,
		GroupID: groupLook,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			if cmd.Flags().Changed("without") && len(opts.Without) == 0 {
				return cli.WithHint(cli.Usagef("--without names nobody"), "name nodes or members, such as --without cp-2,cp-3")
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runEtcd(cmd.Context(), f, opts)
		},
	}
	opts.bind(cmd)
	cmd.Flags().StringSliceVar(&opts.Without, "without", nil, "and if these nodes or members were gone?")
	_ = cmd.RegisterFlagCompletionFunc("without", f.completeNodeNames)
	return cmd
}

func runEtcd(ctx context.Context, f *Factory, opts *etcdOptions) error {
	return answer(ctx, f, report.NewEtcdList, func(ctx context.Context, f *Factory) (*report.EtcdReport, cli.ExitCode, error) {
		return etcdReport(ctx, f, opts)
	})
}

// etcdReport looks at one cluster.
func etcdReport(ctx context.Context, f *Factory, opts *etcdOptions) (*report.EtcdReport, cli.ExitCode, error) {
	seen, err := opts.source(ctx, f, func(ctx context.Context) (*survey, error) {
		return f.surveyEtcd(ctx)
	})
	if seen == nil {
		return nil, 0, err
	}
	f.warnOfEndpoints(seen.snap)
	doc, code, wrong := etcdDocument(seen.snap, opts.Without)
	return doc, code, cmp.Or(wrong, err)
}

// surveyEtcd looks once, with two samples of etcd's status. Who owns a VIP is a
// side issue here, and not worth a second look.
func (f *Factory) surveyEtcd(ctx context.Context) (*survey, error) {
	o, err := f.observer(talosOnly)
	if err != nil {
		return nil, err
	}
	defer o.close()
	snap, err := o.talos.Collect(ctx, talos.CollectOptions{Facts: talos.Everything, VIPs: o.vips, Again: secondSample})
	if err != nil {
		return nil, o.explain(err, snap)
	}
	if err := o.checkVIPs(snap); err != nil {
		return nil, err
	}
	return &survey{snap: snap}, nil
}

// etcdDocument judges a snapshot, and what the loss of some nodes would mean.
func etcdDocument(snap *cluster.Snapshot, without []string) (*report.EtcdReport, cli.ExitCode, error) {
	lease := time.Duration(snap.LeaseTTL * float64(time.Second))
	doc := report.NewEtcd(snap, lease)
	if len(without) > 0 {
		state := checks.EtcdVerdict(snap)
		loss, err := state.Without(snap, without...)
		if err != nil {
			return nil, 0, &cli.UsageError{Err: fmt.Errorf("--without: %w", err)}
		}
		doc.SetWithout(loss, lease)
	}
	return doc, etcdCode(doc), nil
}

// etcdCode is the exit code of a report: whether the quorum would bear the loss
// that was asked about comes first.
func etcdCode(doc *report.EtcdReport) cli.ExitCode {
	if doc.Without != nil && doc.Without.Quorum != "pass" {
		return map[string]cli.ExitCode{"fail": cli.ExitBad, "unknown": cli.ExitInconclusive}[doc.Without.Quorum]
	}
	return etcdCodes[doc.Verdict]
}

// etcdCodes maps the verdict of an EtcdReport to the exit code.
var etcdCodes = map[string]cli.ExitCode{
	"healthy": cli.ExitOK, "degraded": cli.ExitBad, "noQuorum": cli.ExitBad, "unknown": cli.ExitInconclusive,
}
