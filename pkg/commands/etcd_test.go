package commands

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/config"
)

// led is kept, with an etcd of all nodes that the first of them leads.
func led(holder string) *cluster.Snapshot {
	snap := kept(holder)
	var members []cluster.Member
	for _, n := range snap.Nodes {
		members = append(members, cluster.Member{ID: "id-" + n.Name, Hostname: n.Name, PeerURLs: []string{"https://" + n.Addr.String() + ":2380"}})
	}
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		n.Members, n.Alarms = cluster.Got(members), cluster.Got([]cluster.Alarm{})
		n.Etcd = cluster.Got(cluster.EtcdStatus{MemberID: members[i].ID, Leader: members[0].ID, Term: 3, Version: "3.6.12"})
		n.Advertise = cluster.Got([]netip.Addr{n.Addr})
	}
	return snap
}

// The lease is a setting of whoever looks, kept or not. Whichever command kept the
// snapshot, it tells what was predicted then.
func TestASnapshotHoldsTheLease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot.json")
	h := newHarness(t)
	h.f.Config = func() (*config.Config, error) { return &config.Config{LeaseTTL: config.Duration(7 * time.Second)}, nil }
	flags := snapshotFlags{Save: path}
	seen, err := flags.source(t.Context(), h.f, func(context.Context) (*survey, error) { return &survey{snap: led("cp-2")}, nil })
	if err != nil || seen.snap.LeaseTTL != 7 {
		t.Fatalf("source = %+v, %v; want a snapshot with a lease of 7 s", seen, err)
	}
	flags.Save = ""
	if seen, err := flags.source(t.Context(), h.f, func(context.Context) (*survey, error) { return &survey{snap: led("cp-2")}, nil }); err != nil || seen.snap.LeaseTTL != 7 {
		t.Errorf("source without --save = %+v, %v; want a lease of 7 s", seen, err)
	}
	elsewhere := newHarness(t)
	if code := elsewhere.run("etcd", "--without", "cp-2", "--from", path); code != cli.ExitOK || !strings.Contains(elsewhere.out.String(), "the rest of the lease of 7 s") {
		t.Errorf("vipctl etcd --without cp-2 of it = exit code %d; want %d, and a crash reckoned from the lease of 7 s\n%s%s", code, cli.ExitOK, elsewhere.out, elsewhere.err)
	}
}

// A snapshot of owner has nothing of etcd. What helps is another snapshot, and not
// another look at this one.
func TestEtcdOfASnapshotOfOwner(t *testing.T) {
	for _, tt := range []struct {
		name      string
		snap      *cluster.Snapshot
		want, not string
		code      cli.ExitCode
	}{
		{"owner's", kept("cp-2"), "hint: vipctl etcd --save FILE, or vipctl doctor --save FILE", "vipctl doctor says what to do", cli.ExitInconclusive},
		{"etcd's", ailing(led("cp-2")), "vipctl doctor says what to do", "--save", cli.ExitBad},
	} {
		h := newHarness(t)
		code := h.run("etcd", "--from", file(t, tt.snap))
		if out := h.out.String(); code != tt.code || !strings.Contains(out, tt.want) || strings.Contains(out, tt.not) {
			t.Errorf("vipctl etcd --from %s: exit code %d; want %d, and %q, not %q:\n%s%s", tt.name, code, tt.code, tt.want, tt.not, out, h.err)
		}
	}
}

// ailing has no leader known to one node.
func ailing(snap *cluster.Snapshot) *cluster.Snapshot {
	said := snap.Nodes[0].Etcd.Value()
	said.Leader = ""
	snap.Nodes[0].Etcd = cluster.Got(said)
	return snap
}
