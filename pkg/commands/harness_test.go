package commands

import (
	"bytes"
	"testing"

	"github.com/vipctl/vipctl/internal/cli"
)

// harness runs command lines in this process, with buffers for streams and no
// terminal.
type harness struct {
	t        *testing.T
	f        *Factory
	out, err *bytes.Buffer
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	streams := &cli.Streams{In: &bytes.Buffer{}, Out: h.out, Err: h.err}
	h.f = newFactory(streams, &interrupts{abandon: make(chan struct{}), stop: func() {}})
	return h
}

// run executes "vipctl args..." and returns its exit code.
func (h *harness) run(args ...string) cli.ExitCode {
	h.t.Helper()
	return h.f.execute(h.t.Context(), newRootCommand(h.f), args)
}
