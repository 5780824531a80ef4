//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/report"
)

// quick are the flags that keep a drill short, and patient are those of one that
// measures nothing, and may run beside other labs: a busy machine is not to be
// taken for an unsteady service.
var (
	quick   = []string{"failover-test", "--yes", "-o", "json", "--baseline", "1s", "--settle", "2s"}
	patient = slices.Clip(append(quick, "--probe-timeout", "500ms"))
)

// run is a command that was started in a lab.
type run struct {
	t       *testing.T
	cmd     *exec.Cmd
	state   string // XDG_STATE_HOME
	tmp     string // TMPDIR
	stdout  bytes.Buffer
	mu      sync.Mutex // guards stderr and grown
	stderr  bytes.Buffer
	grown   chan struct{} // closed and replaced when stderr grows
	drained chan struct{}
}

// start starts "vipctl args..." with the state directory, or with one of its
// own if that is "".
func start(t *testing.T, state string, args ...string) *run {
	t.Helper()
	if state == "" {
		state = t.TempDir()
	}
	r := &run{t: t, cmd: command(t, args...), state: state, tmp: t.TempDir(), grown: make(chan struct{}), drained: make(chan struct{})}
	r.cmd.Env = append(r.cmd.Env, "XDG_STATE_HOME="+state, "TMPDIR="+r.tmp)
	r.cmd.Stdout = &r.stdout
	pipe, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.drained)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			r.mu.Lock()
			r.stderr.WriteString(lines.Text() + "\n")
			close(r.grown)
			r.grown = make(chan struct{})
			r.mu.Unlock()
		}
	}()
	return r
}

// start starts "vipctl args..." on the lab's workstation.
func (l *testLab) start(state string, args ...string) *run {
	l.t.Helper()
	return start(l.t, state, append([]string{"lab", "exec", "--name", l.name, "--", "vipctl"}, args...)...)
}

// until waits until stderr has the text.
func (r *run) until(text string) {
	r.t.Helper()
	limit := time.After(time.Minute)
	for {
		r.mu.Lock()
		said, grown := r.stderr.String(), r.grown
		r.mu.Unlock()
		if strings.Contains(said, text) {
			return
		}
		select {
		case <-grown:
		case <-r.drained:
			r.t.Fatalf("it ended and never said %q\n%s", text, r.end())
		case <-limit:
			r.t.Fatalf("a minute has passed and it has not said %q: %s", text, said)
		}
	}
}

func (r *run) signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// end waits for the end of the command.
func (r *run) end() result {
	<-r.drained
	_ = r.cmd.Wait() // its exit code says it all
	return result{args: r.cmd.Args[1:], stdout: r.stdout.String(), stderr: r.stderr.String(), code: r.cmd.ProcessState.ExitCode()}
}

// file reads a file of the only run that the state directory has seen.
func (r *run) file(name string) string {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.state, "vipctl", "runs", "*", name))
	if err != nil || len(paths) != 1 {
		r.t.Fatalf("%d files %s, %v; want one", len(paths), name, err)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

// events are the lab's true instants, in their order.
func (l *testLab) events() []event {
	l.t.Helper()
	r := vipctl(l.t, "lab", "events", "--name", l.name, "-o", "json")
	if r.code != 0 {
		l.t.Fatal(r)
	}
	var list []event
	for line := range strings.Lines(r.stdout) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			l.t.Fatalf("%q: %v", line, err)
		}
		list = append(list, e)
	}
	return list
}

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

// holdsToTruth compares each drill of a report in which a fault was sent, and
// that ended whole, with what truly happened: the outage from the true loss of
// the address to the new owner's first accepted connection must lie within the
// bounds of the headline.
func (l *testLab) holdsToTruth(doc report.DrillReport) {
	l.t.Helper()
	events := l.events()
	until := time.Duration(doc.Anchor.MonotonicNanoseconds) + doc.FinishedAt.Sub(doc.Anchor.Wall)
	for _, d := range slices.Backward(doc.Drills) {
		if d.FaultAt == nil || d.Result == "notWhole" {
			continue
		}
		fault := time.Duration(d.FaultAt.MonotonicNanoseconds)
		lost, back, by := trueOutage(events, d.Mode, d.OldOwner, doc.VIP, fault, until)
		until = fault
		if lost == 0 || back == 0 {
			l.t.Errorf("%s: the truth has no loss or no return (%v, %v) after the fault at %v: %v", d.Mode, lost, back, fault, events)
			continue
		}
		length := (back - lost).Seconds()
		l.t.Logf("%s (leader %v) %s -> %s: %s, truth %.4f s, predicted %.3g - %.3g s, lost %d, flapping %v", d.Mode, d.OwnerWasEtcdLeader,
			d.OldOwner, d.NewOwner, d.Outage, length, d.Predicted.LowerSeconds, d.Predicted.UpperSeconds, d.Outage.Lost, d.Outage.Flapping)
		if d.NewOwner != by || d.NewOwner == d.OldOwner {
			l.t.Errorf("%s: owner %q, then %q; in truth then %q", d.Mode, d.OldOwner, d.NewOwner, by)
		}
		if d.Outage.UpperSeconds == nil || d.Outage.Seconds == nil || length < d.Outage.LowerSeconds || length > *d.Outage.UpperSeconds {
			l.t.Errorf("%s: measured %s; the truth is %.6f s (%v to %v, fault %v), outside its bounds", d.Mode, d.Outage, length, lost, back, fault)
		}
		if length < d.Predicted.LowerSeconds || length > d.Predicted.UpperSeconds || d.Predicted.Basis == "" {
			l.t.Errorf("%s: predicted %+v; the truth is %.3f s", d.Mode, d.Predicted, length)
		}
		if want := 0.22; d.ResolutionSeconds != want {
			l.t.Errorf("resolution %v s; want %v, an interval and a timeout", d.ResolutionSeconds, want)
		}
	}
}

