package labcmd

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/vipctl/vipctl/internal/cli"
)

func TestUntilSignal(t *testing.T) {
	failed := errors.New("failed")
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, row := range map[string]struct {
		before int // signals before f
		f      func(context.Context) error
		code   cli.ExitCode
		after  int // signals that are left
	}{
		"f is done before a signal comes":        {0, func(context.Context) error { return nil }, cli.ExitOK, 0},
		"f fails before a signal comes":          {0, func(context.Context) error { return failed }, cli.ExitFailed, 0},
		"a signal ends f":                        {1, wait, cli.ExitInterrupted, 0},
		"a signal comes as f is done":            {1, func(ctx context.Context) error { <-ctx.Done(); return nil }, cli.ExitInterrupted, 0},
		"a second signal stays for what is next": {2, wait, cli.ExitInterrupted, 1},
	} {
		t.Run(name, func(t *testing.T) {
			signals := make(chan os.Signal, 8)
			for range row.before {
				signals <- syscall.SIGINT
			}
			err := untilSignal(t.Context(), signals, row.f)
			if got := cli.CodeOf(err); got != row.code || len(signals) != row.after {
				t.Errorf("untilSignal = %v (exit %d) with %d signals left; want exit %d and %d", err, got, len(signals), row.code, row.after)
			}
		})
	}
}

// A signal that comes after f must not be swallowed: it is the command's.
func TestUntilSignalLeavesWhatComesAfter(t *testing.T) {
	signals := make(chan os.Signal, 8)
	if err := untilSignal(t.Context(), signals, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	signals <- syscall.SIGTERM
	if len(signals) != 1 {
		t.Error("untilSignal took a signal after it had returned; want it left to the command")
	}
}
