package talos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// orders is how many orders of answers each world is seen in.
const orders = 4

// orderOf is a random order, the same for the same seed: how late each answer of
// each node is. Every fourth address is late as a whole, and so is in every other
// order every sixth kind of answer.
func orderOf(seed int) func(addr, what string) time.Duration {
	dice := func(sides uint64, words ...string) uint64 {
		h := fnv.New64a()
		fmt.Fprint(h, seed, words)
		sum := h.Sum64()
		return (sum ^ sum>>29) * 0x9e3779b97f4a7c15 >> 33 % sides
	}
	return func(addr, what string) time.Duration {
		late := dice(3000, addr, what)
		if dice(4, addr) == 0 {
			late += dice(6000, addr, "whole")
		}
		if seed%2 == 0 && dice(6, what) == 0 {
			late += dice(6000, what, "kind")
		}
		return time.Duration(late) * time.Microsecond
	}
}

// What a survey finds, and what it tells of meanwhile, does not depend on the
// order in which the nodes' answers come in.
func TestAnyOrder(t *testing.T) {
	for _, tt := range inAnyOrder {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			nodes := threeNodes(w)
			if tt.arrange != nil {
				tt.arrange(w, nodes)
			}
			cfg := w.config(tt.endpoints, tt.nodes)
			cfg.forwarded, cfg.Timeout = tt.forwarded, 2*unhurried
			first := map[Facts]string{}
			for seed := range orders {
				facts := []Facts{Ownership, Addresses, Everything}[seed%3]
				if tt.typed {
					facts |= Ownership
				}
				got := tt.collect(w, cfg, facts, seed)
				if want := cmp.Or(first[facts], got); got != want {
					t.Errorf("in the order %d the survey of facts %b differs:\n%s", seed, facts, difference(got, want))
				}
				first[facts] = cmp.Or(first[facts], got)
			}
		})
	}
}

// collect collects in an order, holds what is found against what is right, and
// returns the snapshot without what no two have alike.
func (o ordered) collect(w *world, cfg *Config, facts Facts, seed int) string {
	w.t.Helper()
	w.setPace(orderOf(seed))
	var vips, learned []netip.Addr
	c := w.open(cfg)
	snap, err := c.Collect(w.t.Context(), CollectOptions{Facts: facts, VIPs: o.vips, patience: unhurried, Learned: func(l Learned) {
		vips, learned = append(vips, l.VIPs...), append(learned, l.Nodes...)
	}})
	if err != nil {
		w.t.Fatalf("in the order %d Collect = %v", seed, err)
	}
	_ = c.Close()
	rows := names(snap)
	if o.anyRelay {
		rows = viaAny.ReplaceAllString(rows, " via any")
	}
	var wantLearned []netip.Addr
	for _, n := range snap.Nodes {
		wantLearned = append(wantLearned, n.Addr)
	}
	learned = slices.DeleteFunc(learned, func(a netip.Addr) bool { return a.String() == o.also })
	for _, check := range []struct{ what, got, want string }{
		{"nodes", rows, cmp.Or(o.want, allThree)},
		{"VIPs", addrs(vipsOf(snap)), cmp.Or(o.wantVIPs, "[10.5.0.50]")},
		{"learned VIPs", sorted(vips), cmp.Or(o.wantVIPs, "[10.5.0.50]")},
		{"learned nodes", sorted(learned), sorted(wantLearned)},
	} {
		if check.got != check.want {
			w.t.Errorf("in the order %d, facts %b: %s = %s; want %s", seed, facts, check.what, check.got, check.want)
		}
	}
	return o.likeAny(w.t, facts, snap)
}

var (
	viaAny   = regexp.MustCompile(` via [0-9.]+`)
	duration = regexp.MustCompile(`within [0-9.]+ m?s`)
)

// likeAny is the snapshot without its times, and without which of the nodes was
// asked for etcd's members, where one is enough.
func (o ordered) likeAny(t *testing.T, facts Facts, snap *cluster.Snapshot) string {
	t.Helper()
	snap.TakenAt = time.Time{}
	var lists []string
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		n.Clock = cluster.Seen[cluster.Clock]{}
		if status, ok := n.Etcd.Get(); ok {
			status.Index = 0
			n.Etcd = cluster.Got(status)
		}
		if facts&details == 0 {
			if list, ok := n.Members.Get(); ok && facts != Addresses {
				lists = append(lists, fmt.Sprint(list))
			}
			n.Members = cluster.Seen[[]cluster.Member]{}
		}
		if o.anyRelay && n.Via != "" {
			n.Via = "any"
		}
	}
	data, err := json.MarshalIndent(snap, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lists)
	return duration.ReplaceAllString(string(data), "within a time") + "\n" + strings.Join(slices.Compact(lists), "\n")
}

func vipsOf(snap *cluster.Snapshot) []netip.Addr {
	list := make([]netip.Addr, 0, len(snap.VIPs))
	for _, v := range snap.VIPs {
		list = append(list, v.Addr)
	}
	return list
}

func sorted(list []netip.Addr) string {
	list = slices.Clone(list)
	slices.SortFunc(list, netip.Addr.Compare)
	return addrs(list)
}

// difference are the lines of got that want does not have there.
func difference(got, want string) string {
	var out []string
	wanted := strings.Split(want, "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(wanted) || wanted[i] != line {
			out = append(out, fmt.Sprintf("%d: %s; want %s", i, line, wanted[min(i, len(wanted)-1)]))
		}
		if len(out) == 12 {
			break
		}
	}
	return strings.Join(out, "\n")
}
