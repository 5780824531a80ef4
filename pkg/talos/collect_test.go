package talos

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/role"

	"github.com/vipctl/vipctl/pkg/cluster"
)

func TestCollectEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[1].hangAlarm.Store(true)
	nodes[2].unknown = k8s.StaticPodStatusType
	c := w.client("10.5.0.2")
	c.cfg.Timeout = 10 * time.Second
	begun := time.Now()
	snap, err := c.Collect(t.Context(), CollectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 6*time.Second {
		t.Errorf("Collect took %v where alarms hang; want about %v", took, slowLimit)
	}
	n := snap.Node("cp-1")
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"hostname", n.Hostname.Value(), "cp-1"},
		{"type", n.Type.Value(), "controlplane"},
		{"version", n.Version.Value(), cluster.Version{Tag: "v1.13.9", Platform: "metal", Mode: "metal"}},
		{"stage", n.Stage.Value().Stage, "running"},
		{"unmet", n.Stage.Value().Unmet[0], "services: etcd"},
		{"boot time", n.BootTime.Value(), time.Unix(1_700_000_000, 0).UTC()},
		{"VIP's link", n.Holds(vip50).Value(), "eth0"},
		{"link", n.Links.Value()[0].HardwareAddr, "02:00:00:00:00:a1"},
		{"node IP", addrs(n.NodeIPs.Value()), "[10.5.0.2]"},
		{"service", n.Services.Value()[0], cluster.Service{ID: "etcd", State: "Running", Healthy: true, HealthKnown: true}},
		{"service without a check", n.Services.Value()[1].HealthKnown, false},
		{"member", n.Members.Value()[1].ID, "a2"},
		{"etcd", n.Etcd.Value().MemberID, "a1"},
		{"no leader", n.Etcd.Value().Leader, ""},
		{"etcd version", n.Etcd.Value().Version, "3.6.12"},
		{"alarm", n.Alarms.Value()[0], cluster.Alarm{MemberID: "a2", Alarm: "NOSPACE"}},
		{"alarms", len(n.Alarms.Value()), 1},
		{"pod", n.StaticPod.Value(), cluster.APIServerPod{Phase: "Running", Ready: true}},
		{"advertised (never published)", n.Advertise.Err(), "the node does not publish it (yet)"},
		{"hanging alarms", gaveUp(snap.Node("cp-2").Alarms.Err(), slowLimit), true},
		{"its other facts", snap.Node("cp-2").Etcd.Known(), true},
		{"unknown type", strings.HasPrefix(snap.Node("cp-3").StaticPod.Err(), "this version of Talos does not know it"), true},
		{"facts beside the unknown type", snap.Node("cp-3").Addresses.Known(), true},
	} {
		if check.got != check.want {
			t.Errorf("%s = %v; want %v", check.what, check.got, check.want)
		}
	}
}

func TestHangingNodeDelaysNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := threeNodes(w)
	w.cutPower("10.5.0.3:50000") // swallows SYNs
	nodes[2].hangAll.Store(true) // connects, and never answers
	c := w.client("10.5.0.2", "10.5.0.3")
	c.cfg.Timeout = 2 * time.Second
	begun := time.Now()
	snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 2*c.cfg.Timeout {
		t.Errorf("Collect took %v with a timeout of %v; want not that of both in turn", took, c.cfg.Timeout)
	}
	if got, want := names(snap), "cp-1@10.5.0.2, !cp-2@10.5.0.3, !cp-3@10.5.0.4"; got != want && got != strings.Replace(want, "!cp-2@10.5.0.3", "cp-2@10.5.0.3 via 10.5.0.2", 1) {
		t.Errorf("nodes = %s; want %s", got, want)
	}
	// It is asked for what is left of the two seconds when it is learned.
	want := regexp.MustCompile(`^no answer from 10\.5\.0\.4:50000 within [1-3](\.[0-9])? s: it takes questions, and answers none$`)
	if got := snap.Node("cp-3").Addresses.Err(); !want.MatchString(got) {
		t.Errorf("cp-3 says %q; want %q", got, want)
	}
}

