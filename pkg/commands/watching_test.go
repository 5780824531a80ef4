package commands

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
	"github.com/vipctl/vipctl/pkg/vip"
)

var (
	watchedVIP = netip.MustParseAddr("10.5.0.50")
	watchBegun = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// watchedCluster is what a look finds: "cp-1 has, cp-2 free, cp-3 silent".
// Nodes have the address of their number; "cp-3@9" has another.
func watchedCluster(text string) *cluster.Snapshot {
	snap := &cluster.Snapshot{TakenAt: watchBegun, VIPs: []cluster.VIP{{Addr: watchedVIP}}}
	for part := range strings.SplitSeq(text, ", ") {
		name, word, _ := strings.Cut(part, " ")
		name, number, moved := strings.Cut(name, "@")
		if !moved {
			number = name[len(name)-1:]
		}
		n := cluster.Node{Name: name, Addr: netip.MustParseAddr("10.5.0." + number), Addresses: cluster.Got([]cluster.Address{})}
		n.Members = cluster.Got([]cluster.Member{{ID: "a1"}})
		switch word {
		case "has":
			n.Addresses = cluster.Got([]cluster.Address{{Prefix: netip.PrefixFrom(watchedVIP, 32), Link: "eth0"}})
		case "silent":
			n.Addresses = cluster.Missed[[]cluster.Address](errors.New("no answer"))
			n.Members = cluster.Missed[[]cluster.Member](errors.New("no answer"))
		case "unlisted": // it is free, or was a moment ago
			n.Members = cluster.Missed[[]cluster.Member](errors.New("no leader"))
		}
		snap.Nodes = append(snap.Nodes, n)
	}
	return snap
}

// watchFrom begins a watch with such a look.
func watchFrom(text string) *watching {
	snap := watchedCluster(text)
	claims := snap.Claims(watchedVIP)
	w := newWatching(report.NewOwnership(snap, report.Judged{VIP: watchedVIP, Claims: claims, Verdict: vip.Judge(claims)}), 5*time.Second)
	w.found(watchBegun, snap, true)
	w.followed()
	return w
}

// followed is what the rim does: every node has a watch.
func (w *watching) followed() (begun []string) {
	for _, n := range w.nodes {
		if n.end == nil {
			n.end = func() {}
			begun = append(begun, n.name)
		}
	}
	return begun
}

// tells lets a second pass, and then a node's watch tell that it has the VIP,
// is free of it, or that it is not seen.
func (w *watching) tells(name, word string) string {
	at := w.now.Add(time.Second)
	c := talos.AddressChange{At: at, Heard: at}
	switch word {
	case "has":
		c.Present = []netip.Prefix{netip.PrefixFrom(watchedVIP, 32)}
	case "silent":
		c.Heard, c.Gap = time.Time{}, errors.New("connection refused")
	}
	return lines(w.heard(w.node(name), c))
}

func lines(events []report.OwnershipEvent) string {
	list := make([]string, 0, len(events))
	for _, e := range events {
		_, text, _ := strings.Cut(e.Line(), "  ")
		list = append(list, strings.Join(strings.Fields(text), " "))
	}
	return strings.Join(list, "\n")
}

func expectLines(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

func TestWatchingNodes(t *testing.T) {
	w := watchFrom("cp-1 has, cp-2 free, cp-3 silent")
	const nobody = "nobody who answered holds the address, and "
	for _, step := range []struct{ node, word, want string }{
		{"cp-1", "has", ""},
		{"cp-3", "silent", "gap: cp-3 not seen: connection refused"},
		{"cp-3", "silent", ""},
		{"cp-3", "free", "seen again: cp-3"},
		{"cp-1", "silent", "gap: cp-1 not seen since 12:00:01.000: connection refused\n10.5.0.50 unknown cp-1 -> - " + nobody + "cp-1 did not say"},
		{"cp-2", "has", "10.5.0.50 owned - -> cp-2 cp-2 holds the address; silent: cp-1 (unknown for 1 s)"},
		{"cp-1", "free", "seen again: cp-1, after 6 s"},
		{"cp-2", "free", "10.5.0.50 unowned cp-2 -> - every node answered and none holds the address (owned for 2 s)"},
	} {
		expectLines(t, step.node+" "+step.word, w.tells(step.node, step.word), step.want)
	}
}

// TestWatchingWithoutTheOthers: where nobody tells which other nodes there are, one
// of them may have what no other has.
func TestWatchingWithoutTheOthers(t *testing.T) {
	w := watchFrom("cp-1 free")
	alone := watchedCluster("cp-1 free")
	alone.Nodes[0].Members = cluster.Missed[[]cluster.Member](errors.New("no leader"))
	w.found(watchBegun, alone, true)
	if v := w.courses[watchedVIP].Verdict; v.Ownership != vip.Unknown {
		t.Errorf("one node is free, and the others are not known: %v; want unknown", v)
	}
	expectLines(t, "it takes the VIP", w.tells("cp-1", "has"), "10.5.0.50 owned - -> cp-1 cp-1 holds the address (unknown for 1 s)")
	expectLines(t, "it lets go", w.tells("cp-1", "free"), "10.5.0.50 unknown cp-1 -> - nobody who answered holds the address, and others did not say (owned for 1 s)")
	expectLines(t, "etcd tells that there are none", lines(w.found(w.now, watchedCluster("cp-1 free"), false)),
		"10.5.0.50 unowned - -> - every node answered and none holds the address")

	claims := alone.Claims(watchedVIP)
	from := newWatching(report.NewOwnership(alone, report.Judged{VIP: watchedVIP, Claims: claims, Verdict: vip.Judge(claims)}), 0)
	if len(from.nodes) != 1 || from.courses[watchedVIP].Verdict.Ownership != vip.Unknown {
		t.Errorf("a watch from such a look has %d nodes, and is %v; want one, and unknown", len(from.nodes), from.courses[watchedVIP].Verdict)
	}

	mute := watchFrom("cp-1 silent") // which told nothing of who else there is
	mute.tells("cp-1", "free")
	if v := mute.courses[watchedVIP].Verdict; v.Ownership != vip.Unknown {
		t.Errorf("the only node known is free, after it told nothing at first: %v; want unknown", v)
	}
}

func TestWatchingTwoOwners(t *testing.T) {
	w := watchFrom("cp-1 has, cp-2 free")
	if due := w.due(); !due.IsZero() {
		t.Errorf("due %v with one owner; want never", due)
	}
	expectLines(t, "a second owner", w.tells("cp-2", "has"),
		"10.5.0.50 disputed cp-1 -> cp-1,cp-2 cp-1 and cp-2 hold the address; seen once only, so it may be a handover")
	due := w.due()
	if want := w.now.Add(vip.ResampleAfter); !due.Equal(want) {
		t.Fatalf("due %v; want %v", due, want)
	}
	expectLines(t, "too early", lines(w.wait(due.Add(-1))), "")
	expectLines(t, "when due", lines(w.wait(due)),
		"10.5.0.50 splitBrain cp-1,cp-2 -> cp-1,cp-2 cp-1 and cp-2 hold the address; seen twice (disputed for 2 s)")
	if due := w.due(); !due.IsZero() {
		t.Errorf("due %v after it was said; want never", due)
	}
}

// One of two owners who falls silent may be one still, until it answers or its
// lease and more have passed.
func TestWatchingOneOfTwoFallsSilent(t *testing.T) {
	w := watchFrom("cp-1 has, cp-2 free")
	w.tells("cp-2", "has")
	w.wait(w.due())
	got := w.tells("cp-1", "silent")
	_, change, _ := strings.Cut(got, "\n")
	expectLines(t, "one of two falls silent", change,
		"10.5.0.50 disputed cp-1,cp-2 -> cp-2 cp-2 holds the address; silent: cp-1; cp-1 held it too when last seen, and may still (splitBrain for 1 s)")
	due := w.due()
	if want := w.now.Add(vip.PredictCrash(5*time.Second, vip.OwnerLeads).Upper); !due.Equal(want) {
		t.Fatalf("due %v; want %v, when a crashed owner's successor has it at the latest", due, want)
	}
	expectLines(t, "too early", lines(w.wait(due.Add(-1))), "")
	expectLines(t, "when due", lines(w.wait(due)), "10.5.0.50 owned cp-2 -> cp-2 cp-2 holds the address; silent: cp-1 (disputed for 10.5 s)")
}

// A look at one of two owners, the other of whom fell silent between its two
// sightings, is disputed, and stays so in the watch for as long as it may.
func TestWatchingAfterALookAtOneOfTwo(t *testing.T) {
	for first, want := range map[string]vip.Ownership{"cp-1 has, cp-2 has": vip.Disputed, "cp-1 free, cp-2 has": vip.Owned} {
		earlier, snap := watchedCluster(first), watchedCluster("cp-1 silent, cp-2 has")
		snap.TakenAt = watchBegun.Add(2 * time.Second)
		snap.Earlier = earlier
		one, two := earlier.Judge(watchedVIP), snap.Judge(watchedVIP)
		look := report.NewOwnership(snap, report.Judged{VIP: watchedVIP, Claims: snap.Claims(watchedVIP), Verdict: vip.Confirm(one, two), First: &one, Second: &two})
		w := newWatching(look, 5*time.Second)
		w.found(snap.TakenAt, snap, true)
		if v := w.courses[watchedVIP].Verdict.Ownership; v != want || look.VIPs[0].Verdict != v.String() {
			t.Errorf("%s, and then cp-1 is silent: the watch begins with %v, the look says %s; want %v", first, v, look.VIPs[0].Verdict, want)
		}
		if due := w.due(); want == vip.Disputed && !due.Equal(snap.TakenAt.Add(vip.PredictCrash(5*time.Second, vip.OwnerLeads).Upper)) {
			t.Errorf("due %v; want it when the lease and more have passed after %v", due, snap.TakenAt)
		}
	}
}

// An address that comes and goes hundreds of times a second is told now and then,
// and as it is in the end; another VIP is told as always.
func TestWatchingAFlappingAddress(t *testing.T) {
	w := watchFrom("cp-1 has, cp-2 free")
	other := netip.MustParseAddr("10.5.0.60")
	w.vips = append(w.vips, other)
	w.begin(w.now, other, false)
	told, n := 0, w.node("cp-1")
	begun := w.now.Add(time.Second)
	for i := range 1101 { // a change every 2.5 ms
		at := begun.Add(time.Duration(i) * 2500 * time.Microsecond)
		c := talos.AddressChange{At: at, Heard: at}
		if i%2 == 1 {
			c.Present = []netip.Prefix{netip.PrefixFrom(watchedVIP, 32)}
		}
		told += len(w.heard(n, c))
	}
	if told < changesASecond || told > 3*changesASecond+3 {
		t.Fatalf("%d lines in 3 seconds of 1101 changes; want %d a second at most", told, changesASecond)
	}
	due := w.due()
	if due.IsZero() || due.Sub(w.now) > time.Second {
		t.Fatalf("due %v after %v; want it within a second", due, w.now)
	}
	last := w.now
	expectLines(t, "another VIP meanwhile", lines(w.heard(w.node("cp-2"), talos.AddressChange{At: w.now.Add(1), Present: []netip.Prefix{netip.PrefixFrom(other, 32)}})),
		"10.5.0.60 owned - -> cp-2 cp-2 holds the address")
	expectLines(t, "too early", lines(w.wait(due.Add(-1))), "")
	events := w.wait(due)
	if len(events) != 1 || events[0].Verdict != "unowned" || !events[0].At.Equal(last) || !strings.Contains(events[0].Reason, "the last of ") {
		t.Errorf("when due: %s; want that it is unowned since %v", lines(events), last)
	}
	if due := w.due(); !due.IsZero() {
		t.Errorf("due %v after that; want never", due)
	}
	expectLines(t, "a change after that", w.tells("cp-1", "has"), "10.5.0.50 owned - -> cp-1 cp-1 holds the address (unowned for 1.25 s)")
}

// Later looks find who has come, gone, or moved.
func TestWatchingMembership(t *testing.T) {
	for _, tt := range []struct {
		name, gone  string // a node that is silent by then
		found       string
		want, begun string
	}{
		{"nobody came or went", "", "cp-1 has, cp-2 free, cp-3 free", "", ""},
		{"a node joined", "", "cp-1 has, cp-2 free, cp-3 free, cp-4 free", "joined: cp-4 10.5.0.4", "cp-4"},
		{"a silent one is a member no more", "cp-3", "cp-1 has, cp-2 free", "left: cp-3 10.5.0.3", ""},
		{"a silent one is not found, and nobody has a list of members", "cp-3", "cp-1 silent, cp-2 silent", "", ""},
		{"one that answers is not let go, whatever others say", "", "cp-1 has, cp-2 free", "", ""},
		{"a node has another address", "", "cp-1 has, cp-2 free, cp-3@9 free", "", "cp-3"},
		{"a silent one was known by its address, and has a name now", "cp-3", "cp-1 has, cp-2 free, cp-9@3 free", "joined: cp-9 10.5.0.3", "cp-9"},
		{"another is where one was that has another address", "", "cp-0@1 free, cp-1@7 has, cp-2 free, cp-3 free", "joined: cp-0 10.5.0.1", "cp-0 cp-1"},
		{"one joined with the VIP", "", "cp-1 has, cp-2 free, cp-3 free, cp-4 has",
			"joined: cp-4 10.5.0.4\n10.5.0.50 disputed cp-1 -> cp-1,cp-4 cp-1 and cp-4 hold the address; seen once only, so it may be a handover", "cp-4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := watchFrom("cp-1 has, cp-2 free, cp-3 free")
			if tt.gone != "" {
				w.tells(tt.gone, "silent")
			}
			expectLines(t, tt.found, lines(w.found(w.now.Add(time.Second), watchedCluster(tt.found), false)), tt.want)
			if begun := strings.Join(w.followed(), " "); begun != tt.begun {
				t.Errorf("%s: watches begun of %q; want %q", tt.found, begun, tt.begun)
			}
		})
	}
}

// What is remembered of a node outlasts its name: one of two that fell silent may
// have the VIP, whatever it is called.
func TestWatchingNamesOfOneThatMayHold(t *testing.T) {
	for _, tt := range []struct{ name, found, want, begun string }{
		{"it is known by its address alone, and nobody lists the members", "10.5.0.1@1 silent, cp-2 unlisted", "", ""},
		{"it has another name", "cp-9@1 silent, cp-2 has", "joined: cp-9 10.5.0.1", "cp-9"},
		{"the members are listed without it", "10.5.0.1@1 silent, cp-2 has", "joined: 10.5.0.1 10.5.0.1", "10.5.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := watchFrom("cp-1 has, cp-2 free")
			w.tells("cp-2", "has")
			w.tells("cp-1", "silent")
			due := w.due()
			expectLines(t, tt.found, lines(w.found(w.now.Add(time.Second), watchedCluster(tt.found), false)), tt.want)
			if v := w.courses[watchedVIP].Verdict; v.Ownership != vip.Disputed || !w.due().Equal(due) {
				t.Errorf("%s: %v, due %v; want disputed, due %v", tt.found, v, w.due(), due)
			}
			if begun := strings.Join(w.followed(), " "); begun != tt.begun {
				t.Errorf("%s: watches begun of %q; want %q", tt.found, begun, tt.begun)
			}
			back := lines(w.found(w.now.Add(time.Second), watchedCluster("cp-1 has, cp-2 has"), false))
			if tt.begun == "" && back != "" || tt.begun != "" && !strings.HasPrefix(back, "joined: cp-1 10.5.0.1") {
				t.Errorf("and then it has its name again:\n%s", back)
			}
		})
	}
}

