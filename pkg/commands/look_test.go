package commands

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/kube"
	"github.com/vipctl/vipctl/pkg/talos"
	"github.com/vipctl/vipctl/pkg/vip"
)

// Whatever --vip names becomes a VIP of the snapshot. What no node competes for
// must not be judged as one, and least of all a node's own address, which a
// finding would tell to take off it.
func TestWhatIsAskedForByHandMustBeAVIP(t *testing.T) {
	addr := netip.MustParseAddr
	node := func(i byte, vips ...netip.Addr) cluster.Node {
		own := netip.AddrFrom4([4]byte{10, 5, 0, i + 1})
		return cluster.Node{
			Name: "cp-" + string('0'+i), Addr: own, VIPs: cluster.Got(vips), NodeIPs: cluster.Got([]netip.Addr{own}),
			Addresses: cluster.Got([]cluster.Address{{Prefix: netip.PrefixFrom(own, 24), Link: "eth0"}}),
		}
	}
	vip := addr("10.5.0.50")
	silent := cluster.Node{Name: "cp-3", Addr: addr("10.5.0.4"), VIPs: cluster.Missed[[]netip.Addr](errors.New("no answer"))}
	mistaken := node(1, vip)
	mistaken.NodeIPs = cluster.Got([]netip.Addr{vip})
	holding := func(n cluster.Node, addr netip.Addr) cluster.Node {
		n.Addresses = cluster.Got(append(n.Addresses.Value(), cluster.Address{Prefix: netip.PrefixFrom(addr, 32), Link: "eth0"}))
		return n
	}
	for _, tt := range []struct {
		name  string
		asked string
		nodes []cluster.Node
		want  string // a part of the error, "" for none
	}{
		{"one that is configured", "10.5.0.50", []cluster.Node{node(1, vip), node(2, vip)}, ""},
		{"one that is configured, and that a node goes by", "10.5.0.50", []cluster.Node{mistaken, node(2, vip)}, ""},
		{"one that a node has, though none has it configured", "10.5.0.99", []cluster.Node{node(1, vip), holding(node(2, vip), addr("10.5.0.99"))}, ""},
		{"one that nobody knows", "10.5.0.99", []cluster.Node{node(1, vip), node(2, vip)}, "no node has the VIP 10.5.0.99 configured"},
		{"one that a silent node may know", "10.5.0.99", []cluster.Node{node(1, vip), silent}, ""},
		{"a node's own address", "10.5.0.2", []cluster.Node{node(1, vip), node(2, vip)}, "10.5.0.2 is cp-1's own address, and no VIP"},
		{"a node's own address, while another is silent", "10.5.0.2", []cluster.Node{node(1, vip), silent}, "10.5.0.2 is cp-1's own address, and no VIP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &observer{vips: []netip.Addr{addr(tt.asked)}}
			err := o.checkVIPs(&cluster.Snapshot{Nodes: tt.nodes, VIPs: []cluster.VIP{{Addr: vip}, {Addr: addr(tt.asked)}}})
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("checkVIPs(%s) = %v; want %q", tt.asked, err, tt.want)
			case err != nil && (cli.CodeOf(err) != cli.ExitUsage || cli.HintOf(err) == ""):
				t.Errorf("checkVIPs(%s): exit code %d, hint %q; want wrong usage, and what to do", tt.asked, cli.CodeOf(err), cli.HintOf(err))
			}
		})
	}
}

// Who had a VIP configured may be silent the second time; it is judged then, too.
func TestFollowing(t *testing.T) {
	a, b := netip.MustParseAddr("10.5.0.50"), netip.MustParseAddr("fd00::50")
	first := &observer{vips: []netip.Addr{b}}
	again := first.following(&cluster.Snapshot{VIPs: []cluster.VIP{{Addr: a}, {Addr: b}}})
	if want := []netip.Addr{b, a}; !slices.Equal(again.vips, want) || len(first.vips) != 1 {
		t.Errorf("the look after the first asks for %v, the first for %v; want %v and as before", again.vips, first.vips, want)
	}
}

