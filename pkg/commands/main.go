// Package commands is vipctl's command line: one file a command, and the
// factory that hands each what it needs.
package commands

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/report"
)

// Main runs the command line of this process and returns its exit code.
func Main() int {
	ctx, interrupts := catchInterrupts(context.Background())
	defer interrupts.stop()

	f := newFactory(cli.System(), interrupts)
	return int(f.execute(ctx, newRootCommand(f), os.Args[1:]))
}

// execute runs the command line args and tells of its failure in the house's
// form, so that stdout holds one JSON value even then.
func (f *Factory) execute(ctx context.Context, root *cobra.Command, args []string) cli.ExitCode {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return cli.ExitOK
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = &cli.CodeError{Code: cli.ExitInterrupted, Err: errors.New("interrupted")}
	}
	code := cli.CodeOf(err)
	var silent *cli.CodeError
	if errors.As(err, &silent) && silent.Err == nil {
		return code // the command has said all there was to say
	}
	_, printed := errors.AsType[*lateError](err) // stdout has its one value
	if format := wantedFormat(f.flags.Output, args); !printed && (format == report.JSON || format == report.YAML) {
		doc := report.NewError(err.Error(), cli.HintOf(err), int(code))
		_ = report.Write(f.Streams.Out, format, doc)
	}
	f.Streams.Report(err)
	return code
}

// wantedFormat is the output format that the command line asks for, also where
// it could not be parsed to its end.
func wantedFormat(parsed string, args []string) string {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i] // what follows is another command's
	}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.ParseErrorsAllowlist.UnknownFlags = true
	fs.SetOutput(io.Discard)
	format := fs.StringP("output", "o", parsed, "")
	_ = fs.Parse(args) // what it understood is enough
	return *format
}

// interrupts tells the first Ctrl-C from the second: the first cancels the
// context, the second closes abandon. A third ends the process at once.
type interrupts struct {
	abandon chan struct{}
	stop    func()
}

func catchInterrupts(parent context.Context) (context.Context, *interrupts) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	i := &interrupts{abandon: make(chan struct{})}
	i.stop = func() { signal.Stop(signals); cancel() }
	go func() {
		<-signals
		cancel()
		<-signals
		signal.Stop(signals)
		close(i.abandon)
	}()
	return ctx, i
}
