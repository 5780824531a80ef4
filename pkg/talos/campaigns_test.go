package talos

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
)

// A node is asked once more the way that Collect found: through an endpoint where
// it cannot be dialled, and for itself, not for the endpoint.
func TestCampaignsOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := threeNodes(w)
	for i, finalizer := range []string{"vip/eth0", "vip/eth1", "vip/eth2"} {
		nodes[i].campaigning(resource.PhaseRunning, finalizer)
	}
	w.hide("10.5.0.3:50000")
	c := w.client("10.5.0.2")
	c.cfg.Timeout = 2 * time.Second
	snap, err := c.Collect(t.Context(), CollectOptions{Facts: Addresses})
	if err != nil || snap.Node("cp-2") == nil || snap.Node("cp-2").Via == "" {
		t.Fatalf("Collect = %s, %v; want cp-2 through another node", names(snap), err)
	}
	nodes[2].hangAll.Store(true)
	for _, tt := range []struct {
		name, node, via string
		links, err      string
	}{
		{"one that is dialled", "cp-1", "", "eth0", ""},
		{"one that another forwards to", "cp-2", snap.Node("cp-2").Via, "eth1", ""},
		{"one that hangs", "cp-3", "", "", "no answer from 10.5.0.4:50000 within "},
		{"one that nobody knows", "cp-9", "", "", `no control-plane node is called "cp-9"`},
		{"one that nobody knows forwards", "cp-2", "cp-9", "", `no control-plane node is called "cp-9"`},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // more than it may take
		got := c.Campaigns(ctx, tt.node, tt.via)
		cancel()
		if links := strings.Fields(tt.links); !slices.Equal(got.Value(), links) || got.Known() != (tt.err == "") || !strings.HasPrefix(got.Err(), tt.err) || strings.HasSuffix(tt.err, "within ") && !gaveUp(got.Err(), c.cfg.Timeout) {
			t.Errorf("%s: Campaigns(%s, %q) = %v; want %q, error %q", tt.name, tt.node, tt.via, got, tt.links, tt.err)
		}
	}
}
