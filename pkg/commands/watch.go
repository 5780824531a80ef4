package commands

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
)

// How often a watch looks for nodes that have come or gone, and how often while
// one is not seen, for it may have another address by now, or while a VIP has no
// owner that is known, for it may be one who came.
const (
	searchEvery     = 30 * time.Second
	searchInTrouble = 5 * time.Second
)

// watchable gives the command that shows owners a flag to go on.
func (f *Factory) watchable(cmd *cobra.Command) *cobra.Command {
	cmd.Long += `

With --watch it goes on, and prints a line whenever the verdict changes, a node
is not seen any more (a gap) or is seen again. These verdicts rest on the nodes'
own addresses, which Talos pushes; the first look, on every witness. Two holders
are disputed at once, and a split brain after two seconds. Ctrl-C ends it, with
exit code 130. -o json is one JSON value a line.`
	cmd.Example += `
  vipctl owner --watch
  vipctl owner --watch -o json | jq -c 'select(.type == "change")'`
	watch := cmd.Flags().BoolP("watch", "w", false, "after the first look, print every change as it comes")
	once := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*watch {
			return once(cmd, args)
		}
		for _, name := range []string{"from", "save", "all-contexts"} {
			if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
				return cli.WithHint(cli.Usagef("--watch cannot go with --%s", name), "a watch is about one cluster, from now on")
			}
		}
		if f.flags.Election {
			return cli.WithHint(cli.Usagef("--watch cannot go with --election"), "a watch follows what the nodes push, and etcd is asked; run vipctl owner --election beside it")
		}
		return f.watch(cmd.Context())
	}
	return cmd
}

// watch looks once, and prints what changes until ctx ends.
func (f *Factory) watch(ctx context.Context) error {
	format, err := f.format()
	if err != nil {
		return err
	}
	reading, end := whileRead(ctx, f.Streams.Abandoned)
	defer end()
	err = f.watchOwner(reading, format)
	switch {
	case ctx.Err() != nil:
		return cli.Exit(cli.ExitInterrupted) // the way to end it: nothing to be said
	case errors.Is(err, syscall.EPIPE), reading.Err() != nil && errors.Is(err, context.Canceled):
		return nil // whoever read has had enough
	case err == nil || format == report.Table || format == report.Wide:
		return err
	}
	f.Streams.Report(err)
	code := cli.CodeOf(err)
	_ = report.Style{}.WriteLine(f.Streams.Out, format, report.NewError(err.Error(), cli.HintOf(err), int(code)))
	return cli.Exit(code)
}

// whileRead is a context that ends when nobody reads any more, seen within a
// second: a quiet cluster may have nothing to write for days.
func whileRead(ctx context.Context, abandoned func() bool) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for !abandoned() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		end()
	}()
	return ctx, end
}

