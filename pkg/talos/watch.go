package talos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	cosiclient "github.com/cosi-project/runtime/pkg/state/protobuf/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
)

// How a watch finds out that a node is gone, and back. A silent peer is found
// by asking it, for Talos's servers refuse HTTP/2 pings more often than every
// five minutes.
const (
	watchPulse    = 500 * time.Millisecond // between two questions
	watchPatience = time.Second            // for an answer, and for a connection
	watchRetryMin = 100 * time.Millisecond
	watchRetryMax = 500 * time.Millisecond
)

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
// ends. Calls of report come one at a time. After a loss it connects anew every
// 100 ms, later 500 ms, over connections of its own. It returns nil when ctx
// ends; an error means that the node is not known.
func (c *Client) WatchAddresses(ctx context.Context, node string, report func(AddressChange)) error {
	n := c.Node(node)
	if n.err != nil {
		return n.err
	}
	w := &addressWatch{client: c, name: node, target: n.member.target, report: report}
	pause := watchRetryMin
	for first := true; ctx.Err() == nil; first = false {
		before := w.seen
		lost := w.once(ctx)
		if ctx.Err() != nil {
			break
		}
		if first || w.seen != before { // one gap, however many attempts
			gap := AddressChange{At: time.Now(), Node: node, Gap: plain(lost, w.target, watchPatience)}
			if at := w.heard.Load(); at != nil {
				gap.Heard = *at
			}
			report(gap)
			pause = watchRetryMin
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, watchRetryMax)
	}
	return nil //nolint:nilerr // a loss was reported as a gap
}

// addressWatch is the state of one WatchAddresses.
type addressWatch struct {
	client *Client
	name   string
	target target
	report func(AddressChange)

	seen  int                       // lists reported
	heard atomic.Pointer[time.Time] // the last sign of life, nil where there was none
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
	connecting, connected := context.WithTimeout(ctx, watchPatience)
	err = l.ready(connecting)
	connected()
	if err != nil {
		return err
	}
	go w.pulse(ctx, l, lost)
	events := make(chan state.Event)
	adapter := cosiclient.NewAdapter(cosiv1alpha1.NewStateClient(l.api.Conn()), cosiclient.WithDisableWatchRetry())
	kind := resource.NewMetadata(network.NamespaceName, network.AddressStatusType, "", resource.VersionUndefined)
	if err := adapter.WatchKind(ctx, kind, events, state.WithBootstrapContents(true)); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return w.follow(ctx, events)
}

// follow turns events into lists until the stream ends or the node falls silent.
func (w *addressWatch) follow(ctx context.Context, events <-chan state.Event) error {
	present := map[resource.ID]netip.Prefix{}
	complete := false
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-events:
			changed, err := apply(present, e)
			if err != nil {
				return err
			}
			if e.Type == state.Bootstrapped {
				complete, changed = true, true
			}
			if !complete || !changed {
				continue
			}
			now := time.Now()
			w.heard.Store(&now)
			w.seen++
			w.report(AddressChange{At: now, Heard: now, Node: w.name, Present: sorted(present)})
		}
	}
}

// apply takes one event into the addresses present and says whether it changed
// them.
func apply(present map[resource.ID]netip.Prefix, e state.Event) (bool, error) {
	switch e.Type {
	case state.Created, state.Updated:
		r, ok := e.Resource.(*network.AddressStatus)
		if !ok {
			return false, fmt.Errorf("the watch brought a %T", e.Resource)
		}
		id, prefix := r.Metadata().ID(), r.TypedSpec().Address
		old, had := present[id]
		present[id] = prefix
		return !had || old != prefix, nil
	case state.Destroyed:
		if e.Resource == nil {
			return false, errors.New("the watch lost an address without a name")
		}
		_, had := present[e.Resource.Metadata().ID()]
		delete(present, e.Resource.Metadata().ID())
		return had, nil
	case state.Errored:
		return false, e.Error
	default: // bookmarks, and what a newer Talos may send
		return false, nil
	}
}

func sorted(present map[resource.ID]netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(present))
	for _, p := range present {
		out = append(out, p)
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// pulse asks the node for a sign of life again and again, until one is missed.
func (w *addressWatch) pulse(ctx context.Context, l *link, lost context.CancelCauseFunc) {
	for ctx.Err() == nil {
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, watchPatience)
		_, err := readHostname(call, l.api)
		cancel()
		if !answered(err) {
			lost(err)
			return
		}
		w.heard.Store(&asked)
		select {
		case <-ctx.Done():
		case <-time.After(watchPulse):
		}
	}
}
