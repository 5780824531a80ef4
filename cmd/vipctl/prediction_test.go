//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPredictionComesTrue cuts the owner's power right after a look, and
// compares for how long the VIP is event gone with what was predicted: for an
// owner that follows in etcd, for one that leads, and with a ghost ahead of the
// heir.
func TestPredictionComesTrue(t *testing.T) {
	lab := newLabAlone(t, "--lease-ttl", "6s")
	t.Run("the owner follows in etcd", func(t *testing.T) { lab.in(t).crash(false) })
	t.Run("the owner leads etcd", func(t *testing.T) { lab.in(t).crash(true) })
	t.Run("a ghost is ahead of the heir", func(t *testing.T) { lab.in(t).crashBeforeGhost() })
}

// since returns the lab's true events from an instant on.
func (l *testLab) since(at time.Duration) []event {
	l.t.Helper()
	return slices.DeleteFunc(l.events(), func(e event) bool { return e.At < at })
}

// await waits for an event from an instant on.
func (l *testLab) await(at time.Duration, what string, is func(event) bool) event {
	l.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		for _, e := range l.since(at) {
			if is(e) {
				return e
			}
		}
		if time.Now().After(end) {
			l.t.Fatalf("for 30 s there was no event: %s", what)
		}
	}
}

// lookedAt is an election, and between which instants it was asked for.
type lookedAt struct {
	election
	before, after time.Duration
}

func (l *testLab) lookAtElection() lookedAt {
	l.t.Helper()
	before := monotonic()
	_, all := l.elections(0)
	return lookedAt{all["10.5.0.50"], before, monotonic()}
}

// arrange waits for a whole queue of three, and hands the VIP on until its owner
// leads etcd, or does not.
func (l *testLab) arrange(leads bool) {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("no whole queue whose owner leads etcd = %t, for a minute", leads)
		}
		r := l.on("owner", "--election", "-o", "json")
		if r.code != 0 {
			continue
		}
		e := l.electionsOf(0, r)["10.5.0.50"]
		if len(e.Candidates) != 3 || e.ghosts() > 0 || e.Predicted == nil || e.Predicted.OwnerIsEtcdLeader == nil {
			continue
		}
		if *e.Predicted.OwnerIsEtcdLeader == leads {
			return
		}
		l.fault("inject", "kubelet-stop", e.Candidates[0].Node) // Talos's owner resigns where its kubelet goes
		l.fault("undo", "kubelet-stop", e.Candidates[0].Node)
	}
}

func (e election) ghosts() (n int) {
	for _, c := range e.Candidates {
		if c.Ghost {
			n++
		}
	}
	return n
}

// heir is who takes the VIP next, by what was said.
func (e election) heir(t *testing.T) string {
	t.Helper()
	for _, c := range e.Candidates {
		if c.Role == "next" {
			return c.Node
		}
	}
	t.Fatalf("nobody is next in %+v", e.Candidates)
	return ""
}

// cut cuts the owner's power, and returns when that was.
func (l *testLab) cut(e lookedAt) time.Duration {
	l.t.Helper()
	owner := e.Candidates[0].Node
	l.fault("inject", "power-off", owner)
	return l.await(e.after, "the owner's power is cut", func(ev event) bool { return ev.Kind == linkCut && ev.Node == owner }).At
}

// taken is when a node takes the VIP, and which.
func (l *testLab) taken(from time.Duration) event {
	l.t.Helper()
	return l.await(from, "a node takes the VIP", func(e event) bool { return e.Kind == addressAdded && e.Detail == "10.5.0.50/32" })
}

// renewed says that the owner's lease was kept alive after etcd may have been
// asked: what was left of it is then up to a third of the lease too little.
func (l *testLab) renewed(e lookedAt) bool {
	l.t.Helper()
	for _, ev := range l.since(e.before) {
		if ev.Kind == "lease-kept-alive" && ev.Detail == e.Candidates[0].Lease {
			return true
		}
	}
	return false
}

