package commands

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
	"github.com/vipctl/vipctl/pkg/vip"
)

// ownerOptions are what a run of owner was asked for.
type ownerOptions struct {
	snapshotFlags
}

func newOwnerCommand(f *Factory, runF func(context.Context, *ownerOptions) error) *cobra.Command {
	opts := &ownerOptions{}
	cmd := &cobra.Command{
		Use:   "owner",
		Short: "Show which node has the VIP",
		Long: `owner asks every control-plane node whether it has the virtual IP, and says
whether the answers agree. A verdict rests on all of them, whatever --nodes
says: that only selects the rows shown by -o wide.

Other witnesses are asked at the same time, and may contradict: the certificate
that answers on port 6443 of the VIP, or where nobody does apid's on port 50000;
the hardware addresses that answer on the wire, where this machine is on the
segment and has CAP_NET_RAW; and this machine's neighbour table. What the cluster
shows to be wrong is a finding, with a hint. What could not be asked is no
finding, and shown apart.

Two holders, no holder and a dispute are looked at again after 2 s, for a handover
may look like any of them. Where nobody claims the VIP and a node is silent, the verdict
is unknown: the silent one may be the owner. Where no node tells anything, --vip
lets the others say who answers for it, which takes no rights in Talos.

With --save the snapshot is kept, and --from judges one that was kept, with no
cluster at hand. It holds no secret.

--election reads the queue for the VIP from the nodes' etcd, on port 2379: who is
next, what is left of each lease, and how long a crash of the owner would take
now. It needs the role os:admin, for it reads etcd's certificates from Talos. They
are never written, and nothing in etcd is changed.`,
		Example: `  vipctl owner
  vipctl owner -o wide
  vipctl owner -o json --vip 10.5.0.50
  vipctl owner --election
  vipctl owner --save snapshot.json
  vipctl owner --from snapshot.json -o wide
  vipctl owner --all-contexts`,
		GroupID: groupLook,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runOwner(cmd.Context(), f, opts)
		},
	}
	opts.bind(cmd)
	f.bindElection(cmd.Flags())
	return cmd
}

func runOwner(ctx context.Context, f *Factory, opts *ownerOptions) error {
	return answer(ctx, f, report.NewOwnershipList, func(ctx context.Context, f *Factory) (*report.Ownership, cli.ExitCode, error) {
		return ownerReport(ctx, f, opts)
	})
}

// ownerReport looks at one cluster.
func ownerReport(ctx context.Context, f *Factory, opts *ownerOptions) (*report.Ownership, cli.ExitCode, error) {
	seen, late := opts.source(ctx, f, func(ctx context.Context) (*survey, error) {
		return f.survey(ctx, ofOwnership, talos.Ownership)
	})
	if seen == nil {
		return nil, 0, late
	}
	f.warnOfEndpoints(seen.snap)
	f.warnOfSilence(seen.mute)
	judged, err := f.chosen(seen.judged)
	if err != nil {
		return nil, 0, err
	}
	doc := report.NewOwnership(seen.snap, judged...)
	doc.Nodes = shownNodes(doc.Nodes, seen.rows, seen.snap.Named, len(f.flags.Nodes) > 0)
	return doc, ownerCode(seen.snap, judged), late
}

// chosen are the VIPs that --vip names; all of them where it names none. A look
// has refused those that the cluster does not have, so what is missing is
// missing in a snapshot that was kept.
func (f *Factory) chosen(judged []report.Judged) ([]report.Judged, error) {
	asked, err := f.flags.vips()
	if err != nil || len(asked) == 0 {
		return judged, err
	}
	var have []string
	for _, j := range judged {
		have = append(have, j.VIP.String())
	}
	for _, addr := range asked {
		if !slices.Contains(have, addr.String()) {
			return nil, cli.WithHint(cli.Usagef("--vip: the snapshot has no VIP %s", addr), "it has: %s", joined(have))
		}
	}
	return slices.DeleteFunc(slices.Clone(judged), func(j report.Judged) bool { return !slices.Contains(asked, j.VIP) }), nil
}

// ownerCode maps verdicts to the exit code; the worst counts. A cluster
// without any VIP has no owner of one; but a node that does not say what it has
// configured may have one.
func ownerCode(snap *cluster.Snapshot, judged []report.Judged) cli.ExitCode {
	codes := map[vip.Ownership]cli.ExitCode{
		vip.Owned: cli.ExitOK, vip.Unowned: cli.ExitBad, vip.Disputed: cli.ExitBad,
		vip.SplitBrain: cli.ExitSplitBrain, vip.Unknown: cli.ExitInconclusive,
	}
	mute := func(n cluster.Node) bool { return !n.VIPs.Known() }
	switch {
	case len(judged) == 0 && slices.ContainsFunc(snap.Nodes, mute):
		return cli.ExitInconclusive
	case len(judged) == 0:
		return cli.ExitBad
	}
	all := make([]cli.ExitCode, 0, len(judged))
	for _, j := range judged {
		all = append(all, codes[j.Verdict.Ownership])
	}
	return cli.Worst(all...)
}

// shownNodes keeps the rows that the talosconfig's nodes or --nodes select, in
// the order asked by hand, else in their own, which a replay has too; all of them
// where nothing is selected. By hand, one that is no control-plane node is a row
// with an error; a talosconfig may list workers.
func shownNodes(rows []report.NodeOwnership, selected []string, named []cluster.Endpoint, byHand bool) []report.NodeOwnership {
	if len(selected) == 0 {
		return rows
	}
	shown := []report.NodeOwnership{}
	for _, name := range selected {
		before := len(shown)
		called := []string{name}
		for _, n := range named {
			if n.Name == name {
				called = append(called, texts(n.Addresses)...)
			}
		}
		for _, row := range rows {
			if name == row.Node || name == row.Hostname || slices.Contains(called, row.Address) {
				shown = append(shown, row)
			}
		}
		if len(shown) == before && byHand {
			shown = append(shown, report.NodeOwnership{
				Node: name, Holds: []string{}, Configured: []string{}, Error: "no control-plane node is called that",
			})
		}
	}
	if !byHand {
		at := func(n report.NodeOwnership) int {
			return slices.IndexFunc(rows, func(r report.NodeOwnership) bool { return r.Node == n.Node })
		}
		slices.SortStableFunc(shown, func(a, b report.NodeOwnership) int { return at(a) - at(b) })
	}
	return shown
}