// trueOutage reads from the log when the owner lost the address, when the next
// to keep it answered first, and who that is. A node may answer before the log
// has its address: that is written down once the kernel has said that it is
// there, and by then others may have asked for it.
func trueOutage(events []event, mode, owner, vip string, fault, until time.Duration) (lost, back time.Duration, by string) {
	loss := addressRemoved
	if mode == "hard" {
		loss = linkCut
	}
	answers := map[string]time.Duration{} // the first of each node, since it last gave the address up
	for _, e := range events {
		about := strings.TrimSuffix(e.Detail, "/32") == vip
		switch {
		case e.At < fault || e.At >= until:
		case lost == 0 && e.Node == owner && e.Kind == loss:
			lost = e.At
		case lost == 0 || e.Node == owner || !about:
		case e.Kind == addressAdded: // the last one: who had it for an instant only was no owner
			by = e.Node
		case e.Kind == addressRemoved:
			delete(answers, e.Node)
		case e.Kind == answered || e.Kind == accepted:
			if _, had := answers[e.Node]; !had {
				answers[e.Node] = e.At
			}
		}
	}
	return lost, answers[by], by
}

func TestTrueOutage(t *testing.T) {
	const vip = "10.5.0.50"
	lost := event{At: 10, Node: "cp-2", Kind: addressRemoved, Detail: vip + "/32"}
	for _, tt := range []struct {
		name string
		log  []event
		back time.Duration
		by   string
	}{
		{"the next owner answers before its address is in the log", []event{lost,
			{14, "cp-1", answered, vip}, {15, "cp-1", accepted, vip}, {16, "cp-1", addressAdded, vip + "/32"}}, 14, "cp-1"},
		{"who gave it up again was no owner", []event{lost,
			{14, "cp-1", addressAdded, vip + "/32"}, {15, "cp-1", answered, vip}, {17, "cp-1", addressRemoved, vip + "/32"},
			{18, "cp-3", addressAdded, vip + "/32"}, {19, "cp-3", answered, vip}}, 19, "cp-3"},
		{"an answer before the loss is the old owner's time", []event{
			{9, "cp-1", answered, vip}, lost, {12, "cp-1", addressAdded, vip + "/32"}, {13, "cp-1", accepted, vip}}, 13, "cp-1"},
		{"nobody has it again", []event{lost}, 0, ""},
	} {
		if at, back, by := trueOutage(tt.log, "graceful", "cp-2", vip, 5, 100); at != lost.At || back != tt.back || by != tt.by {
			t.Errorf("%s: trueOutage = %v, %v, %q; want %v, %v, %q", tt.name, at, back, by, lost.At, tt.back, tt.by)
		}
	}
}

// untouched fails the test if, while f runs, a node of the lab is made to go
// down or a process ends.
func (l *testLab) untouched(f func()) {
	l.t.Helper()
	from := monotonic()
	f()
	for _, e := range l.events() {
		if e.At > from && slices.Contains([]string{sequenceStart, linkCut, powerOff, processKilled}, e.Kind) {
			l.t.Errorf("%s of %s (%s); want nothing touched", e.Kind, e.Node, e.Detail)
		}
	}
}

// answer is a verdict of vipctl owner, and when it was asked for and given.
type answer struct {
	from, to time.Duration
	verdict  string
	owners   []string
}

// ask asks for the owner again and again until done is closed.
func (l *testLab) ask(done <-chan struct{}) (answers []answer) {
	for {
		select {
		case <-done:
			return answers
		case <-time.After(100 * time.Millisecond):
		}
		from := monotonic()
		_, doc := l.owner("--timeout", "500ms")
		v := doc.VIPs[0]
		answers = append(answers, answer{from: from, to: monotonic(), verdict: v.Verdict, owners: v.Owners})
	}
}

