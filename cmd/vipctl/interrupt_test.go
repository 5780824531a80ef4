//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/chaos"
	"github.com/vipctl/vipctl/pkg/report"
)

// What an interrupted drill measured is held to the truth in TestDrillsInRounds.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	for _, tt := range []struct {
		name string
		test func(*testing.T, *testLab)
	}{
		{"before the fault changes nothing", testInterruptBefore},
		{"by kill -9 leaves the journal, and no lock", testKilled},
		{"twice after the fault leaves at once", testInterruptTwice}, // last, for it leaves a node off
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, lab.in(t)) })
	}
}

// journal reads the journal of the run.
func (r *run) journal() (events []chaos.Event) {
	r.t.Helper()
	for line := range strings.Lines(r.file("journal.ndjson")) {
		var e chaos.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			r.t.Fatalf("journal line %q: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}

// kinds are those of the events, in their order.
func kinds(events []chaos.Event) (list []chaos.Kind) {
	for _, e := range events {
		list = append(list, e.Kind)
	}
	return list
}

// saved is the report that the run left on the disk.
func (r *run) saved() (doc report.DrillReport) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.file("report.json")), &doc); err != nil {
		r.t.Fatal(err)
	}
	return doc
}

func testInterruptBefore(t *testing.T, lab *testLab) {
	lab.untouched(func() {
		r := lab.start("", append(patient, "--mode", "hard", "--baseline", "10m")...)
		r.until("baseline")
		r.signal(syscall.SIGINT)
		doc := lab.judge(130, r.end())
		if doc.Result != "interrupted" || r.saved().Result != "interrupted" || len(doc.Drills) != 1 || doc.Drills[0].FaultAt != nil {
			t.Errorf("%+v; want one drill, interrupted before the fault", doc)
		}
		if got := kinds(r.journal()); len(got) == 0 || slices.Contains(got, chaos.KindInjecting) {
			t.Errorf("the journal has %v; want events, and none of a fault", got)
		}
	})
}

func testInterruptOnce(t *testing.T, lab *testLab) {
	r := lab.start("", append(quick, "--mode", "graceful", "--rounds", "2")...)
	r.until("observing")
	r.signal(syscall.SIGINT)
	doc := lab.judge(130, r.end())
	if doc.Result != "interrupted" || len(doc.Drills) != 1 || doc.Drills[0].Result != "interrupted" || doc.Drills[0].Outage == nil {
		t.Fatalf("%+v; want the first of two drills, measured and interrupted", doc)
	}
	got := r.journal()
	if !slices.Contains(kinds(got), chaos.KindInterrupted) || got[len(got)-1].Phase != chaos.Whole {
		t.Errorf("the journal has %+v; want an interrupt, and whole at the end", got)
	}
	if owner, _, _ := lab.parts(); owner != doc.Drills[0].NewOwner {
		t.Errorf("owner %s; want %s", owner, doc.Drills[0].NewOwner)
	}
}

func testKilled(t *testing.T, lab *testLab) {
	state, pidFile := t.TempDir(), filepath.Join(t.TempDir(), "pid")
	line := "echo $$ >" + pidFile + "; exec vipctl " + strings.Join(append(patient, "--mode", "graceful"), " ")
	r := start(t, state, "lab", "exec", "--name", lab.name, "--", "sh", "-c", line)
	r.until("fault: reboot")
	if kill := lab.sh("kill -9 $(cat " + pidFile + ")"); kill.code != 0 {
		t.Fatal(kill)
	}
	if ended := r.end(); ended.code != 128+9 {
		t.Errorf("want the code of a killed command\n%s", ended)
	}
	got := kinds(r.journal())
	if !slices.Contains(got, chaos.KindInjecting) || slices.Contains(got, chaos.KindRecovered) {
		t.Errorf("the journal has %v; want the fault, and not its end", got)
	}
	// Whether the request was sent is a race; a guard that agrees shows that
	// the lock is free and the cluster is whole again.
	dry := slices.Concat(patient, []string{"--mode", "graceful", "--dry-run"})
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		again := lab.start(state, dry...).end()
		if strings.Contains(again.stderr, "another drill") {
			t.Fatalf("the lock outlives its holder\n%s", again)
		}
		if again.code == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no drill can follow after a minute\n%s", again)
		}
	}
}

func testInterruptTwice(t *testing.T, lab *testLab) {
	r := lab.start("", append(patient, "--mode", "hard")...)
	r.until("observing")
	r.signal(syscall.SIGINT)
	r.until("Ctrl-C again leaves at once")
	second := time.Now()
	r.signal(syscall.SIGINT)
	ended := r.end()
	if took := time.Since(second); took > 5*time.Second { // the lab is not whole for far longer
		t.Errorf("leaving at once took %v", took)
	}
	doc := lab.judge(5, ended)
	if doc.Result != "notWhole" || r.saved().Result != "notWhole" || len(doc.Drills) != 1 {
		t.Fatalf("%+v; want one drill, not whole", doc)
	}
	target := doc.Drills[0].Target
	for _, text := range []string{ended.stderr, doc.Drills[0].Hint} {
		if !strings.Contains(text, "see that "+target+" has power") {
			t.Errorf("%q does not say that %s has no power", text, target)
		}
	}
	var status struct {
		Nodes []struct{ Name, Power string }
	}
	vipctl(t, "lab", "status", "--name", lab.name, "-o", "json").decode(t, &status)
	for _, n := range status.Nodes {
		if want := map[bool]string{true: "off", false: "on"}[n.Name == target]; n.Power != want {
			t.Errorf("power of %s is %s; want %s", n.Name, n.Power, want)
		}
	}
}

// A signal reaches the command of "lab run" once, and the lab waits for what
// the command makes of it.
func TestLabRunPassesOneInterrupt(t *testing.T) {
	t.Parallel()
	seat(t)
	script := `n=0; trap 'n=$((n+1)); echo interrupted >&2' INT; trap 'exit $((40+n))' TERM; echo ready >&2; while :; do sleep 0.05; done`
	r := start(t, "", "lab", "run", "--", "sh", "-c", script)
	r.until("ready\n")
	r.signal(syscall.SIGINT)
	r.until("interrupted\n")
	r.signal(syscall.SIGTERM)
	if ended := r.end(); ended.code != 41 {
		t.Errorf("one interrupt and SIGTERM; want exit code 41\n%s", ended)
	}
}

// Nobody may ever write what --from is to read.
func TestInterruptOfASnapshotThatDoesNotCome(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "snapshot")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"owner", "etcd", "doctor"} {
		r := start(t, "", command, "--from", pipe, "-o", "json")
		writer := opened(t, pipe) // and says nothing
		r.signal(syscall.SIGINT)
		ended := r.end()
		_ = writer.Close()
		var doc struct {
			Kind, Error string
			ExitCode    int
		}
		ended.decode(t, &doc)
		if ended.code != 130 || doc.Kind != "Error" || doc.Error != "interrupted" || doc.ExitCode != 130 || ended.stderr != "error: interrupted\n" {
			t.Errorf("want it interrupted, exit code 130\n%s", ended)
		}
	}
}

// opened is the pipe, open for writing, once somebody reads it.
func opened(t *testing.T, pipe string) *os.File {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		file, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			return file
		}
		if !errors.Is(err, syscall.ENXIO) || time.Now().After(end) {
			t.Fatalf("nobody reads the pipe: %v", err)
		}
	}
}
