//go:build linux

// Command bench measures the lab against the figures that it must reach. Each
// subcommand measures one thing, prints it as a table or as JSON, and exits
// with 0 whatever the figures are.
package main

import (
	"context"
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
	"up": benchUp,
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == process.Command {
		os.Exit(lab.RunProcess(os.Args[2], os.Args[3:])) // this binary is the lab's, too
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	var bench func(context.Context, []string, io.Writer) error
	if len(os.Args) > 1 {
		bench = benches[os.Args[1]]
	}
	if bench == nil {
		fmt.Fprintln(os.Stderr, "usage: bench", strings.Join(slices.Sorted(maps.Keys(benches)), "|"), "[-h] [flags]")
		os.Exit(2)
	}
	if err := bench(ctx, os.Args[2:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
	}
}
