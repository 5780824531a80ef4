//go:build linux

package node

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
)

// gate is the node's say in a campaign, out of its resources as Talos's VIP
// operator reads them (v1.13.9 internal/app/machined/pkg/controllers/network/operator/vip.go).
type gate struct {
	state     state.State
	finalizer resource.Finalizer // vip/<link>: two VIPs on a link share it, as on Talos

	// What follows is new with each Enter; one operator calls in turn.
	unwatch context.CancelFunc
	waiting chan struct{} // closed at a candidate's first reason to give up
	lost    chan struct{} // closed at an owner's
	owner   atomic.Bool   // since Lost was called
}

func lifecycle() resource.Pointer {
	return k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID).Metadata()
}

// Enter waits until etcd is running and healthy and the kubelet's lifecycle
// runs, and holds on to the latter.
func (g *gate) Enter(ctx context.Context) error {
	for {
		if _, err := g.state.WatchFor(ctx, v1alpha1.NewService("etcd").Metadata(), state.WithCondition(etcdUp)); err != nil {
			return fmt.Errorf("wait for etcd: %w", err)
		}
		_, err := g.state.WatchFor(ctx, lifecycle(), state.WithPhases(resource.PhaseRunning), state.WithEventTypes(state.Created, state.Updated))
		if err != nil {
			return fmt.Errorf("wait for the kubelet's lifecycle: %w", err)
		}
		switch err := g.state.AddFinalizer(ctx, lifecycle(), g.finalizer); {
		case err == nil:
			g.watch()
			return nil
		case state.IsNotFoundError(err), state.IsPhaseConflictError(err): // it was torn down in between
		default:
			return fmt.Errorf("hold the kubelet's lifecycle: %w", err)
		}
	}
}

func etcdUp(r resource.Resource) (bool, error) {
	if resource.IsTombstone(r) {
		return false, nil
	}
	etcd, ok := r.(*v1alpha1.Service)
	return ok && etcd.TypedSpec().Running && etcd.TypedSpec().Healthy, nil
}

// Lost returns a channel that is closed at an owner's first reason to let go.
// That the apiserver's pod is gone counts from this call on, the other reasons
// since Enter.
func (g *gate) Lost(context.Context) <-chan struct{} {
	g.owner.Store(true)
	return g.lost
}

// LostWaiting returns a channel that is closed at a candidate's first reason
// to give up since Enter.
func (g *gate) LostWaiting(context.Context) <-chan struct{} { return g.waiting }

// watch looks for reasons to let go until Leave.
func (g *gate) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	g.unwatch, g.waiting, g.lost = cancel, make(chan struct{}), make(chan struct{})
	g.owner.Store(false)
	events := make(chan state.Event)
	pods := k8s.NewStaticPodStatus(k8s.NamespaceName, "").Metadata()
	for _, err := range []error{
		g.state.Watch(ctx, v1alpha1.NewService("etcd").Metadata(), events),
		g.state.Watch(ctx, lifecycle(), events),
		g.state.WatchKind(ctx, pods, events),
	} {
		if err != nil { // blind, it must not keep the address
			close(g.waiting)
			close(g.lost)
			return
		}
	}
	go g.follow(ctx, events, g.waiting, g.lost)
}

func (g *gate) follow(ctx context.Context, events <-chan state.Event, waiting, lost chan struct{}) {
	for {
		var e state.Event
		select {
		case <-ctx.Done():
			return
		case e = <-events:
		}
		switch everybody, owner := letGo(e); {
		case everybody:
			close(waiting)
			close(lost)
			return
		case owner && g.owner.Load():
			close(lost)
			return
		}
	}
}

// letGo reports whether everybody gives up at the event, for the lifecycle is
// torn down or the etcd service gone, or only an owner, for the apiserver's
// pod is gone. That etcd is unhealthy or the apiserver not ready is no reason.
func letGo(e state.Event) (everybody, owner bool) {
	if e.Type == state.Errored {
		return true, true
	}
	if e.Resource == nil {
		return false, false // a bookmark
	}
	md, gone := e.Resource.Metadata(), e.Type == state.Destroyed
	switch md.Type() {
	case v1alpha1.ServiceType:
		return gone, gone
	case k8s.KubeletLifecycleType:
		down := gone || md.Phase() == resource.PhaseTearingDown
		return down, down
	case k8s.StaticPodStatusType:
		return false, gone && strings.HasPrefix(md.ID(), "kube-system/kube-apiserver-")
	}
	return false, false
}

// Leave lets go of the kubelet's lifecycle.
func (g *gate) Leave(ctx context.Context) error {
	g.unwatch()
	err := g.state.RemoveFinalizer(ctx, lifecycle(), g.finalizer)
	if err != nil && !state.IsNotFoundError(err) {
		return fmt.Errorf("let go of the kubelet's lifecycle: %w", err)
	}
	return nil
}