// An owner that has another name from now on is told once, and is the same node:
// there are never two of it.
func TestWatchingARenamedOwner(t *testing.T) {
	w := watchFrom("cp-1 has, cp-2 free")
	expectLines(t, "another name", lines(w.found(w.now.Add(time.Second), watchedCluster("cp-9@1 free, cp-2 free"), false)),
		"joined: cp-9 10.5.0.1\n10.5.0.50 owned cp-1 -> cp-9 cp-9 holds the address")
	if n := w.node("cp-9"); n == nil || n.end != nil || w.node("cp-1") != nil {
		t.Errorf("cp-9 is %+v, cp-1 %+v; want cp-9 alone, to be watched", n, w.node("cp-1"))
	}
}

func TestWatchingVIPs(t *testing.T) {
	other := netip.MustParseAddr("10.5.0.60")
	for _, closed := range []bool{false, true} {
		w := watchFrom("cp-1 has, cp-2 free")
		w.closed = closed
		snap := watchedCluster("cp-1 has, cp-2 free")
		snap.VIPs = append(snap.VIPs, cluster.VIP{Addr: other})
		want := map[bool]string{false: "10.5.0.60 unowned - every node answered and none holds the address", true: ""}[closed]
		expectLines(t, "another VIP", lines(w.found(w.now, snap, false)), want)
	}
}

