package talos

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	cosiclient "github.com/cosi-project/runtime/pkg/state/protobuf/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"google.golang.org/grpc/metadata"

	"github.com/vipctl/vipctl/pkg/vip"
)

// How a watch finds out that a node is gone, and back. A silent peer is found
// by asking it, for Talos's servers refuse HTTP/2 pings more often than every
// five minutes. It is asked for its addresses, so that a watch that stands still
// is found out as well.
const (
	watchPulse    = 500 * time.Millisecond // between two questions
	watchPatience = time.Second            // for an answer, and for a connection, of a node that is not known to be slow
	watchRetryMin = 100 * time.Millisecond
	watchRetryMax = 500 * time.Millisecond
	watchHinted   = 50 * time.Millisecond // between two questions, however many hints come
	watchSteady   = 2 * time.Second       // what a watch must last that is no reason to wait longer before the next
)

// watchConnecting is the patience for a connection, however slow the node: TCP
// repeats itself after 1, 3, 7 and 15 s to a node that is gone, so that a long
// attempt finds late that it is back.
const watchConnecting = 4 * time.Second

// AddressChange is what a watch learned of one node's addresses: a full list,
// or that it lost sight of them.
type AddressChange struct {
	// At is when it was learned here, not when it happened there: a change is
	// reported some ten milliseconds after the kernel made it. A gap begins
	// between Heard and At.
	At time.Time
	// Heard is when the node last gave a sign of life; zero where it never did.
	Heard time.Time
	// Node is the node as it was named to WatchAddresses.
	Node string
	// Present are all addresses of the node, in order; nil in a gap.
	Present []netip.Prefix
	// Gap is why the addresses are not known from now on, nil where they are.
	Gap error
}

// Holds says whether the address is among those present.
func (c AddressChange) Holds(addr netip.Addr) bool {
	return slices.ContainsFunc(c.Present, func(p netip.Prefix) bool { return p.Addr() == addr })
}

// WatchAddresses reports the addresses of a node when it starts, whenever they
// change, when they are lost from sight, and when they are seen again, until ctx
// ends. Calls of report come one at a time; one that takes longer than a second
// is a gap too, for what happened meanwhile is not known to be new. A node is lost
// that does not answer for a second, or, where it is slow, for three times as long
// as it took before, within the client's timeout; and one whose connection broke,
// while another host name than Collect last saw answers there. After a loss it
// connects anew after 100 ms, later every 500 ms, over connections of its own: also
// where a node answers and hangs up again and again. It returns nil when ctx ends;
// an error means that the node is not known.
func (c *Client) WatchAddresses(ctx context.Context, node string, report func(AddressChange)) error {
	return c.WatchAddressesVia(ctx, node, "", report)
}

// WatchAddressesVia is WatchAddresses through an endpoint that forwards, for a
// node that cannot be dialled from here (Via of a cluster.Node). The endpoint
// may be silent about a node that is back for 15 s more, and a gap may be the
// endpoint's. With "" the node is dialled.
func (c *Client) WatchAddressesVia(ctx context.Context, node, endpoint string, report func(AddressChange)) error {
	t, err := c.watched(node, endpoint)
	if err != nil {
		return err
	}
	w := &addressWatch{client: c, name: node, hostname: c.Node(node).member.hostname, target: t, report: report, patience: watchPatience}
	var wait retryWait
	for first := true; ctx.Err() == nil; first = false {
		before := w.seen
		begun := time.Now()
		err := w.once(ctx)
		if ctx.Err() != nil {
			break
		}
		lost := w.lost(err)
		if first || w.seen != before { // one gap, however many attempts
			report(AddressChange{At: time.Now(), Heard: w.heard, Node: node, Gap: lost})
		}
		stood := time.Duration(0)
		if w.seen != before {
			stood = time.Since(begun)
		}
		pause(ctx, wait.after(stood))
	}
	return nil //nolint:nilerr // a loss was reported as a gap
}

// retryWait is how long to wait before the next attempt. The zero value has seen
// none.
type retryWait time.Duration

// after is the wait after a watch that stood for so long, 0 where none came
// about. A watch that was soon lost is no reason to begin anew with short waits:
// a node that lists its addresses and hangs up would flap ten times a second.
func (b *retryWait) after(stood time.Duration) time.Duration {
	*b = min(2*max(*b, retryWait(watchRetryMin)/2), retryWait(watchRetryMax))
	if stood >= watchSteady {
		*b = retryWait(watchRetryMin)
	}
	return time.Duration(*b)
}

// watched is where a node is watched.
func (c *Client) watched(node, endpoint string) (target, error) {
	n := c.Node(node)
	if n.err != nil || endpoint == "" {
		return n.member.target, n.err
	}
	through := c.Node(endpoint)
	if through.err != nil {
		return target{}, through.err
	}
	t := through.member.target
	t.node = cmp.Or(n.member.target.node, n.member.target.addr.Addr().String())
	return t, nil
}

// addressWatch is the state of one WatchAddresses.
type addressWatch struct {
	client   *Client
	name     string
	hostname string // "" where it is not known
	target   target
	report   func(AddressChange)

	seen     int           // lists reported
	heard    time.Time     // the last sign of life, zero where there was none
	patience time.Duration // for the node at the next attempt
}

