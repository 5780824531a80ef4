//go:build linux

package main

import (
	"slices"
	"testing"

	"github.com/vipctl/vipctl/pkg/report"
)

// quick are the flags that keep a drill short, and patient are those of one that
// measures nothing, and may run beside other labs: a busy machine is not to be
// taken for an unsteady service.
var (
	quick   = []string{"failover-test", "--yes", "-o", "json", "--baseline", "1s", "--settle", "2s"}
	patient = slices.Clip(append(quick, "--probe-timeout", "500ms"))
)

// drills runs failover-test and holds its report to the schema and the truth.
func (l *testLab) drills(code int, args ...string) report.DrillReport {
	l.t.Helper()
	return l.judge(code, l.on(slices.Concat(quick, args)...))
}

// tries is drills for a run in which no fault is to be sent.
func (l *testLab) tries(code int, args ...string) report.DrillReport {
	l.t.Helper()
	return l.judge(code, l.on(slices.Concat(patient, args)...))
}

// judge holds the report of a run to its schema, its exit code and the truth.
func (l *testLab) judge(code int, r result) report.DrillReport {
	l.t.Helper()
	r.keepsTo(l.t, "drillreport")
	var doc report.DrillReport
	r.decode(l.t, &doc)
	if r.code != code {
		l.t.Errorf("exit code %d; want %d\n%s", r.code, code, r)
	}
	l.holdsToTruth(doc)
	return doc
}

func TestDrillsMeasureTheTruth(t *testing.T) {
	lab := newLabAlone(t, "--lease-ttl", "5s")
	_, before := lab.owner()
	drilling := lab.start("", append(quick, "--mode", "graceful,hard")...)
	answers := lab.ask(drilling.drained)
	r := drilling.end()
	doc := lab.judge(0, r)
	if len(doc.Drills) != 2 || doc.Drills[0].Mode != "graceful" || doc.Drills[1].Mode != "hard" || doc.Result != "pass" {
		t.Fatalf("want a graceful and a hard drill, passed\n%s", r)
	}
	graceful, hard := doc.Drills[0], doc.Drills[1]
	if upper := graceful.Outage.UpperSeconds; upper == nil || *upper >= 0.5 {
		t.Errorf("graceful: %s; want under 0.5 s", graceful.Outage)
	}
	if s := hard.Outage.Seconds; s == nil || *s < 3 || *s > 13 {
		t.Errorf("hard: %s; want 3 to 13 s", hard.Outage)
	}
	lab.neverWrong(answers)
	_, after := lab.owner()
	if before.VIPs[0].Owner != graceful.OldOwner || graceful.NewOwner != hard.OldOwner || after.VIPs[0].Owner != hard.NewOwner {
		t.Errorf("owner before %s, after %s; the report has %s -> %s and %s -> %s", before.VIPs[0].Owner, after.VIPs[0].Owner,
			graceful.OldOwner, graceful.NewOwner, hard.OldOwner, hard.NewOwner)
	}
	if saved := drilling.file("report.json"); saved != r.stdout {
		t.Errorf("report.json differs from stdout:\n%s\n%s", saved, r.stdout)
	}
}

func TestDrillsInRounds(t *testing.T) {
	lab := newLabAlone(t, "--lease-ttl", "5s")
	doc := lab.drills(0, "--mode", "graceful", "--rounds", "3", "--max-outage", "1s")
	if len(doc.Drills) != 3 {
		t.Fatalf("%d drills; want 3", len(doc.Drills))
	}
	for i, d := range doc.Drills {
		if upper := d.Outage.UpperSeconds; d.Round != i+1 || d.ObjectiveSeconds != 1 || upper == nil || *upper >= 0.5 {
			t.Errorf("drill %d is round %d, objective %v s: %s; want its round, 1 s and under 0.5 s", i+1, d.Round, d.ObjectiveSeconds, d.Outage)
		}
	}
	doc = lab.drills(3, "--mode", "hard", "--max-outage", "hard=2s,graceful=1h")
	if len(doc.Drills) != 1 || doc.Drills[0].Result != "objectiveMissed" || doc.Result != "objectiveMissed" {
		t.Errorf("an objective of 2 s: %+v; want it missed", doc)
	}
	t.Run("an interrupt after the fault waits until all is whole", func(t *testing.T) { testInterruptOnce(t, lab.in(t)) })
}

// A forced reboot may bite late, and its node is away as long as by default.
func TestForcedReboot(t *testing.T) {
	lab := newLabAlone(t, "--lease-ttl", "5s", "--boot-time", "3s")
	doc := lab.drills(0, "--mode", "force", "--settle", "3s")
	if len(doc.Drills) != 1 || doc.Drills[0].Mode != "force" || doc.Result != "pass" {
		t.Errorf("%+v; want one forced reboot, passed", doc)
	}
}
