//go:build linux

package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
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
