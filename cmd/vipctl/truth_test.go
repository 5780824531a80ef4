//go:build linux

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/report"
)

// events are the lab's true instants, in their order.
func (l *testLab) events() []event {
	l.t.Helper()
	r := vipctl(l.t, "lab", "events", "--name", l.name, "-o", "json")
	if r.code != 0 {
		l.t.Fatal(r)
	}
	var list []event
	for line := range strings.Lines(r.stdout) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			l.t.Fatalf("%q: %v", line, err)
		}
		list = append(list, e)
	}
	return list
}

// holdsToTruth compares each drill of a report in which a fault was sent, and
// that ended whole, with what truly happened: the outage from the true loss of
// the address to the new owner's first accepted connection must lie within the
// bounds of the headline.
func (l *testLab) holdsToTruth(doc report.DrillReport) {
	l.t.Helper()
	events := l.events()
	until := time.Duration(doc.Anchor.MonotonicNanoseconds) + doc.FinishedAt.Sub(doc.Anchor.Wall)
	for _, d := range slices.Backward(doc.Drills) {
		if d.FaultAt == nil || d.Result == "notWhole" {
			continue
		}
		fault := time.Duration(d.FaultAt.MonotonicNanoseconds)
		lost, back, by := trueOutage(events, d.Mode, d.OldOwner, doc.VIP, fault, until)
		until = fault
		if lost == 0 || back == 0 {
			l.t.Errorf("%s: the truth has no loss or no return (%v, %v) after the fault at %v: %v", d.Mode, lost, back, fault, events)
			continue
		}
		length := (back - lost).Seconds()
		l.t.Logf("%s (leader %v) %s -> %s: %s, truth %.4f s, predicted %.3g - %.3g s, lost %d, flapping %v", d.Mode, d.OwnerWasEtcdLeader,
			d.OldOwner, d.NewOwner, d.Outage, length, d.Predicted.LowerSeconds, d.Predicted.UpperSeconds, d.Outage.Lost, d.Outage.Flapping)
		if d.NewOwner != by || d.NewOwner == d.OldOwner {
			l.t.Errorf("%s: owner %q, then %q; in truth then %q", d.Mode, d.OldOwner, d.NewOwner, by)
		}
		if d.Outage.UpperSeconds == nil || d.Outage.Seconds == nil || length < d.Outage.LowerSeconds || length > *d.Outage.UpperSeconds {
			l.t.Errorf("%s: measured %s; the truth is %.6f s (%v to %v, fault %v), outside its bounds", d.Mode, d.Outage, length, lost, back, fault)
		}
		if length < d.Predicted.LowerSeconds-early.Seconds() || length > d.Predicted.UpperSeconds+late.Seconds() || d.Predicted.Basis == "" {
			l.t.Errorf("%s: predicted %+v; the truth is %.3f s", d.Mode, d.Predicted, length)
		}
		if want := 0.22; d.ResolutionSeconds != want {
			l.t.Errorf("resolution %v s; want %v, an interval and a timeout", d.ResolutionSeconds, want)
		}
	}
}

// trueOutage reads from the log when the owner lost the address, when the next
// to keep it answered first, and who that is. A node may answer before the log
// has its address: that is written down once the kernel has said that it is
// there, and by then others may have asked for it.
func trueOutage(events []event, mode, owner, vip string, fault, until time.Duration) (lost, back time.Duration, by string) {
	loss := addressRemoved
	if mode == "hard" {
		loss = linkCut
	}
	answers := map[string]time.Duration{} // the first of each node, since it last gave the address up
	for _, e := range events {
		about := strings.TrimSuffix(e.Detail, "/32") == vip
		switch {
		case e.At < fault || e.At >= until:
		case lost == 0 && e.Node == owner && e.Kind == loss:
			lost = e.At
		case lost == 0 || e.Node == owner || !about:
		case e.Kind == addressAdded: // the last one: who had it for an instant only was no owner
			by = e.Node
		case e.Kind == addressRemoved:
			delete(answers, e.Node)
		case e.Kind == answered || e.Kind == accepted:
			if _, had := answers[e.Node]; !had {
				answers[e.Node] = e.At
			}
		}
	}
	return lost, answers[by], by
}

