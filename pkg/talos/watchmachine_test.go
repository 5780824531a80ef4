package talos

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
)

// What another machine at a node's address has is not told as the node's: two that
// have changed places would have the VIP crosswise.
func TestWatchOfAnAddressThatMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const at, other = "10.5.0.102:50000", "10.5.0.3:50000"
	w.node("cp-1", "10.5.0.102", 0xa1)
	w.node("cp-2", "10.5.0.3", 0xa2).carry("10.5.0.50/32")
	c := w.client("10.5.0.102")
	if _, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership}); err != nil {
		t.Fatal(err)
	}
	seen := &watched{more: make(chan struct{}, 100)}
	go func() { _ = c.WatchAddresses(t.Context(), "cp-1", seen.report) }()
	vip := netip.MustParseAddr("10.5.0.50")
	if first := seen.next(t); first.Gap != nil || first.Holds(vip) {
		t.Fatalf("at first %+v; want cp-1 without the VIP", first)
	}
	w.alias("its own", at)
	w.alias(at, other)
	w.breakAll(at)
	if gap := seen.next(t); gap.Gap == nil {
		t.Errorf("its connection is broken: %+v; want a gap", gap)
	}
	tried := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.dials[at]
	}
	for begun, before := time.Now(), tried(); tried() < before+3; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("it is not tried again and again")
		}
	}
	w.alias(at, "its own")
	if got := seen.next(t); got.Gap != nil || got.Holds(vip) {
		t.Errorf("after another machine was there: %+v; want cp-1 without the VIP", got)
	}
}

// A machine that is named at the VIP only is asked nowhere: at an endpoint somebody
// else would answer in its name, and have the VIP as well.
func TestNodeThatHasNoAddressOfItsOwn(t *testing.T) {
	w := newWorld(t)
	threeNodes(w)
	for _, n := range w.nodes {
		n.members = []*machineapi.EtcdMember{etcdMember(0xa1, "cp-1", "10.5.0.2"), etcdMember(0xa2, "cp-2", "10.5.0.3"), etcdMember(0xa4, "cp-4", "10.5.0.50")}
	}
	c := w.client("10.5.0.2")
	snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
	if err != nil || snap.Node("cp-4") == nil {
		t.Fatalf("Collect = %+v, %v; want a row for cp-4", snap, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err = c.WatchAddresses(ctx, "cp-4", func(change AddressChange) { t.Errorf("its watch tells %+v; want nothing", change) })
	if !errors.Is(err, errHomeless) {
		t.Errorf("WatchAddresses(cp-4) = %v; want that it has no address", err)
	}
	if at, err := c.Node("cp-4").BootTime(ctx); !errors.Is(err, errHomeless) {
		t.Errorf("BootTime of cp-4 = %v, %v; want that it has no address", at, err)
	}
}