func TestWatchingLateNews(t *testing.T) {
	w := watchFrom("cp-1 has, cp-2 free")
	n := w.node("cp-2")
	w.tells("cp-2", "silent")
	w.found(w.now, watchedCluster("cp-1 has"), false) // cp-2 left
	if got := w.heard(n, talos.AddressChange{At: w.now, Present: []netip.Prefix{netip.PrefixFrom(watchedVIP, 32)}}); got != nil {
		t.Errorf("news of a node that was let go: %s; want none", lines(got))
	}
}

func TestWatchRefuses(t *testing.T) {
	h := newHarness(t)
	if code := h.run("owner", "--watch", "-o", "xml"); code != 2 {
		t.Errorf("-o xml = exit code %d; want 2: %s", code, h.err)
	}
	h = newHarness(t)
	h.f.Talosconfig = func() (*talos.Config, error) { return nil, errors.New("no talosconfig\nat all") }
	if code := h.run("owner", "--watch", "-o", "json"); code != 1 || strings.Count(h.out.String(), "\n") != 1 ||
		!strings.Contains(h.out.String(), `"kind":"Error"`) || !strings.Contains(h.err.String(), "error: no talosconfig") {
		t.Errorf("no talosconfig = exit code %d; want 1 and one line of JSON: %s%s", code, h.out, h.err)
	}
}

// Whoever has the VIP may be a node that nobody named as yet.
func TestTroubled(t *testing.T) {
	for _, tt := range []struct {
		ownership vip.Ownership
		silent    string // why a node is, "" for none
		want      bool
	}{
		{vip.Owned, "", false},
		{vip.Disputed, "", false},
		{vip.Unowned, "", true},
		{vip.Unknown, "", true},
		{vip.Owned, "no answer", true},
	} {
		w := watchFrom("cp-1 has, cp-2 free")
		w.nodes[1].err = tt.silent
		w.courses[watchedVIP] = vip.Course{Verdict: vip.Verdict{Ownership: tt.ownership}}
		if got := w.troubled(); got != tt.want {
			t.Errorf("troubled() with a VIP that is %v and a node of which is known %q = %t; want %t", tt.ownership, tt.silent, got, tt.want)
		}
	}
}