func (f *Factory) watchOwner(ctx context.Context, format string) error {
	settings, err := f.Config()
	if err != nil {
		return err
	}
	cfg, err := f.Talosconfig()
	if err != nil {
		return err
	}
	client, err := talos.New(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	look := *f
	look.nodes = client // it knows by their names then whom to watch
	doc, _, err := ownerReport(ctx, &look, &ownerOptions{})
	if err != nil {
		return err
	}
	w := &ownerWatch{
		client: client, known: newWatching(doc, time.Duration(settings.LeaseTTL)),
		changes: make(chan nodeChange), snaps: make(chan *cluster.Snapshot),
	}
	w.known.closed = len(f.flags.VIPs) > 0
	w.print = func(events ...report.OwnershipEvent) error {
		for _, e := range events {
			e.Context = doc.Context
			if err := f.style().WriteLine(f.Streams.Out, format, e); err != nil {
				return err
			}
		}
		return nil
	}
	err = unlessEnded(ctx, func() error {
		if format == report.Table || format == report.Wide {
			return f.write(format, doc)
		}
		return w.print(report.NewLook(doc)...)
	})
	if err != nil {
		return err
	}
	return w.run(ctx)
}

// watchedNodes are those of a cluster: a talos.Client.
type watchedNodes interface {
	Collect(context.Context, talos.CollectOptions) (*cluster.Snapshot, error)
	WatchAddressesVia(ctx context.Context, node, endpoint string, report func(talos.AddressChange)) error
}

// ownerWatch joins the watches of all nodes.
type ownerWatch struct {
	client watchedNodes
	known  *watching
	print  func(...report.OwnershipEvent) error

	changes chan nodeChange
	snaps   chan *cluster.Snapshot
	wg      sync.WaitGroup
}

// nodeChange is what the watch of a node told.
type nodeChange struct {
	node *watchedNode
	talos.AddressChange
	over  bool            // the watch has ended
	watch context.Context // of the watch that told it
}

// run prints events until ctx ends, or nobody reads them. Those that the look has
// found are watched at once: a search lasts for as long as its slowest node.
func (w *ownerWatch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer w.wg.Wait()
	defer cancel()
	w.follow(ctx)
	w.search(ctx)
	first, next := true, time.Time{}
	for {
		var events []report.OwnershipEvent
		wake := time.NewTimer(time.Until(earliest(next, w.known.due())))
		select {
		case <-ctx.Done():
			wake.Stop()
			return nil
		case c := <-w.changes:
			events = w.take(c)
		case snap := <-w.snaps:
			events = append(w.waiting(), w.known.found(time.Now(), snap, first)...)
			first, next = false, time.Now().Add(searchEvery)
			w.follow(ctx)
		case <-wake.C:
			events = append(w.waiting(), w.known.wait(time.Now())...)
			if !next.IsZero() && !time.Now().Before(next) {
				next = time.Time{} // until the answer
				w.search(ctx)
			}
		}
		wake.Stop()
		if soon := time.Now().Add(searchInTrouble); w.known.troubled() && next.After(soon) {
			next = soon
		}
		if err := unlessEnded(ctx, func() error { return w.print(events...) }); err != nil {
			return err
		}
	}
}

func (w *ownerWatch) take(c nodeChange) []report.OwnershipEvent {
	if c.watch.Err() != nil {
		return nil // it was let go meanwhile; another may have told newer things
	}
	if c.over {
		c.node.stop() // the next search begins another
	}
	return w.known.heard(c.node, c.AddressChange)
}

// waiting takes what the nodes' watches have told while something else was
// printed: it is older than now, and decides what is so now.
func (w *ownerWatch) waiting() (events []report.OwnershipEvent) {
	for range w.known.nodes { // each has one at most
		select {
		case c := <-w.changes:
			events = append(events, w.take(c)...)
		default:
			return events
		}
	}
	return events
}

// unlessEnded is what write returns, or nil once ctx has ended: a pipe that nobody
// reads must not keep a watch from its end. The write is left to itself then.
func unlessEnded(ctx context.Context, write func() error) error {
	written := make(chan error, 1)
	go func() { written <- write() }()
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return nil
	}
}

// earliest is the first of the times that are given, and an hour from now where
// none is.
func earliest(times ...time.Time) time.Time {
	times = slices.DeleteFunc(times, time.Time.IsZero)
	if len(times) == 0 {
		return time.Now().Add(time.Hour)
	}
	return slices.MinFunc(times, time.Time.Compare)
}

// search looks for the nodes that there are. Where nobody answers, those that
// should be there are watched nevertheless.
func (w *ownerWatch) search(ctx context.Context) {
	vips := slices.Clone(w.known.vips)
	w.wg.Go(func() {
		snap, err := w.client.Collect(ctx, talos.CollectOptions{Facts: talos.Ownership, VIPs: vips})
		if snap == nil && err != nil {
			snap = &cluster.Snapshot{}
		}
		select {
		case w.snaps <- snap:
		case <-ctx.Done():
		}
	})
}

// follow watches every node that is not watched yet.
func (w *ownerWatch) follow(ctx context.Context) {
	for _, n := range w.known.nodes {
		if n.end != nil {
			continue
		}
		name, via := n.called, n.via
		one, cancel := context.WithCancel(ctx)
		n.end = cancel
		w.wg.Go(func() {
			err := w.client.WatchAddressesVia(one, name, via, func(c talos.AddressChange) { w.tell(nodeChange{n, c, false, one}) })
			if err != nil { // the last search did not find it
				w.tell(nodeChange{n, talos.AddressChange{At: time.Now(), Gap: err}, true, one})
			}
		})
	}
}

// tell passes on what a watch told, until that is let go.
func (w *ownerWatch) tell(c nodeChange) {
	select {
	case w.changes <- c:
	case <-c.watch.Done():
	}
}
