//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vipctl/vipctl/pkg/lab"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// soakOwner asks "vipctl owner" again and again in a healthy lab whose network
// is late and loses frames, and holds every answer to the lab's log.
func soakOwner(ctx context.Context, args []string) (code int) {
	flags := flag.NewFlagSet("soak owner", flag.ContinueOnError)
	runs := flags.Int("runs", 1000, "how often vipctl owner is run")
	beside := flags.Int("beside", 4, "how many run at once")
	delay := flags.Duration("delay", 20*time.Millisecond, "by how much each node's frames are late, both ways")
	loss := flags.Float64("loss", 2, "how many of a hundred of each node's frames are lost")
	program := flags.String("vipctl", "", "the vipctl to run (default: built from this tree)")
	if flags.Parse(args) != nil {
		return 2
	}
	if *runs < 1 || *beside < 1 || *delay < 0 || *loss < 0 || *loss > 100 {
		fmt.Fprintln(os.Stderr, "error: no runs, or a network that cannot be")
		return 2
	}
	if err := askOften(ctx, *program, *runs, *beside, *delay, *loss); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}

// askOften starts the lab, asks, and returns an error where an answer was wrong.
func askOften(ctx context.Context, program string, runs, beside int, delay time.Duration, loss float64) error {
	dir, err := os.MkdirTemp("", "vipctl-soak")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if program == "" {
		program = filepath.Join(dir, "vipctl")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/vipctl").CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	l, err := lab.Up(ctx, lab.Spec{Name: fmt.Sprintf("soak-owner-%d", os.Getpid())}.Default(), lab.Options{Bound: true})
	if err != nil {
		return err
	}
	defer func() { _ = l.Down(context.WithoutCancel(ctx)) }()
	if err := spoil(ctx, l, delay, loss); err != nil {
		return err
	}
	begin := time.Now()
	answers := ask(ctx, l, program, runs, beside)
	took := time.Since(begin)
	var holding []hold
	if err := l.Events(ctx, false, func(e truth.Event) error { holding = follow(holding, e); return nil }); err != nil {
		return err
	}
	t := weigh(answers, holding)
	fmt.Printf("%d runs at %v delay and %g %% loss, %d at once, in %v: %s\n", len(answers), delay, loss, beside, took.Round(time.Second), t)
	if len(answers) < runs || len(t.wrong) > 0 {
		return fmt.Errorf("%d of %d runs answered, %d of them wrongly", len(answers), runs, len(t.wrong))
	}
	return nil
}

// spoil makes the whole network late and lossy.
func spoil(ctx context.Context, l *lab.Lab, delay time.Duration, loss float64) error {
	st, err := l.Status(ctx)
	if err != nil {
		return err
	}
	for _, n := range st.Nodes {
		for _, r := range []lab.FaultRequest{
			{Fault: "delay", Node: n.Name, Args: map[string]string{"delay": delay.String()}},
			{Fault: "loss", Node: n.Name, Args: map[string]string{"percent": fmt.Sprint(loss)}},
		} {
			if err := l.Inject(ctx, r); err != nil {
				return fmt.Errorf("%s of %s: %w", r.Fault, r.Node, err)
			}
		}
	}
	return nil
}

// answer is what one run said.
type answer struct {
	from, to time.Duration // on the lab's clock
	code     int
	verdict  string
	owners   []string
	text     string // all of it
}

// ask runs vipctl so often on the lab's workstation, some at once. A run that
// could not be started gives no answer.
func ask(ctx context.Context, l *lab.Lab, program string, runs, beside int) (answers []answer) {
	var (
		mu   sync.Mutex // guards answers
		wg   sync.WaitGroup
		next = make(chan struct{})
	)
	for range beside {
		wg.Go(func() {
			for range next {
				a, err := askOnce(ctx, l, program)
				if err != nil {
					fmt.Fprintln(os.Stderr, "error:", err)
					continue
				}
				mu.Lock()
				answers = append(answers, a)
				mu.Unlock()
			}
		})
	}
	for i := 0; i < runs && ctx.Err() == nil; i++ {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
	return answers
}

func askOnce(ctx context.Context, l *lab.Lab, program string) (a answer, err error) {
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return a, err
	}
	defer func() { _ = nothing.Close() }()
	r, w, err := os.Pipe()
	if err != nil {
		return a, err
	}
	read := make(chan []byte)
	go func() {
		data, _ := io.ReadAll(r) // what came before an error is no JSON, and told of below
		_ = r.Close()
		read <- data
	}()
	a.from = truth.Now()
	a.code, err = l.Exec(ctx, lab.Command{
		Args: []string{program, "owner", "-o", "json"}, Env: os.Environ(), Dir: "/", Stdin: nothing, Stdout: w, Stderr: os.Stderr,
	})
	a.to = truth.Now()
	_ = w.Close()
	data := <-read
	if err != nil {
		return a, err
	}
	var doc struct {
		VIPs []struct {
			Verdict string
			Owners  []string
		}
	}
	a.text = string(data)
	if err := json.Unmarshal(data, &doc); err != nil || len(doc.VIPs) != 1 {
		a.verdict = "none"
		return a, nil
	}
	a.verdict, a.owners = doc.VIPs[0].Verdict, doc.VIPs[0].Owners
	return a, nil
}

// hold is a time in which a node had the VIP.
type hold struct {
	node     string
	from, to time.Duration // to is 0 while it lasts
}

// follow takes one event of the log into the list. The lab writes an addition
// down late, but after the election that it follows.
func follow(list []hold, e truth.Event) []hold {
	switch e.Kind {
	case truth.Elected:
		return append(list, hold{node: e.Node, from: e.At})
	case truth.AddressRemoved, truth.LinkCut, truth.PowerOff:
		for i := range list {
			if list[i].node == e.Node && list[i].to == 0 {
				list[i].to = e.At
			}
		}
	}
	return list
}

// toll counts the answers.
type toll struct {
	verdicts map[string]int
	wrong    []answer
	took     []time.Duration // in order
}

func (t toll) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v, %d wrong", t.verdicts, len(t.wrong))
	if n := len(t.took); n > 0 {
		fmt.Fprintf(&s, "; a run takes %d - %d ms, median %d ms", t.took[0].Milliseconds(), t.took[n-1].Milliseconds(), t.took[n/2].Milliseconds())
	}
	for _, a := range t.wrong {
		fmt.Fprintf(&s, "\nwrong: %s of %v, exit code %d:\n%s", a.verdict, a.owners, a.code, a.text)
	}
	return s.String()
}

// weigh holds the answers to the truth. The VIP is owned by one node all the
// time, or it moves because the lossy network cost a lease: whoever is named
// must have had it while the question was asked, and two owners or a dispute
// there never are. "unowned" is wrong where one node had it all the time;
// "unknown" never is: it says that something was not learned.
func weigh(answers []answer, holding []hold) toll {
	t := toll{verdicts: map[string]int{}}
	for _, a := range answers {
		t.verdicts[a.verdict]++
		t.took = append(t.took, a.to-a.from)
		if !right(a, holding) {
			t.wrong = append(t.wrong, a)
		}
	}
	slices.Sort(t.took)
	return t
}

func right(a answer, holding []hold) bool {
	during := func(h hold) bool { return h.from <= a.to && (h.to == 0 || h.to >= a.from) }
	all := func(h hold) bool { return h.from <= a.from && (h.to == 0 || h.to >= a.to) }
	switch a.verdict {
	case "owned":
		return a.code == 0 && len(a.owners) == 1 &&
			slices.ContainsFunc(holding, func(h hold) bool { return h.node == a.owners[0] && during(h) })
	case "unowned":
		return !slices.ContainsFunc(holding, all)
	case "unknown":
		return true
	default:
		return false
	}
}
