//go:build linux

package node

import (
	"context"
	"sync"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
)

// operators runs the operator of each VIP while its link is up.
type operators struct {
	m *machine

	mu     sync.Mutex // guards what follows
	cancel context.CancelFunc
	done   chan struct{}
	runs   sync.Map // VIP's index -> context.CancelFunc of its running operator
}

// start starts them all.
func (o *operators) start() {
	o.mu.Lock()
	defer o.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel, o.done = cancel, make(chan struct{})
	done := o.done
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for vip := range o.m.cfg.VIPs {
			wg.Go(func() { o.keep(ctx, vip) })
		}
		wg.Wait()
	}()
}

// stop ends them all, and waits for it no longer than Talos does (10 s).
func (o *operators) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cancel == nil {
		return
	}
	o.cancel()
	select {
	case <-o.done:
	case <-time.After(killAfter):
		o.m.log.Printf("the VIP operators did not end in %v", killAfter)
	}
}

// restart stops every operator and starts it again when it has ended, as a
// change of the configuration does.
func (o *operators) restart() {
	o.runs.Range(func(_, cancel any) bool {
		cancel.(context.CancelFunc)() // nothing else is stored
		return true
	})
}

// keep runs one operator whenever the link is up. When the link goes down it
// waits for the operator to end, as long as that takes.
func (o *operators) keep(ctx context.Context, vip int) {
	link := o.m.cfg.VIPs[vip].Link
	for o.waitLink(ctx, link, true) {
		run, cancel := context.WithCancel(ctx)
		o.runs.Store(vip, cancel)
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer cancel()
			if err := o.m.parts.operator(run, vip); err != nil && ctx.Err() == nil {
				o.m.log.Printf("VIP operator of %v: %v", o.m.cfg.VIPs[vip].Addr, err)
			}
		}()
		o.waitLink(run, link, false)
		cancel()
		<-done
		if !pause(ctx, 10*time.Millisecond) {
			return
		}
	}
}

// waitLink waits until the link is up, or is not, and reports whether the
// context still lives.
func (o *operators) waitLink(ctx context.Context, link string, up bool) bool {
	_, err := o.m.state.WatchFor(ctx, network.NewLinkStatus(network.NamespaceName, link).Metadata(),
		state.WithCondition(func(r resource.Resource) (bool, error) { return linkUp(r) == up, nil }))
	return err == nil
}

// linkUp is Talos's RequireUp: the operational state is up or unknown.
func linkUp(r resource.Resource) bool {
	link, ok := r.(*network.LinkStatus)
	if !ok {
		return false // a tombstone
	}
	op := link.TypedSpec().OperationalState
	return op == nethelpers.OperStateUp || op == nethelpers.OperStateUnknown
}
