package commands

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/config"
	"github.com/vipctl/vipctl/pkg/kube"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
)

// atOnce is how many clusters are asked at once. It was measured (go run
// ./hack/bench fleet): 12, 32 and 48 take the same CPU time and 87, 100 and 113
// MiB; at 128 two busy processors are so late with the handshakes that nodes
// which answered count as silent. A cluster takes up to a dozen sockets, so that
// 32 stay far below 1,024 open files, the usual soft limit.
const atOnce = 32

// question asks one cluster.
type question[D any] func(context.Context, *Factory) (*D, cli.ExitCode, error)

// answer prints what ask says of the cluster, and ends with its exit code; of
// several contexts it prints the list of what ask says of each.
func answer[D, L any](ctx context.Context, f *Factory, list func([]report.Item[D]) *L, ask question[D]) error {
	format, err := f.format()
	if err != nil {
		return err
	}
	if f.flags.severalContexts() {
		items, code, err := askEach(ctx, f, ask)
		if err != nil {
			return err
		}
		if err := f.write(format, list(items)); err != nil {
			return err
		}
		return cli.Exit(code)
	}
	doc, code, err := ask(ctx, f)
	if doc == nil {
		return err
	}
	if err := f.write(format, doc); err != nil {
		return err
	}
	if err != nil { // it came too late for the document, as in keeping a snapshot
		return err
	}
	return cli.Exit(code)
}

// askEach asks the contexts that the flags name, several at once, and returns
// what came of each in their order, and the worst exit code. One that could not
// be asked counts as ExitFailed, which a bad verdict on another outweighs.
func askEach[D any](ctx context.Context, f *Factory, ask question[D]) ([]report.Item[D], cli.ExitCode, error) {
	names, open, err := f.contexts()
	if err != nil {
		return nil, 0, err
	}
	items, codes := make([]report.Item[D], len(names)), make([]cli.ExitCode, len(names))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, name := range names {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			doc, code, err := ask(ctx, open(name))
			if err != nil {
				code = cli.ExitFailed
				items[i].Failure = report.NewError(err.Error(), hintForOne(cli.HintOf(err)), int(cli.CodeOf(err)))
				items[i].Failure.Context = name
			} else {
				items[i].Document = doc
			}
			codes[i] = code
			return ctx.Err()
		})
	}
	err = group.Wait()
	return items, cli.Worst(codes...), err
}

// severalContexts says that a list was asked for.
func (g *flags) severalContexts() bool { return g.AllContexts || len(g.contexts()) > 1 }

// contexts are those that --context names, each once, in the order asked.
func (g *flags) contexts() []string {
	var names []string
	for _, name := range g.Contexts {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// one are the options of the only context.
func (g *flags) one() (talos.Options, error) {
	opts, names := g.Options, g.contexts()
	if len(names) > 1 {
		return opts, cli.WithHint(cli.Usagef("--context names %d contexts, and a drill disturbs one cluster", len(names)), "name one")
	}
	if len(names) == 1 {
		opts.Context = names[0]
	}
	return opts, nil
}

// contexts returns the names of the contexts to ask, and what hands a command
// what it needs for one of them. The talosconfig is read once. A name that it
// does not have is an error now, before anybody is asked.
func (f *Factory) contexts() (names []string, open func(name string) *Factory, err error) {
	file, err := talos.Open(f.flags.Talosconfig)
	if err != nil {
		return nil, nil, &cli.UsageError{Err: err}
	}
	if names = f.flags.contexts(); f.flags.AllContexts {
		names = file.Contexts()
	}
	for _, name := range names {
		if err := file.Check(name); err != nil {
			return nil, nil, &cli.UsageError{Err: err}
		}
	}
	cfg, err := f.Config()
	if err != nil {
		return nil, nil, err
	}
	alike := *cfg
	alike.VIPs = nil // they are one cluster's; each is asked for its own
	var stderr sync.Mutex
	return names, func(name string) *Factory { return f.of(name, file, &alike, &stderr) }, nil
}

// of returns a factory for one of several contexts: with its warnings named,
// and without a kubeconfig, which is one cluster's.
func (f *Factory) of(name string, file *talos.File, cfg *config.Config, stderr *sync.Mutex) *Factory {
	one, streams := *f, *f.Streams
	streams.Err = &named{mu: stderr, to: f.Streams.Err, name: name}
	one.Streams = &streams
	one.flags.Contexts, one.flags.AllContexts, one.flags.Context = nil, false, name
	one.Talosconfig = func() (*talos.Config, error) {
		cfg, err := file.Select(one.flags.Options)
		return cfg, configError(err)
	}
	one.Kube = func() (*kube.Client, error) { return kube.New(&kube.Config{}, one.flags.Timeout) }
	one.Config = func() (*config.Config, error) { return cfg, nil }
	return &one
}

// named writes each line with a name before it. A write is of whole lines.
type named struct {
	mu   *sync.Mutex // guards to
	to   io.Writer
	name string
}

// Write implements io.Writer.
func (n *named) Write(p []byte) (int, error) {
	var out bytes.Buffer
	for line := range bytes.Lines(p) {
		out.WriteString(n.name + ": ")
		out.Write(line)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.to.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ofOneCluster are the flags that make no sense for several.
var ofOneCluster = []string{"nodes", "endpoints", "cluster", "vip", "kubeconfig", "save", "from", "watch"}

// hintForOne adds to a hint which of the flags it names are refused while several
// contexts are asked.
func hintForOne(hint string) string {
	var named []string
	for _, name := range ofOneCluster {
		if strings.Contains(hint, "--"+name) {
			named = append(named, "--"+name)
		}
	}
	if len(named) == 0 {
		return hint
	}
	return hint + " (" + strings.Join(named, ", ") + " only with one --context)"
}

// checkContexts refuses flags that contradict each other on which clusters are
// meant.
func (f *Factory) checkContexts(cmd *cobra.Command) error {
	if f.flags.AllContexts && len(f.flags.Contexts) > 0 {
		return cli.WithHint(cli.Usagef("--all-contexts and --context exclude each other"), "--context may be repeated")
	}
	if !f.flags.severalContexts() {
		return nil
	}
	for _, name := range ofOneCluster {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			return cli.WithHint(cli.Usagef("--%s is for one cluster, and several contexts are asked", name), "name one with --context")
		}
	}
	return nil
}