// TestKubeconfigOfTheEnvironment: one that nobody named by hand may be old. It is
// no wrong usage, and what is not checked for want of it is said.
func TestKubeconfigOfTheEnvironment(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(elsewhere, []byte("token: [abc\ntoken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, says string
	}{
		{"a missing file", filepath.Join(t.TempDir(), "none"), "none: file does not exist"},
		{"a directory", t.TempDir(), "is a directory"},
		{"something else", elsewhere, "it is no kubeconfig"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.path)
			h := newHarness(t)
			h.f.flags.Timeout = time.Second
			client, err := h.f.Kube()
			if err != nil || client.Authenticated() || !strings.Contains(h.err.String(), tt.says) || !strings.Contains(h.err.String(), ": without it no kube-apiserver says itself whether it is ready") {
				t.Errorf("Kube() = %v, stderr %q; want an anonymous client and a warning with %q", err, h.err, tt.says)
			}
			var snap cluster.Snapshot
			client.Round(t.Context(), kube.Whole).Fill(&snap)
			if !strings.HasSuffix(snap.NoKubeconfig, tt.says) || strings.Contains(snap.NoKubeconfig, "token") {
				t.Errorf("the snapshot says %q of it; want %q, and nothing that it holds", snap.NoKubeconfig, tt.says)
			}
			h = newHarness(t)
			h.f.flags.Kubeconfig = tt.path
			if _, err := h.f.Kube(); cli.CodeOf(err) != cli.ExitUsage || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Kube() with --kubeconfig = %v; want wrong usage, %q", err, tt.says)
			}
		})
	}
}

// Where no node tells anything the other witnesses' word may stand alone, but
// only where it shows who answers now.
func TestWhoAnswersThoughNoNodeTells(t *testing.T) {
	hw := "02:00:00:00:00:02"
	for _, tt := range []struct {
		name string
		see  func(*cluster.VIP)
		want bool
	}{
		{"nobody was asked", func(*cluster.VIP) {}, false},
		{"somebody answers on the wire", func(v *cluster.VIP) { v.ARP = cluster.Got([]cluster.ARPReply{{HardwareAddr: hw}}) }, true},
		{"nobody answers on the wire", func(v *cluster.VIP) { v.ARP = cluster.Got([]cluster.ARPReply{}) }, false},
		{"a certificate is shown", func(v *cluster.VIP) {
			v.APIServer = cluster.Got(cluster.APIServer{Certificate: cluster.Certificate{Fingerprint: "ab"}})
		}, true},
		{"no certificate is shown", func(v *cluster.VIP) { v.APIServer = cluster.Got(cluster.APIServer{Error: "connection refused"}) }, false},
		{"this machine remembers somebody", func(v *cluster.VIP) {
			v.Neighbour = cluster.Got(cluster.Neighbour{HardwareAddr: hw, State: "reachable"})
		}, false},
		{"etcd names somebody", func(v *cluster.VIP) {
			v.Elections = []cluster.ElectionView{{Node: "cp-1", Election: cluster.Got(cluster.Election{Candidates: []cluster.Candidate{{Hostname: "cp-2"}}})}}
		}, false},
	} {
		snap := &cluster.Snapshot{
			VIPs: []cluster.VIP{{Addr: netip.MustParseAddr("10.5.0.50")}},
			Nodes: []cluster.Node{{
				Name: "cp-2", Hostname: cluster.Got("cp-2"), Links: cluster.Got([]cluster.Link{}),
				APIServer: cluster.Got(cluster.APIServer{Certificate: cluster.Certificate{Fingerprint: "cd"}}),
			}},
		}
		tt.see(&snap.VIPs[0])
		if got := answered(snap); got != tt.want {
			t.Errorf("%s: answered(%v) = %t; want %t", tt.name, snap.Claims(snap.VIPs[0].Addr), got, tt.want)
		}
	}
}

