package labcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/lab"
)

func newRun(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG...]",
		Short: "Bring a lab up, run a command in it, and take it down",
		Long: `Brings a lab up, runs the command on its workstation with TALOSCONFIG, KUBECONFIG
and VIPCTL_CONFIG set, takes the lab down and exits with the command's code.
A command named vipctl is this very binary.`,
		Example: `  vipctl lab run -- vipctl owner
  vipctl lab run --lease-ttl 5s -- vipctl failover-test --mode graceful,hard --yes`,
		Args: someCommand,
	}
	cmd.Flags().SetInterspersed(false) // what follows the command's name is the command's
	flags := addSpecFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		spec, err := flags.read(runName(cmd, *s.name))
		if err != nil {
			return err
		}
		return s.run(cmd.Context(), spec, flags.timeout, args)
	}
	return cmd
}

// runName is a name of this process's own where none was given: labs of
// several runs may live side by side.
func runName(cmd *cobra.Command, name string) string {
	if cmd.Flags().Changed("name") {
		return name
	}
	return fmt.Sprintf("run-%d", os.Getpid())
}

func (s *session) run(ctx context.Context, spec lab.Spec, timeout time.Duration, args []string) (err error) {
	signals, stop := catch()
	defer stop()
	var l *lab.Lab
	err = untilSignal(ctx, signals, func(ctx context.Context) (err error) {
		l, err = lab.Up(ctx, spec, lab.Options{Progress: s.progress, Timeout: timeout, Bound: true})
		return err
	})
	if l == nil {
		return err
	}
	// From here the command says what a signal means; the lab waits for it.
	ctx = context.WithoutCancel(ctx)
	defer func() {
		if down := l.Down(ctx); err == nil {
			err = down
		}
	}()
	if err != nil {
		return err
	}
	return s.exec(ctx, l, args, signals)
}

// catch has the signals sent that a command in the lab would get from its
// terminal, until stop.
func catch() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 8)
	signal.Notify(signals, caught...)
	return signals, func() { signal.Stop(signals) }
}

// untilSignal does f, and cancels it at the first signal. That one is an
// interrupt even where f was done already; whatever comes after f stays in
// signals, so that none is lost in between.
func untilSignal(ctx context.Context, signals <-chan os.Signal, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-signals:
			cancel()
		case <-done:
		}
	})
	err := f(ctx)
	close(done)
	watch.Wait()
	return interrupted(ctx, err)
}

// interrupted gives a lab that is not to come up any more the exit code of an
// interrupt: nothing was done, so everything is undone.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &cli.CodeError{Code: cli.ExitInterrupted, Err: errors.New("interrupted while the lab came up; nothing is left of it")}
	}
	return err
}

// caught are the signals that a command in the lab would get from its terminal.
var caught = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// workingDirectory is where this process is, and the root where that cannot be
// known: the directory was removed, or this user may not look into it.
func workingDirectory() string {
	dir, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return dir
}

// exec runs the command, passes the signals on to it, and gives its exit code
// as an error.
func (s *session) exec(ctx context.Context, l *lab.Lab, args []string, signals <-chan os.Signal) error {
	code, err := l.Exec(ctx, lab.Command{
		Args: args, Env: os.Environ(), Dir: workingDirectory(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals,
	})
	if err != nil {
		return err
	}
	return cli.Exit(cli.ExitCode(code))
}

func newExec(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARG...]",
		Short: "Run a command on the workstation of a running lab",
		Long: `Runs the command on the lab's workstation with TALOSCONFIG, KUBECONFIG and
VIPCTL_CONFIG set, and exits with its code. A command named vipctl is the binary
that the lab was started with.`,
		Example: `  vipctl lab exec -- vipctl owner
  vipctl lab exec -- sh -c 'echo "$VIPCTL_LAB_VIP of $VIPCTL_LAB_NODES"'`,
		Args: someCommand,
		RunE: func(cmd *cobra.Command, args []string) error {
			signals, stop := catch()
			defer stop()
			return s.exec(context.WithoutCancel(cmd.Context()), s.lab(), args, signals)
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows the command's name is the command's
	return cmd
}
