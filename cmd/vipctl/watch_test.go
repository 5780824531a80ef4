//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vipctl/vipctl/pkg/report"
)

// promptly is how long after the true instant most changes are printed. One that
// is found by asking every half second would not be. Any single one may meet a
// busy machine: it has soon.
const (
	promptly = 200 * time.Millisecond
	soon     = 2 * time.Second
)

// watchLine is a line of "vipctl owner --watch -o json".
type watchLine struct {
	report.OwnershipEvent
	at, read time.Duration // what it says, and when it was read, on CLOCK_MONOTONIC
	text     string
}

// ownerWatch is a watch that runs on the lab's workstation.
type ownerWatch struct {
	t      *testing.T
	cmd    *exec.Cmd
	schema *jsonschema.Schema

	mu     sync.Mutex // guards what follows
	lines  []watchLine
	grown  chan struct{} // closed and replaced when lines grows
	passed int           // lines that next has returned or gone past
	ended  chan struct{}
}

// watch starts "vipctl owner --watch -o json" on the workstation, with the role
// os:reader.
func (l *testLab) watch() *ownerWatch {
	l.t.Helper()
	return watchBy(l.t, command(l.t, "lab", "exec", "--name", l.name, "--", "sh", "-c", "exec vipctl owner --watch -o json --talosconfig $TALOSCONFIG-reader"))
}

// watchBy starts a command that is one, wherever.
func watchBy(t *testing.T, cmd *exec.Cmd) *ownerWatch {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../schemas/ownershipevent.json")
	if err != nil {
		t.Fatal(err)
	}
	w := &ownerWatch{t: t, schema: schema, grown: make(chan struct{}), ended: make(chan struct{}), cmd: cmd}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, wall := monotonic(), time.Now().Round(0) // what it says is not put later than it was
	go func() {
		defer close(w.ended)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			line := watchLine{read: monotonic(), text: lines.Text()}
			w.take(&line)
			line.at = start + line.At.Sub(wall)
			w.mu.Lock()
			w.lines = append(w.lines, line)
			close(w.grown)
			w.grown = make(chan struct{})
			w.mu.Unlock()
		}
	}()
	return w
}

// take reads a line and holds it to the schema.
func (w *ownerWatch) take(line *watchLine) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(line.text))
	if err == nil {
		err = w.schema.Validate(doc)
	}
	if err == nil {
		err = json.Unmarshal([]byte(line.text), &line.OwnershipEvent)
	}
	if err != nil {
		w.t.Errorf("line %q: %v", line.text, err)
	}
}

// next returns the next line that matches, and passes over those before it.
func (w *ownerWatch) next(what string, match func(watchLine) bool) watchLine {
	w.t.Helper()
	limit := time.After(time.Minute)
	for {
		w.mu.Lock()
		for w.passed < len(w.lines) {
			w.passed++
			if line := w.lines[w.passed-1]; match(line) {
				w.mu.Unlock()
				return line
			}
		}
		grown := w.grown
		w.mu.Unlock()
		select {
		case <-grown:
		case <-w.ended:
			w.t.Fatalf("the watch ended before %s: %s", what, w.all())
		case <-limit:
			w.t.Fatalf("a minute has passed before %s: %s", what, w.all())
		}
	}
}

func (w *ownerWatch) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out strings.Builder
	for _, line := range w.lines {
		out.WriteString("\n" + line.text)
	}
	return out.String()
}

// interrupt ends the watch as Ctrl-C does.
func (w *ownerWatch) interrupt() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
		w.t.Fatal(err)
	}
	<-w.ended
	_ = w.cmd.Wait() // its exit code says it all
	if code := w.cmd.ProcessState.ExitCode(); code != 130 {
		w.t.Errorf("an interrupted watch ends with exit code %d; want 130", code)
	}
}

func ownedBySomebodyElse(than string) func(watchLine) bool {
	return func(l watchLine) bool { return l.Verdict == "owned" && l.Owner != than }
}

func aboutNode(kind, node string) func(watchLine) bool {
	return func(l watchLine) bool { return l.Type == kind && l.Node == node }
}

// move is a node that gets the VIP, or loses it.
type move struct {
	gain     bool
	at, told time.Duration // when it was so, or was said to be so; when it was read
}

// moves are those that the lines tell, by node.
func (w *ownerWatch) moves(vip string) map[string][]move {
	w.mu.Lock()
	defer w.mu.Unlock()
	var before []string
	found := map[string][]move{}
	for _, line := range w.lines {
		if line.VIP != vip {
			continue
		}
		for _, node := range append(slices.Clone(before), line.Owners...) {
			had, has := slices.Contains(before, node), slices.Contains(line.Owners, node)
			if had != has && line.Type == report.EventChange {
				found[node] = append(found[node], move{has, line.at, line.read})
			}
		}
		before = line.Owners
	}
	return found
}

// trueMoves are those of the lab's log from an instant on.
func (l *testLab) trueMoves(vip string, from time.Duration) map[string][]move {
	found := map[string][]move{}
	for _, e := range l.events() {
		if e.At > from && e.Detail == vip+"/32" && (e.Kind == addressAdded || e.Kind == addressRemoved) {
			found[e.Node] = append(found[e.Node], move{gain: e.Kind == addressAdded, at: e.At})
		}
	}
	return found
}

