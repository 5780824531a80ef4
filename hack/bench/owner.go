//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/lab"
)

// What a look at an owner must stay below.
const (
	goalRatio   = 1.5 // of a bare client's time
	goalOwner   = 150 // ms
	goalVersion = 30  // ms
)

// insideOwner is the hidden argument of the half that runs on the workstation.
const insideOwner = "-on-the-workstation"

// times are what the rounds took, in milliseconds, by what was timed.
type times map[string][]float64

// What is timed, in the order of a round.
const (
	timedBare    = "a bare client: a handshake and a List for each node"
	timedWitness = "the address witness"
	timedFacts   = "all facts of vipctl owner"
	timedOwner   = "vipctl owner, the process"
	timedVersion = "vipctl version, the process"
)

// benchOwner times a look at the owner, against a client that does no more than
// it must. Each round times all of them, so that what else runs on the machine
// bears on all.
func benchOwner(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench owner", flag.ContinueOnError)
	n := flags.Int("n", 30, "how many rounds")
	nodes := flags.Int("control-planes", 3, "nodes")
	binary := flags.String("vipctl", "", "the vipctl to time; built from this tree where none is named")
	format := flags.String("o", "table", "table or json")
	if len(args) > 0 && args[0] == insideOwner {
		return ownerRounds(ctx, args[1:], out)
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *n < 1 || *format != "table" && *format != "json" {
		return errors.New("-n must be above 0, and -o table or json")
	}
	if *binary == "" {
		dir, err := os.MkdirTemp("", "vipctl-bench-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		*binary = filepath.Join(dir, "vipctl")
		if text, err := exec.CommandContext(ctx, "go", "build", "-o", *binary, "github.com/vipctl/vipctl/cmd/vipctl").CombinedOutput(); err != nil {
			return fmt.Errorf("building vipctl: %w\n%s", err, text)
		}
	}
	seen, err := inLab(ctx, *nodes, strconv.Itoa(*n), *binary)
	if err != nil {
		return err
	}
	return ownerReport(*nodes, seen).write(out, *format)
}

func ownerReport(nodes int, seen times) report {
	r := report{Bench: fmt.Sprintf("owner of %d control planes", nodes), Machine: thisMachine()}
	for _, f := range []struct {
		what string
		goal float64
	}{{timedBare, 0}, {timedWitness, 0}, {timedFacts, 0}, {timedOwner, goalOwner}, {timedVersion, goalVersion}} {
		r.Figures = append(r.Figures, newFigure(f.what, "ms", f.goal, seen[f.what]...))
	}
	bare, witness, facts := r.Figures[0].Median, r.Figures[1].Median, r.Figures[2].Median
	r.Figures = append(r.Figures,
		newFigure("the address witness to the bare client, medians", "x", goalRatio, witness/bare),
		newFigure("all facts to the bare client, medians", "x", 0, facts/bare))
	return r
}

// inLab brings a lab up and runs the rounds on its workstation.
func inLab(ctx context.Context, nodes int, args ...string) (seen times, err error) {
	l, err := lab.Up(ctx, lab.Spec{Name: fmt.Sprintf("bench-%d", os.Getpid()), ControlPlanes: nodes}.Default(), lab.Options{Bound: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	in, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	text := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(in)
		text <- all
	}()
	code, err := l.Exec(ctx, lab.Command{
		Args: append([]string{self, "owner", insideOwner}, args...), Env: os.Environ(), Dir: "/",
		Stdin: os.Stdin, Stdout: w, Stderr: os.Stderr,
	})
	_ = w.Close()
	all := <-text
	switch {
	case err != nil:
		return nil, err
	case code != 0:
		return nil, fmt.Errorf("the rounds ended with %d", code)
	}
	return seen, json.Unmarshal(all, &seen)
}

// ownerRounds runs on the workstation: args are how many, and vipctl's path.
func ownerRounds(ctx context.Context, args []string, out io.Writer) error {
	var n int
	if _, err := fmt.Sscan(args[0], &n); err != nil {
		return err
	}
	look, err := newLooks(strings.Split(os.Getenv(lab.EnvNodes), ","))
	if err != nil {
		return err
	}
	round := []struct {
		what string
		do   func(context.Context) error
	}{
		{timedBare, look.bare}, {timedWitness, look.witness}, {timedFacts, look.facts},
		{timedOwner, command(args[1], "owner")}, {timedVersion, command(args[1], "version")},
	}
	seen := times{}
	for i := range n + 1 {
		for _, r := range round {
			begun := time.Now()
			if err := r.do(ctx); err != nil {
				return fmt.Errorf("%s: %w", r.what, err)
			}
			if i > 0 { // the first warms the caches up
				seen[r.what] = append(seen[r.what], time.Since(begun).Seconds()*1000)
			}
		}
	}
	return json.NewEncoder(out).Encode(seen)
}

func command(name string, args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		text, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		return nil
	}
}
