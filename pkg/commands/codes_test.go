package commands

import (
	"testing"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/vip"
)

func TestOwnerCode(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kinds []vip.Ownership
		want  cli.ExitCode
	}{
		{"one owner", []vip.Ownership{vip.Owned}, cli.ExitOK},
		{"no owner", []vip.Ownership{vip.Unowned}, cli.ExitBad},
		{"a dispute", []vip.Ownership{vip.Disputed}, cli.ExitBad},
		{"two owners", []vip.Ownership{vip.SplitBrain}, cli.ExitSplitBrain},
		{"not known", []vip.Ownership{vip.Unknown}, cli.ExitInconclusive},
		{"the owner of one VIP is not known, and the other has one", []vip.Ownership{vip.Unknown, vip.Owned}, cli.ExitInconclusive},
		{"one has none, and of the other it is not known", []vip.Ownership{vip.Unowned, vip.Unknown}, cli.ExitInconclusive},
		{"one has two owners, and of the other it is not known", []vip.Ownership{vip.Unknown, vip.SplitBrain}, cli.ExitSplitBrain},
	} {
		var judged []report.Judged
		for _, kind := range tt.kinds {
			judged = append(judged, report.Judged{Verdict: vip.Verdict{Ownership: kind}})
		}
		if got := ownerCode(&cluster.Snapshot{}, judged); got != tt.want {
			t.Errorf("%s: ownerCode(%v) = %d; want %d", tt.name, tt.kinds, got, tt.want)
		}
	}
}

func TestEtcdCode(t *testing.T) {
	for _, tt := range []struct {
		name, verdict, without string
		want                   cli.ExitCode
	}{
		{"all well", "healthy", "", cli.ExitOK},
		{"something is wrong", "degraded", "", cli.ExitBad},
		{"no quorum", "noQuorum", "", cli.ExitBad},
		{"not known", "unknown", "", cli.ExitInconclusive},
		{"the loss is borne, and all is well", "healthy", "pass", cli.ExitOK},
		{"the loss is borne, and something is wrong", "degraded", "pass", cli.ExitBad},
		{"all is well, and the loss would cost the quorum", "healthy", "fail", cli.ExitBad},
		{"something is wrong, and it is not known whether the loss is borne", "degraded", "unknown", cli.ExitInconclusive},
	} {
		doc := &report.EtcdReport{Verdict: tt.verdict}
		if tt.without != "" {
			doc.Without = &report.EtcdWithout{Quorum: tt.without}
		}
		if got := etcdCode(doc); got != tt.want {
			t.Errorf("%s: etcdCode = %d; want %d", tt.name, got, tt.want)
		}
	}
}
