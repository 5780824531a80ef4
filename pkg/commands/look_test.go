package commands

import (
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
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
	for _, tt := range []struct {
		name  string
		asked string
		nodes []cluster.Node
		want  string // a part of the error, "" for none
	}{
		{"one that is configured", "10.5.0.50", []cluster.Node{node(1, vip), node(2, vip)}, ""},
		{"one that is configured, and that a node goes by", "10.5.0.50", []cluster.Node{mistaken, node(2, vip)}, ""},
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
	for _, tt := range []struct {
		name, path, says string
	}{
		{"a missing file", filepath.Join(t.TempDir(), "none"), "none: file does not exist"},
		{"a directory", t.TempDir(), "is a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.path)
			h := newHarness(t)
			h.f.flags.Timeout = time.Second
			client, err := h.f.Kube()
			if err != nil || client.Authenticated() || !strings.Contains(h.err.String(), tt.says+": without it no kube-apiserver says itself whether it is ready") {
				t.Errorf("Kube() = %v, stderr %q; want an anonymous client and a warning with %q", err, h.err, tt.says)
			}
			h = newHarness(t)
			h.f.flags.Kubeconfig = tt.path
			if _, err := h.f.Kube(); cli.CodeOf(err) != cli.ExitUsage || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Kube() with --kubeconfig = %v; want wrong usage, %q", err, tt.says)
			}
		})
	}
}