func TestWhyALookFailed(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool // no node told anything
	}{
		{"it did not", nil, false},
		{"nobody answered", &talos.UnreachableError{}, true},
		{"all refused", &talos.RightsError{}, true},
		{"it was interrupted", context.Canceled, false},
	} {
		if got := noNode(tt.err); got != tt.want {
			t.Errorf("%s: noNode(%v) = %t; want %t", tt.name, tt.err, got, tt.want)
		}
	}
	vipAddr, own := netip.MustParseAddr("10.5.0.50"), netip.MustParseAddr("10.5.0.2")
	for _, tt := range []struct {
		name      string
		endpoints []netip.Addr
		err       error
		hinted    bool
	}{
		{"the VIP is the only endpoint", []netip.Addr{vipAddr}, &talos.UnreachableError{}, true},
		{"there are other endpoints", []netip.Addr{vipAddr, own}, &talos.UnreachableError{}, false},
		{"the VIP is no endpoint", []netip.Addr{own}, &talos.UnreachableError{}, false},
		{"somebody answered", []netip.Addr{vipAddr}, &talos.RightsError{}, false},
	} {
		snap := &cluster.Snapshot{VIPs: []cluster.VIP{{Addr: vipAddr}}}
		for _, e := range tt.endpoints {
			snap.Endpoints = append(snap.Endpoints, cluster.Endpoint{Name: e.String(), Addresses: []netip.Addr{e}})
		}
		err := (&observer{}).explain(tt.err, snap)
		if got := strings.Contains(cli.HintOf(err), "no endpoint but the VIP"); got != tt.hinted || !errors.Is(err, tt.err) {
			t.Errorf("%s: explain = %v, hint %q; want the error, and that the VIP may be gone: %t", tt.name, err, cli.HintOf(err), tt.hinted)
		}
	}
}

// Two sightings are judged each for itself, and together.
func TestBothSightingsAreShown(t *testing.T) {
	handover := kept("cp-3")
	handover.Earlier = kept("cp-1", "cp-3")
	got := judgeAll(handover)[0]
	if got.First.Ownership != vip.SplitBrain || got.Second.Ownership != vip.Owned || got.Verdict.Ownership != vip.Owned {
		t.Errorf("first %v, second %v, both %v; want a split brain, and then owned", got.First, got.Second, got.Verdict)
	}
	if got := judgeAll(kept("cp-3"))[0]; got.First != nil || got.Second != nil {
		t.Errorf("after one look there are the sightings %v and %v; want none", got.First, got.Second)
	}
}

// deadObserver is one of a cluster at which nobody listens.
func deadObserver(t *testing.T) *observer {
	t.Helper()
	cfg, err := talos.Load(talos.Options{Talosconfig: contextsFile(t, "a"), Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	client, err := talos.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	o := &observer{cfg: cfg, talos: client}
	t.Cleanup(o.close)
	return o
}

// The nodes that told of two owners may all be silent the second time. What they
// said is kept, and their VIP judged.
func TestASecondLookKeepsTheFirst(t *testing.T) {
	first := kept("cp-1", "cp-3")
	snap, judged, err := deadObserver(t).owners(t.Context(), first, talos.Ownership)
	if err != nil || snap.Earlier != first || len(judged) != 1 || judged[0].VIP != first.VIPs[0].Addr {
		t.Fatalf("owners = %+v, %v, %v; want a second look at %s, and the first in it", snap, judged, err, first.VIPs[0].Addr)
	}
	if judged[0].First == nil || judged[0].First.Ownership != vip.SplitBrain {
		t.Errorf("the first sighting = %v; want a split brain", judged[0].First)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if snap, judged, err := deadObserver(t).owners(ended, first, talos.Ownership); !errors.Is(err, context.Canceled) || snap != nil || judged != nil {
		t.Errorf("owners(interrupted) = %v, %v, %v; want that it was interrupted, and no verdict", snap, judged, err)
	}
	one := kept("cp-1")
	if snap, judged, err := deadObserver(t).owners(t.Context(), one, talos.Ownership); err != nil || snap != one || len(judged) != 1 {
		t.Errorf("owners of one owner = %v, %v, %v; want what was seen, with no second look", snap, judged, err)
	}
}
