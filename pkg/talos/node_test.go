package talos

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/role"
)

func TestReboot(t *testing.T) {
	for _, tt := range []struct {
		name    string
		node    string
		mode    string
		arrange func(*world, []*fakeNode)
		want    string // part of the error, "" for none
		hint    string
		unsure  bool
		reboots int32 // of cp-2
	}{
		{name: "by name", node: "cp-2", mode: "default", reboots: 1},
		{name: "by address", node: "10.5.0.3", mode: "force", reboots: 1},
		{name: "no such mode", node: "cp-2", mode: "hard", want: `no reboot mode is called "hard"`},
		{name: "no such node", node: "cp-9", mode: "default", want: `no control-plane node is called "cp-9"`, hint: "vipctl owner"},
		{name: "refused for want of a role", node: "cp-2", mode: "default", arrange: func(_ *world, n []*fakeNode) { n[1].denied.Store(true) }, want: "not authorized", hint: "os:operator"},
		{name: "the address belongs to another machine by now", node: "cp-2", mode: "default", arrange: func(_ *world, n []*fakeNode) { n[1].name = "cp-7" }, want: "it is called cp-7, not cp-2", hint: "vipctl owner"},
		{name: "hanging: nothing was sent", node: "cp-2", mode: "default", arrange: func(_ *world, n []*fakeNode) { n[1].hangAll.Store(true) }, want: "no answer from 10.5.0.3:50000 within "},
		{name: "the answer is lost: sent once, and not known what became of it", node: "cp-2", mode: "default", arrange: func(_ *world, n []*fakeNode) { n[1].failAfter.Store(true) }, want: "reboot of cp-2", unsure: true, reboots: 1},
		{name: "an old connection that broke unnoticed is replaced", node: "cp-2", mode: "default", arrange: func(w *world, _ []*fakeNode) { w.breakAll("10.5.0.3:50000") }, reboots: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			nodes := threeNodes(w)
			c := w.client("10.5.0.2")
			if _, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership}); err != nil {
				t.Fatal(err)
			}
			if tt.arrange != nil {
				tt.arrange(w, nodes)
			}
			if nodes[1].hangAll.Load() {
				c.cfg.Timeout = time.Second
			}
			err := c.Node(tt.node).Reboot(t.Context(), tt.mode)
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(hint(err), tt.hint)) {
				t.Errorf("Reboot = %v (hint %q); want %q (hint %q)", err, hint(err), tt.want, tt.hint)
			}
			var call *CallError
			if errors.As(err, &call) && call.Unsure != tt.unsure {
				t.Errorf("Reboot = %v, unsure %v; want %v", err, call.Unsure, tt.unsure)
			}
			if got := nodes[1].reboots.Load(); got != tt.reboots {
				t.Errorf("cp-2 saw %d reboots; want %d", got, tt.reboots)
			}
			if others := nodes[0].reboots.Load() + nodes[2].reboots.Load(); others != 0 {
				t.Errorf("other nodes saw %d reboots", others)
			}
		})
	}
}

func TestBootTime(t *testing.T) {
	w := newWorld(t)
	w.node("cp-1", "10.5.0.2", 0xa1)
	cfg, err := Load(Options{Talosconfig: w.talosconfig(w.bundle, role.Operator, time.Hour, []string{"10.5.0.2"}, nil)})
	if err != nil {
		t.Fatal(err)
	}
	cfg.dialer = w.dial
	got, err := w.open(cfg).Node("10.5.0.2").BootTime(t.Context())
	if want := time.Unix(1_700_000_000, 0); err != nil || !got.Equal(want) {
		t.Errorf("BootTime = %v, %v; want %v", got, err, want)
	}
}

// watched collects what a watch reports.
type watched struct {
	mu      sync.Mutex
	changes []AddressChange
	more    chan struct{}
}

func (w *watched) report(c AddressChange) {
	w.mu.Lock()
	w.changes = append(w.changes, c)
	w.mu.Unlock()
	w.more <- struct{}{}
}

// next waits for one more change.
func (w *watched) next(t *testing.T) AddressChange {
	t.Helper()
	select {
	case <-w.more:
	case <-time.After(15 * time.Second):
		t.Fatal("no change was reported")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.changes[0]
	w.changes = w.changes[1:]
	return c
}

func TestWatchAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := threeNodes(w)
	c := w.client("10.5.0.2")
	if err := c.WatchAddresses(t.Context(), "cp-9", nil); err == nil {
		t.Error("WatchAddresses of an unknown node = nil; want an error")
	}
	seen := &watched{more: make(chan struct{}, 100)}
	go func() { _ = c.WatchAddresses(t.Context(), "10.5.0.2", seen.report) }()
	vip := netip.MustParseAddr("10.5.0.50")
	expect := func(what string, gap, holds bool) AddressChange {
		t.Helper()
		got := seen.next(t)
		if (got.Gap != nil) != gap || got.Holds(vip) != holds || got.Node != "10.5.0.2" || got.At.IsZero() {
			t.Fatalf("%s: watch reported %+v; want gap %v, VIP %v", what, got, gap, holds)
		}
		return got
	}
	if first := expect("at first", false, true); len(first.Present) != 3 {
		t.Errorf("at first %v; want all three addresses at once", first.Present)
	}
	nodes[0].shed("10.5.0.50/32")
	expect("released", false, false)
	nodes[0].carry("10.5.0.50/32")
	expect("acquired", false, true)

	cut := time.Now()
	w.cutPower("10.5.0.2:50000")
	silent := time.Now()
	gap := expect("power cut", true, false)
	if gap.Heard.After(silent) || gap.At.Before(cut) || gap.At.Sub(cut) > 10*time.Second {
		t.Errorf("cut at %v, gap heard %v at %v; want the cut between", cut, gap.Heard, gap.At)
	}
	nodes[0].shed("10.5.0.50/32")
	back := time.Now()
	w.restorePower("10.5.0.2:50000")
	if again := expect("back", false, false); again.At.Sub(back) > 10*time.Second {
		t.Errorf("seen again %v after the return; want it soon", again.At.Sub(back))
	}
	w.breakAll("10.5.0.2:50000")
	if gap := expect("restart", true, false); strings.Contains(gap.Gap.Error(), "rpc error") {
		t.Errorf("gap = %v; want no noise", gap.Gap)
	}
	expect("back again", false, false)
}
