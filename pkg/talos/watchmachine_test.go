package talos

import (
	"net/netip"
	"testing"
	"time"
)

// What another machine at a node's address has is not told as the node's: two that
// have changed places would have the VIP crosswise.
func TestWatchOfAnAddressThatMoved(t *testing.T) {
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