// once watches over one connection until that breaks.
func (w *addressWatch) once(ctx context.Context) error {
	l, err := w.client.dial(w.target.wire())
	if err != nil {
		return err
	}
	ctx, lost := context.WithCancelCause(nodeContext(ctx, w.target))
	defer func() {
		lost(nil)
		_ = l.close()
	}()
	patience := min(w.patience, watchConnecting)
	connecting, connected := context.WithTimeout(ctx, patience)
	if err = l.ready(connecting); err == nil {
		err = w.recognize(connecting, l)
	}
	connected()
	if err != nil {
		return &loss{err, patience}
	}
	hints, asked := make(chan struct{}, 1), make(chan asking)
	go w.ask(ctx, l, w.patience, hints, asked, lost)
	go followEvents(ctx, l, hints)
	events := make(chan state.Event)
	adapter := cosiclient.NewAdapter(cosiv1alpha1.NewStateClient(l.api.Conn()), cosiclient.WithDisableWatchRetry())
	kind := resource.NewMetadata(network.NamespaceName, network.AddressStatusType, "", resource.VersionUndefined)
	late := time.AfterFunc(w.patience, func() { lost(context.DeadlineExceeded) }) // it waits for the stream's head
	err = adapter.WatchKind(l.toCluster(ctx), kind, events, state.WithBootstrapContents(true))
	late.Stop()
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return w.follow(ctx, events, asked)
}

// recognize asks a node that was known before for its name: another machine may
// have its address by now, the VIP among its own. One that does not say is taken
// for the one that it was.
func (w *addressWatch) recognize(ctx context.Context, l *link) error {
	if w.hostname == "" {
		return nil
	}
	switch name, err := readHostname(ctx, l.api); {
	case !answered(err):
		return err
	case err == nil && name != w.hostname:
		return fmt.Errorf("%w: it is called %s, not %s", errOtherMachine, name, w.hostname)
	}
	return nil
}

// toCluster names the cluster to a proxy, as the client library does of every call
// but those over its bare connection (machinery v1.13.9 client/
// grpc_connection_wrapper.go).
func (l *link) toCluster(ctx context.Context) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx, "runtime", "Talos")
	if name := l.api.GetClusterName(); name != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "context", name)
	}
	return ctx
}

// follow turns what the watch brings, and what the node answers, into lists
// until the stream ends or the node falls silent.
func (w *addressWatch) follow(ctx context.Context, events <-chan state.Event, asked <-chan asking) error {
	known := newSightings()
	begun := time.Now()
	complete, late := false, time.After(w.patience) // for the list that it begins with
	for {
		var changed bool
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late:
			return context.DeadlineExceeded
		case a := <-asked:
			if a.begin { // the next answer is weighed against what comes from here on
				known.asked()
				continue
			}
			w.alive(a.begun)
			changed = complete && a.whole && known.answered(a.list)
		case e := <-events:
			var err error
			if changed, err = known.apply(e); err != nil {
				return cmp.Or(context.Cause(ctx), err)
			}
			if e.Type == state.Bootstrapped {
				complete, changed, late = true, true, nil
				w.patience = w.client.patience(time.Since(begun))
			}
		}
		if known.tooMany() {
			return errTooMany
		}
		if !complete || !changed {
			continue
		}
		now := time.Now()
		w.alive(now)
		w.seen++
		w.report(AddressChange{At: now, Heard: now, Node: w.name, Present: known.prefixes()})
		if held := time.Since(now); held > watchPatience {
			return fmt.Errorf("what it told was not taken for %s", vip.Waited(held))
		}
	}
}

// alive takes note of a sign of life. That of an answer is as old as the question,
// for the answer may have been long on its way.
func (w *addressWatch) alive(at time.Time) {
	if at.After(w.heard) {
		w.heard = at
	}
}

// asking is a question for the addresses that begins, or its answer.
type asking struct {
	begin bool
	begun time.Time // when the question was put
	whole bool      // list is the answer; else the node said something else
	list  []*network.AddressStatus
}

// ask asks the node for its addresses again and again, at once when there is a
// hint that they changed, until no answer comes in time. A list that takes long
// is asked for half of the time at most.
func (w *addressWatch) ask(ctx context.Context, l *link, patience time.Duration, hints <-chan struct{}, asked chan<- asking, lost context.CancelCauseFunc) {
	tell := func(a asking) {
		select {
		case asked <- a:
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		tell(asking{begin: true})
		begun := time.Now()
		call, cancel := context.WithTimeout(ctx, patience)
		found, err := list[*network.AddressStatus](call, l.api, network.NamespaceName, network.AddressStatusType)
		cancel()
		if !answered(err) {
			lost(&loss{err, patience})
			return
		}
		took := time.Since(begun)
		patience = w.client.patience(took)
		tell(asking{begun: begun, whole: err == nil, list: found})
		select {
		case <-ctx.Done():
		case <-hints:
			pause(ctx, max(watchHinted, 2*took)-time.Since(begun))
		case <-time.After(max(watchPulse, took)):
		}
	}
}

// pause waits unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