func TestOwnerWatch(t *testing.T) {
	lab := newLabAlone(t, "--lease-ttl", "5s")
	owner, _, _ := lab.parts()
	w := lab.watch()
	head := start(t, "", "lab", "exec", "--name", lab.name, "--", "sh", "-c", "vipctl owner --watch -o json | head -n 1")
	look := w.next("the look", func(l watchLine) bool { return l.Type == report.EventLook })
	if look.Verdict != "owned" || look.Owner != owner || look.VIP != "10.5.0.50" || look.Ownership == nil {
		t.Fatalf("the look is %s; want 10.5.0.50 owned by %s", look.text, owner)
	}
	select {
	case <-head.drained:
	case <-time.After(time.Minute):
		t.Fatal("head has gone a minute ago, nothing changes, and the watch goes on; want its end")
	}
	if r := head.end(); r.code != 0 || r.stderr != "" || strings.Count(r.stdout, "\n") != 1 {
		t.Errorf("nobody reads on, and nothing changes; want a quiet end\n%s", r)
	}
	testMovesAreToldPromptly(t, lab, w, look)
	testPartitionIsAGap(t, lab, w)
	testFrozenOwner(t, lab, w)
	w.interrupt()
}

// Six graceful moves: every loss and every gain is printed soon after it truly
// happened, none is missed, and no other is told.
func testMovesAreToldPromptly(t *testing.T, lab *testLab, w *ownerWatch, look watchLine) {
	owner := look.Owner
	for range 6 {
		lab.fault("inject", "kubelet-stop", owner)
		next := w.next("the move from "+owner, ownedBySomebodyElse(owner))
		lab.fault("undo", "kubelet-stop")
		owner = next.Owner
	}
	told, truth := w.moves(look.VIP), lab.trueMoves(look.VIP, look.read)
	var late []time.Duration
	for node, list := range truth {
		if len(told[node]) != len(list) {
			t.Fatalf("%s: %+v was told; the truth is %+v: %s", node, told[node], list, w.all())
		}
		for i, m := range list {
			got := told[node][i]
			late = append(late, got.told-m.at)
			// A gain is written down once the kernel has said that it is there.
			if got.gain != m.gain || got.told-m.at > soon || got.told-m.at < -soon || got.at > got.told {
				t.Errorf("%s: move %d was told as %+v; the truth is %+v", node, i, got, m)
			}
		}
	}
	if len(late) != 12 {
		t.Fatalf("%d moves; want 6 losses and 6 gains", len(late))
	}
	slices.Sort(late)
	if median := late[len(late)/2]; median > promptly {
		t.Errorf("the median change was told after %v; want at most %v: %v", median, promptly, late)
	}
	t.Logf("read after the true instant: median %v, least %v, most %v", late[len(late)/2], late[0], late[len(late)-1])
	if strings.Contains(w.all(), `"splitBrain"`) {
		t.Errorf("a handover was told as a split brain: %s", w.all())
	}
}

// A node that cannot be reached is a gap, also for who begins to watch then, and
// no change of the verdict.
func testPartitionIsAGap(t *testing.T, lab *testLab, w *ownerWatch) {
	_, _, bystander := lab.parts()
	cut := monotonic()
	lab.fault("inject", "partition", bystander)
	gap := w.next("the gap", aboutNode(report.EventGap, bystander))
	if gap.Error == "" || gap.HeardAt == nil || gap.SinceSeconds == nil || *gap.SinceSeconds > 3 || gap.at < cut {
		t.Errorf("the gap is %s; want it since the partition", gap.text)
	}
	later := lab.watch()
	first := later.next("the gap from the beginning", aboutNode(report.EventGap, bystander))
	if first.HeardAt != nil || first.Error == "" {
		t.Errorf("the gap is %s; want none that was ever heard", first.text)
	}
	lab.fault("undo", "partition")
	for _, one := range []*ownerWatch{w, later} {
		seen := one.next(bystander+" to be seen again", func(l watchLine) bool { return l.Node == bystander || l.Type == report.EventChange })
		if seen.Type != report.EventSeen {
			t.Errorf("after the gap comes %s; want %s seen again, and no change", seen.text, bystander)
		}
	}
	later.interrupt()
}

// An owner that falls silent may still have the VIP; who takes it over is told
// promptly, and the former one when it is seen again.
func testFrozenOwner(t *testing.T, lab *testLab, w *ownerWatch) {
	owner, _, _ := lab.parts()
	from := monotonic()
	lab.fault("inject", "freeze", owner)
	w.next("the gap", aboutNode(report.EventGap, owner))
	unknown := w.next("the owner in doubt", func(l watchLine) bool { return l.Type == report.EventChange })
	if unknown.Verdict != "unknown" || unknown.PreviousOwner != owner || !strings.Contains(unknown.Reason, owner) {
		t.Errorf("the owner is in a gap: %s; want the verdict unknown", unknown.text)
	}
	next := w.next("another owner", ownedBySomebodyElse(owner))
	lab.fault("undo", "freeze")
	if seen := w.next("the former owner to be seen again", aboutNode(report.EventSeen, owner)); seen.SinceSeconds == nil || *seen.SinceSeconds < 1 {
		t.Errorf("%s; want it seen again after a while", seen.text)
	}
	truth := lab.trueMoves(next.VIP, from)[next.Owner]
	if len(truth) != 1 || (next.read-truth[0].at).Abs() > soon {
		t.Errorf("%s gained it at %+v, and that was read at %v: %s", next.Owner, truth, next.read, next.text)
	}
}