// neverWrong holds verdicts to the truth: whoever is named held the address at
// some time while the question was asked, and nobody saw a split brain.
func (l *testLab) neverWrong(answers []answer) {
	l.t.Helper()
	events, seen := l.events(), map[string]int{}
	for _, a := range answers {
		seen[a.verdict]++
		switch a.verdict {
		case "owned":
			if len(a.owners) != 1 || !held(events, a.owners[0], a) {
				l.t.Errorf("owned by %v between %v and %v, who did not have it then: %v", a.owners, a.from, a.to, events)
			}
		case "unowned", "unknown":
		default:
			l.t.Errorf("verdict %s of %v between %v and %v; want owned, unowned or unknown", a.verdict, a.owners, a.from, a.to)
		}
	}
	l.t.Logf("verdicts while the drills ran: %v", seen)
	if seen["owned"] == 0 || seen["unowned"]+seen["unknown"] == 0 {
		l.t.Errorf("verdicts %v; want some of an owner and some of none", seen)
	}
}

// held says whether the node had the address at some time of the answer. It got
// it between its election and the line of the log that says so.
func held(events []event, node string, a answer) bool {
	has := false
	for _, e := range events {
		if e.Node != node {
			continue
		}
		if has && e.At >= a.from {
			return true
		}
		if e.At > a.to {
			return false
		}
		switch e.Kind {
		case elected, addressAdded:
			has = true
		case addressRemoved, linkCut, powerOff:
			has = false
		}
	}
	return has
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

func TestDrillIsRefused(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	for _, tt := range []struct {
		name string
		test func(*testing.T, *testLab)
	}{
		{"a dry run touches nothing", testDryRun},
		{"a power switch that refuses the password", testWrongPassword},
		{"one drill at a time", testSecondDrill},
		{"two holders of the VIP", testDrillOnSplitBrain},
		{"another node is off", testDrillWithoutQuorum}, // last, for it starts an election
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, lab.in(t)) })
	}
}

func testDryRun(t *testing.T, lab *testLab) {
	lab.untouched(func() {
		doc := lab.tries(0, "--mode", "hard", "--dry-run")
		if doc.Result != "pass" || len(doc.Drills) != 1 || doc.Drills[0].FaultAt != nil {
			t.Errorf("%+v; want one drill without a fault", doc)
		}
	})
}

func testWrongPassword(t *testing.T, lab *testLab) {
	password := write(t, "password", "wrong")
	edited := lab.sh(`sed 's|passwordFile: .*|passwordFile: ` + password + `|' "$VIPCTL_CONFIG"`)
	config := write(t, "config.yaml", edited.stdout)
	lab.untouched(func() {
		r := lab.on(append(patient, "--mode", "hard", "--config", config)...)
		doc := lab.judge(4, r)
		if doc.Result != "refused" || len(doc.Drills) != 1 || !strings.Contains(doc.Drills[0].Hint, "password") || !strings.Contains(r.stderr, "hint: check username and password") {
			t.Errorf("want it refused for its password\n%s", r)
		}
	})
}

func testSecondDrill(t *testing.T, lab *testLab) {
	state := t.TempDir()
	lab.untouched(func() {
		first := lab.start(state, append(patient, "--mode", "graceful", "--baseline", "10m")...)
		first.until("baseline")
		second := lab.start(state, append(patient, "--mode", "graceful")...).end()
		if second.code != 4 || !strings.Contains(second.stderr, "another drill is running") {
			t.Errorf("a second drill at the same time; want exit code 4\n%s", second)
		}
		first.signal(syscall.SIGINT)
		lab.judge(130, first.end())
		if third := lab.start(state, append(patient, "--mode", "graceful", "--dry-run")...).end(); third.code != 0 {
			t.Errorf("a drill after it; want exit code 0\n%s", third)
		}
	})
}

func testDrillOnSplitBrain(t *testing.T, lab *testLab) {
	owner, _, other := lab.parts()
	lab.fault("inject", "leftover-vip", other)
	defer func() { lab.fault("undo", "leftover-vip"); lab.untilWhole(owner) }()
	lab.untouched(func() {
		if doc := lab.tries(6, "--mode", "graceful"); doc.Result != "splitBrain" || len(doc.Drills) != 0 {
			t.Errorf("%+v; want no drill", doc)
		}
	})
}

func testDrillWithoutQuorum(t *testing.T, lab *testLab) {
	_, _, other := lab.parts()
	lab.fault("inject", "power-off", other)
	lab.untouched(func() {
		if doc := lab.tries(4, "--mode", "graceful"); doc.Result != "refused" || len(doc.Drills) != 0 {
			t.Errorf("%+v; want no drill", doc)
		}
	})
}