func TestTrueOutage(t *testing.T) {
	const vip = "10.5.0.50"
	lost := event{At: 10, Node: "cp-2", Kind: addressRemoved, Detail: vip + "/32"}
	for _, tt := range []struct {
		name string
		log  []event
		back time.Duration
		by   string
	}{
		{"the next owner answers before its address is in the log", []event{lost,
			{14, "cp-1", answered, vip}, {15, "cp-1", accepted, vip}, {16, "cp-1", addressAdded, vip + "/32"}}, 14, "cp-1"},
		{"who gave it up again was no owner", []event{lost,
			{14, "cp-1", addressAdded, vip + "/32"}, {15, "cp-1", answered, vip}, {17, "cp-1", addressRemoved, vip + "/32"},
			{18, "cp-3", addressAdded, vip + "/32"}, {19, "cp-3", answered, vip}}, 19, "cp-3"},
		{"an answer before the loss is the old owner's time", []event{
			{9, "cp-1", answered, vip}, lost, {12, "cp-1", addressAdded, vip + "/32"}, {13, "cp-1", accepted, vip}}, 13, "cp-1"},
		{"nobody has it again", []event{lost}, 0, ""},
	} {
		if at, back, by := trueOutage(tt.log, "graceful", "cp-2", vip, 5, 100); at != lost.At || back != tt.back || by != tt.by {
			t.Errorf("%s: trueOutage = %v, %v, %q; want %v, %v, %q", tt.name, at, back, by, lost.At, tt.back, tt.by)
		}
	}
}

// answer is a verdict of vipctl owner, and when it was asked for and given.
type answer struct {
	from, to time.Duration
	verdict  string
	owners   []string
}

// ask asks for the owner again and again until done is closed.
func (l *testLab) ask(done <-chan struct{}) (answers []answer) {
	for {
		select {
		case <-done:
			return answers
		case <-time.After(100 * time.Millisecond):
		}
		from := monotonic()
		_, doc := l.owner("--timeout", "500ms")
		v := doc.VIPs[0]
		answers = append(answers, answer{from: from, to: monotonic(), verdict: v.Verdict, owners: v.Owners})
	}
}

// neverWrong holds verdicts to the truth: whoever is named held the address at
// some time while the question was asked, and nobody saw a split brain.
func (l *testLab) neverWrong(answers []answer) {
	l.t.Helper()
	events, seen := l.events(), map[string]int{}
	for _, a := range answers {
		seen[a.verdict]++
		switch a.verdict {
		case "owned":
			if len(a.owners) != 1 || !held(events, a.owners[0], a) {
				l.t.Errorf("owned by %v between %v and %v, who did not have it then: %v", a.owners, a.from, a.to, events)
			}
		case "unowned", "unknown":
		default:
			l.t.Errorf("verdict %s of %v between %v and %v; want owned, unowned or unknown", a.verdict, a.owners, a.from, a.to)
		}
	}
	l.t.Logf("verdicts while the drills ran: %v", seen)
	if seen["owned"] == 0 || seen["unowned"]+seen["unknown"] == 0 {
		l.t.Errorf("verdicts %v; want some of an owner and some of none", seen)
	}
}

// held says whether the node had the address at some time of the answer. It got
// it between its election and the line of the log that says so.
func held(events []event, node string, a answer) bool {
	has := false
	for _, e := range events {
		if e.Node != node {
			continue
		}
		if has && e.At >= a.from {
			return true
		}
		if e.At > a.to {
			return false
		}
		switch e.Kind {
		case elected, addressAdded:
			has = true
		case addressRemoved, linkCut, powerOff:
			has = false
		}
	}
	return has
}
