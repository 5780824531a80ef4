package commands

import (
	"errors"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/chaos"
	"github.com/vipctl/vipctl/pkg/config"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/vip"
)

// The document of a drill says what was aimed at, and how the owner stood before.
func TestDocumentOfADrill(t *testing.T) {
	r := &failoverRun{
		cfg: &config.Config{}, doc: &report.DrillReport{},
		opts: &failoverOptions{Interval: 100 * time.Millisecond, Timeout: 400 * time.Millisecond, Objectives: map[string]time.Duration{modeHard: time.Minute}},
	}
	out := chaos.Outcome{Mode: modeHard, Round: 2, Target: "cp-1", Result: chaos.ResultPass}
	doc := r.document(out, vip.OwnerLeads)
	if doc.Mode != modeHard || doc.Round != 2 || doc.Target != "cp-1" || doc.OldOwner != "cp-1" || !doc.OwnerWasEtcdLeader {
		t.Errorf("document(%+v) = %+v; want the second round of hard on cp-1, which led etcd", out, doc)
	}
	if doc.ResolutionSeconds != 0.5 || doc.ObjectiveSeconds != 60 || doc.Predicted != r.predict(modeHard, vip.OwnerLeads) {
		t.Errorf("document(%+v) = %+v; want a resolution of 0.5 s, an objective of 60 s, and a leader's crash", out, doc)
	}
	if doc.FaultAt != nil || doc.Error != "" {
		t.Errorf("document(%+v) has a fault at %v, and the error %q; want neither", out, doc.FaultAt, doc.Error)
	}
	out.FaultAt, out.Err = 3*time.Second, errors.New("no power")
	if doc := r.document(out, vip.OwnerFollows); doc.OwnerWasEtcdLeader || doc.FaultAt == nil || doc.FaultAt.RunSeconds != 3 || doc.Error != "no power" {
		t.Errorf("document(%+v) = %+v; want a follower, a fault at 3 s, and the error", out, doc)
	}
}
