//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vipctl/vipctl/hack/procfs"
	"github.com/vipctl/vipctl/pkg/lab"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// What the lab must stay below on two cores.
const (
	goalOwned = 3.0   // seconds
	goalPSS   = 250.0 // MiB
	goalCPU   = 10.0  // % of a core
)

// start is one start of a lab.
type start struct {
	owned, whole float64 // seconds from the start
	pss          float64 // MiB
	cpu          float64 // % of a core
}

// benchUp starts labs one after the other.
func benchUp(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench up", flag.ContinueOnError)
	n := flags.Int("n", 10, "how many starts")
	nodes := flags.Int("control-planes", 3, "nodes")
	settle := flags.Duration("settle", 5*time.Second, "how long the last lab is left alone before its memory and CPU time are taken")
	idle := flags.Duration("idle", 20*time.Second, "over how long the CPU time of the last lab is taken")
	format := flags.String("o", "table", "table or json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *n < 1 || *idle <= 0 || *format != "table" && *format != "json" {
		return errors.New("-n and -idle must be above 0, and -o table or json")
	}
	r := report{Bench: fmt.Sprintf("up of %d control planes", *nodes), Machine: thisMachine()}
	spec := lab.Spec{Name: fmt.Sprintf("bench-%d", os.Getpid()), ControlPlanes: *nodes}.Default()
	var owned, whole []float64
	var resting start
	for i := range *n {
		rest := restless
		if i == *n-1 {
			rest = func() (start, error) { return atRest(ctx, *settle, *idle) }
		}
		s, err := startOnce(ctx, spec, rest)
		if err != nil {
			return fmt.Errorf("start %d: %w", i+1, err)
		}
		fmt.Fprintf(os.Stderr, "start %d: VIP held after %.2f s, all booted after %.2f s\n", i+1, s.owned, s.whole)
		owned, whole, resting = append(owned, s.owned), append(whole, s.whole), s
	}
	r.Figures = []figure{
		newFigure("start until the VIP is held", "s", goalOwned, owned...),
		newFigure("start until all nodes have booted", "s", 0, whole...),
		newFigure("memory of all processes (PSS)", "MiB", goalPSS, resting.pss),
		newFigure(fmt.Sprintf("idle CPU time over %v", *idle), "% of a core", goalCPU, resting.cpu),
	}
	return r.write(out, *format)
}

func restless() (start, error) { return start{}, nil }

// startOnce starts a lab, lets rest measure, and takes it down.
func startOnce(ctx context.Context, spec lab.Spec, rest func() (start, error)) (s start, err error) {
	begin := truth.Now()
	l, err := lab.Up(ctx, spec, lab.Options{Bound: true})
	if err != nil {
		return s, err
	}
	whole := (truth.Now() - begin).Seconds()
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	if s, err = rest(); err != nil {
		return s, err
	}
	s.whole = whole
	err = l.Events(ctx, false, func(e truth.Event) error {
		if e.Kind == truth.AddressAdded && s.owned == 0 {
			s.owned = (e.At - begin).Seconds()
		}
		return nil
	})
	if err == nil && s.owned == 0 {
		err = errors.New("the lab's log has nobody who took the VIP")
	}
	return s, err
}

// atRest measures the lab, which is all that runs below this process.
func atRest(ctx context.Context, settle, idle time.Duration) (s start, err error) {
	if err := sleep(ctx, settle); err != nil {
		return s, err
	}
	before, err := procfs.Below(os.Getpid())
	if err != nil {
		return s, err
	}
	from := truth.Now()
	if err := sleep(ctx, idle); err != nil {
		return s, err
	}
	after, err := procfs.Below(os.Getpid())
	if err != nil {
		return s, err
	}
	s.cpu = 100 * (procfs.CPU(after) - procfs.CPU(before)).Seconds() / (truth.Now() - from).Seconds()
	bytes, err := procfs.PSS(after)
	s.pss = float64(bytes) / (1 << 20)
	return s, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
