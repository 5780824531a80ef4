//go:build linux

// Command bench measures the lab, and vipctl on many clusters, against the
// figures that they must reach. Each
// subcommand measures one thing, prints it as a table or as JSON, and exits
// with 0 whatever the figures are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab"
	"github.com/vipctl/vipctl/pkg/lab/process"
)

// benches are the subcommands.
var benches = map[string]func(ctx context.Context, args []string, out io.Writer) error{
	"owner":       benchOwner,
	"up":          benchUp,
	"fleet":       benchFleet,
	"serve-fleet": serveFleet, // what fleet measures
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == process.Command {
		os.Exit(lab.RunProcess(os.Args[2], os.Args[3:])) // this binary is the lab's, too
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) (code int) {
	if len(args) == 0 || benches[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench", strings.Join(slices.Sorted(maps.Keys(benches)), "|"), "[-h] [flags]")
		return 2
	}
	if err := benches[args[0]](ctx, args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}