// The bounds are compared with what the lab's log says, whose instants err by
// milliseconds, and with what two busy processors do within late.
const (
	early = 200 * time.Millisecond
	late  = 1500 * time.Millisecond
)

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// crash compares the truth with the prediction. An owner that leads counts from
// the cut; for one that follows, its lease ran from when etcd was asked.
func (l *testLab) crash(leads bool) {
	t := l.t
	l.arrange(leads)
	e := l.lookAtElection()
	defer l.fault("undo", "power-off", e.Candidates[0].Node)
	at := l.cut(e)
	heir := l.taken(at)
	p := e.Predicted
	if p == nil || p.OwnerIsEtcdLeader == nil || *p.OwnerIsEtcdLeader != leads {
		t.Fatalf("predicted = %+v; want it for an owner that leads etcd = %t", p, leads)
	}
	least, most := at+inSeconds(p.Now.LowerSeconds), at+inSeconds(p.Now.UpperSeconds)
	if !leads {
		least, most = e.before+inSeconds(p.Now.LowerSeconds), e.after+inSeconds(p.Now.UpperSeconds)
		if l.renewed(e) {
			most += 2 * time.Second
		}
	}
	t.Logf("gone for %s, cut %s after the look; predicted %v, so %s - %s", heir.At-at, at-e.after, p.Now, least-at, most-at)
	if heir.At < least-early || heir.At > most+late {
		t.Errorf("the VIP was gone for %s; want %s - %s, by what was predicted: %+v", heir.At-at, least-at, most-at, p.Now)
	}
	// Where etcd elects a leader, who waits may lose its place meanwhile; then that
	// was said.
	said := slices.ContainsFunc(e.Notes, func(n string) bool { return strings.Contains(n, "another than "+e.heir(t)+" takes the VIP") })
	if heir.Node != e.heir(t) && !said || said != leads {
		t.Errorf("%s took the VIP, %s was next, and the owner led etcd = %t; notes %q", heir.Node, e.heir(t), leads, e.Notes)
	}
}

// crashBeforeGhost has a key ahead of the heir with which nobody campaigns: the
// VIP stays away until that is gone as well as the owner's. Something may renew
// its lease until then, so only the least is sure.
func (l *testLab) crashBeforeGhost() {
	t := l.t
	l.arrange(false)
	first := l.lookAtElection()
	second := first.Candidates[1].Node
	l.fault("inject", "ghost", second)
	var e lookedAt
	for end := time.Now().Add(20 * time.Second); e.ghosts() != 1 || len(e.Candidates) != 4; {
		if time.Now().After(end) {
			t.Fatalf("candidates = %+v; want four, and a ghost among them", e.Candidates)
		}
		e = l.lookAtElection()
	}
	defer l.fault("undo", "power-off", e.Candidates[0].Node)
	at := l.cut(e)
	p, lease := e.Predicted, e.Candidates[0].Lease
	if p == nil || !e.Candidates[1].Ghost || e.heir(t) != first.Candidates[2].Node || !strings.Contains(p.Now.Basis, "if their leases are renewed it takes until that ends") {
		t.Fatalf("candidates = %+v, predicted = %+v; want a ghost in the second place, and that it is said", e.Candidates, p)
	}
	expired := l.await(at, "the owner's lease has run out", func(ev event) bool { return ev.Kind == "lease-expired" && ev.Detail == lease })
	// The ghost may have hung on the owner's etcd: it is undone when it has found
	// another, or its lease runs out by itself.
	took := func(ev event) bool { return ev.Kind == addressAdded }
	for end := time.Now().Add(30 * time.Second); !slices.ContainsFunc(l.since(at), took) && time.Now().Before(end); {
		if vipctl(t, "lab", "fault", "undo", "--name", l.name, "ghost", second).code == 0 {
			break
		}
	}
	heir := l.taken(at)
	gone := l.await(at, "the ghost's key is gone", func(ev event) bool {
		return ev.Kind == "key-deleted" && strings.Contains(ev.Detail, "/"+e.Candidates[1].Lease+" ")
	})
	least, last := e.before+inSeconds(p.Now.LowerSeconds), max(gone.At, expired.At)
	t.Logf("gone for %s; the owner's lease ended after %s, and the ghost's key %s; predicted %v", heir.At-at, expired.At-at, gone.At-at, p.Now)
	if heir.At < least-early || heir.At < last-early || heir.At > last+3*time.Second {
		t.Errorf("the VIP was gone for %s; want %s at least, and until %s, when both leases had ended", heir.At-at, least-at, last-at)
	}
	if heir.Node != e.heir(t) {
		t.Errorf("%s took the VIP; want %s, which was next", heir.Node, e.heir(t))
	}
}