func TestNobodyAnswers(t *testing.T) {
	other, err := secrets.NewBundle(secrets.NewClock(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name           string
		arrange        func(*world, []*fakeNode)
		bundle         *secrets.Bundle
		want, wantHint string
	}{
		{name: "refused", arrange: func(w *world, _ []*fakeNode) { w.remove("10.5.0.2") }, want: "10.5.0.2:50000: connection refused", wantHint: "--endpoints"},
		{name: "another cluster's credentials", bundle: other, want: "x509: certificate signed by unknown authority", wantHint: "--context"},
		{name: "silence", arrange: func(w *world, _ []*fakeNode) { w.cutPower("10.5.0.2:50000") }, want: "no answer from 10.5.0.2:50000 within ", wantHint: "--timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			nodes := threeNodes(w)
			if tt.arrange != nil {
				tt.arrange(w, nodes)
			}
			if tt.bundle == nil {
				tt.bundle = w.bundle
			}
			cfg, err := Load(Options{Talosconfig: w.talosconfig(tt.bundle, role.Reader, time.Hour, []string{"10.5.0.2"}, nil), Timeout: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if tt.name == "silence" {
				cfg.Timeout = 500 * time.Millisecond
			}
			cfg.dialer = w.dial
			snap, err := w.open(cfg).Collect(t.Context(), CollectOptions{Facts: Ownership})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "rpc error") || strings.Contains(err.Error(), "desc") {
				t.Errorf("Collect = %v; want %q in it and no noise", err, tt.want)
			}
			if h, ok := err.(interface{ Hint() string }); !ok || !strings.Contains(h.Hint(), tt.wantHint) {
				t.Errorf("hint of %v lacks %q", err, tt.wantHint)
			}
			if got := names(snap); got != "!10.5.0.2@10.5.0.2" {
				t.Errorf("nodes = %s; want a row with the error", got)
			}
		})
	}
}

func TestRoleDenied(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[0].denied.Store(true)
	snap, err := w.client("10.5.0.2", "10.5.0.3").Collect(t.Context(), CollectOptions{Facts: Ownership})
	if err != nil {
		t.Fatal(err)
	}
	n := snap.Node("cp-1")
	if n == nil || !n.Reachable.Value() || !strings.HasPrefix(n.Addresses.Err(), "not authorized") {
		t.Errorf("rows = %s, cp-1 = %+v; want it reachable and not authorized", names(snap), n)
	}
}

// os:etcd:backup may list the members, and nothing of any node: with that alone
// there would be rows of nothing but refusals.
func TestTheRightToListMembersIsNotEnough(t *testing.T) {
	w := newWorld(t)
	for _, n := range threeNodes(w) {
		n.denied.Store(true)
		n.backup.Store(true)
	}
	_, err := w.client("10.5.0.2", "10.5.0.3").Collect(t.Context(), CollectOptions{Facts: Ownership})
	if _, ok := errors.AsType[*RightsError](err); !ok {
		t.Errorf("Collect as os:etcd:backup = %v; want that nothing may be read", err)
	}
}

// A second look at etcd takes half of the time that there is, at the most.
func TestTheSecondLookAtEtcdHasItsShare(t *testing.T) {
	w := newWorld(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c := w.client("10.5.0.2")
	snap, err := c.Collect(ended, CollectOptions{Again: time.Hour})
	if want := (c.cfg.Timeout / 2).Seconds(); !errors.Is(err, context.Canceled) || snap.EtcdLaterAfter != want {
		t.Errorf("Collect = %v, with a second look after %v s; want one after %v s", err, snap.EtcdLaterAfter, want)
	}
}

func TestNoRights(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[0].denied.Store(true)
	nodes[1].denied.Store(true)
	w.remove("10.5.0.4")
	snap, err := w.client("10.5.0.2", "10.5.0.3", "10.5.0.4").Collect(t.Context(), CollectOptions{Facts: Ownership})
	var rights *RightsError
	if !errors.As(err, &rights) || !strings.Contains(rights.Hint(), "os:reader") {
		t.Errorf("Collect = %v; want that nothing may be read, and what it takes", err)
	}
	if n := snap.Node("10.5.0.2"); n == nil || n.Addresses.Err() != "not authorized" {
		t.Errorf("rows = %s; want 10.5.0.2, not authorized", names(snap))
	}
}

// A client that lives through a power cut must see the node again as soon as it
// is back, although TCP has not noticed anything.
func TestCollectAfterPowerCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	threeNodes(w)
	c := w.client("10.5.0.2", "10.5.0.4")
	c.cfg.Timeout = 3 * time.Second
	collect := func(want string) time.Duration {
		t.Helper()
		begun := time.Now()
		snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
		if err != nil || names(snap) != want {
			t.Errorf("Collect = %s, %v; want %s", names(snap), err, want)
		}
		return time.Since(begun)
	}
	collect(allThree)
	w.cutPower("10.5.0.3:50000")
	w.isolate("10.5.0.3")
	collect("cp-1@10.5.0.2, !cp-2@10.5.0.3, cp-3@10.5.0.4")
	w.restorePower("10.5.0.3:50000")
	w.rejoin("10.5.0.3")
	if took := collect(allThree); took > c.cfg.Timeout*3/4 {
		t.Errorf("the first Collect after the return took %v; want it prompt", took)
	}
	// A node that restarts leaves a connection that is already broken.
	w.breakAll("10.5.0.4:50000")
	collect(allThree)
}

func TestCollectKeepsConnections(t *testing.T) {
	w := newWorld(t)
	threeNodes(w)
	c := w.client("10.5.0.2")
	for range 3 {
		if _, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership}); err != nil {
			t.Fatal(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for addr, n := range w.dials {
		if n != 1 {
			t.Errorf("%s was dialled %d times; want once", addr, n)
		}
	}
}

func TestCollectCancelled(t *testing.T) {
	w := newWorld(t)
	threeNodes(w)
	w.cutPower("10.5.0.2:50000")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	begun := time.Now()
	if _, err := w.client("10.5.0.2").Collect(ctx, CollectOptions{}); err == nil || time.Since(begun) > 5*time.Second {
		t.Errorf("Collect = %v after %v; want an error at once", err, time.Since(begun))
	}
}

// Where only a proxy reaches the nodes, every call names its node.
func TestForwardedContext(t *testing.T) {
	w := newWorld(t)
	threeNodes(w)
	cfg := w.config([]string{"10.5.0.2"}, []string{"10.5.0.3"})
	cfg.forwarded = true
	c := w.open(cfg)
	snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
	if err != nil || names(snap) != allThree {
		t.Errorf("Collect = %s, %v; want %s", names(snap), err, allThree)
	}
	if err := c.Node("cp-3").Reboot(t.Context(), "default"); err != nil || w.nodes["10.5.0.4"].reboots.Load() != 1 {
		t.Errorf("Reboot = %v, and cp-3 saw %d", err, w.nodes["10.5.0.4"].reboots.Load())
	}
	if len(w.dials) != 1 {
		t.Errorf("dialled %v; want the endpoint only", w.dials)
	}
	if direct, err := w.client("10.5.0.2").Collect(t.Context(), CollectOptions{}); err != nil || direct.Forwarded || !snap.Forwarded {
		t.Errorf("forwarded = %t, and %t (%v) where nodes are dialled; want it said of the proxy only", snap.Forwarded, direct.Forwarded, err)
	}
}
