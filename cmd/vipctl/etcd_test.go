package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// etcdReport is what scripts read of an EtcdReport.
type etcdReport struct {
	Verdict, Leader           string
	Voters, Quorum, Tolerance int
	Reasons                   []string
	Members                   []struct {
		ID, Hostname, Error, Health string
		Learner, Leader             bool
	}
	Notes       []struct{ About, Message string }
	Outsiders   []struct{ Node, ID string }
	Differences []struct{ Member string }
	URLsOnVIP   []struct{ Member, URL string }
	Alarms      []struct{ MemberID, Alarm string }
	Raft        struct {
		Seconds               float64
		TermBefore, TermAfter int
	}
	Without struct {
		Nodes           []string
		Quorum          string
		Healthy, Needed int
		Leader          bool
		VIPs            []struct{ Owner string }
	}
}

// notes are what the notes are about.
func (d etcdReport) notes() (about []string) {
	for _, n := range d.Notes {
		about = append(about, n.About)
	}
	return about
}

// id is the ID of the member of that name.
func (d etcdReport) id(hostname string) string {
	for _, m := range d.Members {
		if m.Hostname == hostname {
			return m.ID
		}
	}
	return ""
}

func (l *testLab) etcd(code int, args ...string) (result, etcdReport) {
	l.t.Helper()
	r := l.until(code, append([]string{"etcd", "-o", "json"}, args...)...)
	r.keepsTo(l.t, "etcdreport")
	var doc etcdReport
	r.decode(l.t, &doc)
	return r, doc
}

func TestEtcd(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	owner, leader, bystander := lab.parts()
	t.Run("healthy", func(t *testing.T) {
		r, doc := lab.in(t).etcd(0)
		if doc.Verdict != "healthy" || doc.Leader != leader || doc.Voters != 3 || doc.Quorum != 2 || doc.Tolerance != 1 || len(doc.Members) != 3 || len(doc.Reasons) != 0 {
			t.Errorf("want three healthy voters led by %s, of which one may be lost\n%s", leader, r)
		}
		for _, m := range doc.Members {
			if m.Learner || m.Error != "" || m.ID == "" || m.Leader != (m.Hostname == leader) {
				t.Errorf("member %+v; want a healthy voter, and the leader if it is %s", m, leader)
			}
		}
		lab.in(t).on("etcd").shows(t, 0, "verdict healthy", "may be lost now 1", "leader "+leader, leader+` [0-9a-f]+ leader healthy \d+ \d+ \d+ [\d.]+ [KM]iB \d+% [\d.]+ -`)
		lab.in(t).on("etcd", "-o", "wide").shows(t, 0, "LISTED BY MEMBERS ERROR")
		if doc.Raft.Seconds != 1 || doc.Raft.TermBefore == 0 || doc.Raft.TermBefore != doc.Raft.TermAfter {
			t.Errorf("raft = %+v; want two samples 1 s apart, of one term", doc.Raft)
		}
		if owner == leader != slices.Contains(doc.notes(), "leaderOwnsVIP") {
			t.Errorf("notes on %q; want leaderOwnsVIP there if %s, the owner, is the leader %s", doc.notes(), owner, leader)
		}
	})
	t.Run("a snapshot that is kept", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "snapshot.json")
		now := lab.in(t).on("etcd", "-o", "json", "--save", file)
		then := vipctl(t, "etcd", "-o", "json", "--from", file) // outside the lab, without its configuration
		if now.code != 0 || then.code != 0 || now.stdout != then.stdout {
			t.Errorf("a kept snapshot tells otherwise\n%s\n%s", now, then)
		}
	})
	t.Run("a role that only reads suffices", func(t *testing.T) {
		lab.in(t).sh("vipctl etcd --talosconfig $TALOSCONFIG-reader").shows(t, 0, "verdict healthy")
	})
	t.Run("and if some were gone", func(t *testing.T) { testWithout(t, lab.in(t), leader) })
	t.Run("a learner that never started", func(t *testing.T) { testLearner(t, lab.in(t), bystander) })
	t.Run("an alarm", func(t *testing.T) { testAlarm(t, lab.in(t), bystander) })
	t.Run("a member advertises the VIP", func(t *testing.T) { testPeerOnVIP(t, lab.in(t), bystander) })
	t.Run("one etcd is down", func(t *testing.T) { testOneEtcdDown(t, lab.in(t), bystander) })
	t.Run("one node is cut off from the others", func(t *testing.T) { testCutOff(t, lab.in(t), bystander) })
	t.Run("a node is off: degraded", func(t *testing.T) {
		lab.in(t).fault("inject", "power-off", bystander)
		r, doc := lab.in(t).etcd(3, "--timeout", "2s")
		if doc.Verdict != "degraded" || doc.Leader == "" || doc.Voters != 3 || doc.Quorum != 2 || doc.Tolerance != 0 || len(doc.Members) != 3 {
			t.Errorf("want three voters of which none may be lost\n%s", r)
		}
		for _, m := range doc.Members {
			if (m.Error != "") != (m.Hostname == bystander) {
				t.Errorf("member %+v; want an error of %s only", m, bystander)
			}
		}
	})
	t.Run("two are off: nobody can tell", func(t *testing.T) {
		// The two that are silent could have a quorum, on the far side of a
		// partition: to call it lost would invite a recovery that destroys it.
		lab.in(t).fault("inject", "power-off", leader)
		r, doc := lab.in(t).etcd(7, "--timeout", "2s")
		begun := time.Now()
		lab.in(t).on("etcd", "--timeout", "2s", "--without", bystander).shows(t, 7, "without "+bystander+" not known: nobody lists the members")
		if took := time.Since(begun); took > 9*time.Second { // with room for lab exec on a busy machine
			t.Errorf("etcd --timeout 2s took %s; want 4 s, and a while to get there, at most", took)
		}
		if doc.Verdict != "unknown" || doc.Leader != "" || len(doc.Reasons) == 0 {
			t.Errorf("want unknown, with reasons\n%s", r)
		}
	})
}

func testWithout(t *testing.T, lab *testLab, leader string) {
	_, doc := lab.etcd(0, "--without", leader)
	if w := doc.Without; w.Quorum != "pass" || w.Healthy != 2 || w.Needed != 2 || !w.Leader || !slices.Equal(w.Nodes, []string{leader}) {
		t.Errorf("--without %s = %+v; want the quorum kept, by 2 of 2, and the leader gone", leader, w)
	}
	for _, two := range []string{"cp-1,cp-3", "10.5.0.2,10.5.0.4", doc.id("cp-1") + "," + doc.id("cp-3")} {
		_, doc := lab.etcd(3, "--without", two)
		if w := doc.Without; doc.Verdict != "healthy" || w.Quorum != "fail" || w.Healthy != 1 || !slices.Equal(w.Nodes, []string{"cp-1", "cp-3"}) {
			t.Errorf("--without %s = %s, %+v; want the quorum lost of a healthy etcd without cp-1 and cp-3", two, doc.Verdict, w)
		}
	}
	_, doc = lab.etcd(3, "--without", "cp-1,cp-2,cp-3")
	if len(doc.Without.VIPs) != 1 {
		t.Errorf("without all: VIPs = %+v; want that one's owner is among them", doc.Without.VIPs)
	}
	refuses(t, badInput{code: 2, err: `--without: unknown node or member of etcd "cp-9"`, hint: "one of cp-1, cp-2, cp-3"},
		lab.on("etcd", "--without", "cp-1,cp-9"), lab.on("etcd", "--without", "cp-1,cp-9", "-o", "json"))
}

func testLearner(t *testing.T, lab *testLab, node string) {
	lab.fault("inject", "learner", node)
	r, doc := lab.etcd(3)
	if n := len(doc.Members) - 1; doc.Verdict != "degraded" || doc.Voters != 3 || doc.Tolerance != 1 || n != 3 || !doc.Members[n].Learner || doc.Members[n].Error != "was added and never started" {
		t.Errorf("want three voters, and last a learner that never started\n%s", r)
	}
	lab.doctor(3).finds(t, "fail", "etcd-no-learner-or-alarm")
	lab.doctor(3).finds(t, "unknown") // a member that is nowhere is no silent node
	lab.fault("undo", "learner", node)
	lab.until(0, "etcd")
}

func testAlarm(t *testing.T, lab *testLab, node string) {
	lab.fault("inject", "etcd-nospace", node)
	r, doc := lab.etcd(3)
	if doc.Verdict != "degraded" || len(doc.Alarms) != 1 || doc.Alarms[0].Alarm != "NOSPACE" || doc.Alarms[0].MemberID != doc.id(node) ||
		!slices.Equal(doc.Reasons, []string{"alarm NOSPACE of " + node}) {
		t.Errorf("want NOSPACE of %s, and nothing else\n%s", node, r)
	}
	lab.on("etcd").shows(t, 3, "reason alarm NOSPACE of "+node)
	lab.fault("undo", "etcd-nospace", node)
	lab.until(0, "etcd")
}

func testPeerOnVIP(t *testing.T, lab *testLab, node string) {
	lab.fault("inject", "etcd-peer-vip", node)
	r, doc := lab.etcd(3)
	if doc.Verdict != "degraded" || len(doc.URLsOnVIP) != 1 || doc.URLsOnVIP[0].Member != node || !strings.Contains(doc.URLsOnVIP[0].URL, "10.5.0.50") {
		t.Errorf("want a URL of %s on the VIP\n%s", node, r)
	}
	lab.fault("undo", "etcd-peer-vip", node)
	lab.until(0, "etcd")
}

func testOneEtcdDown(t *testing.T, lab *testLab, node string) {
	lab.fault("inject", "etcd-kill", node, "--hold")
	r, doc := lab.etcd(3, "--timeout", "2s")
	for _, m := range doc.Members {
		if (m.Health == "unhealthy") != (m.Hostname == node) || (m.Error != "") != (m.Hostname == node) {
			t.Errorf("member %+v; want %s unhealthy, and no other\n%s", m, node, r)
		}
	}
	if doc.Verdict != "degraded" || doc.Tolerance != 0 || len(doc.Members) != 3 || len(doc.Differences) != 0 {
		t.Errorf("want three voters of which none may be lost, and no differences\n%s", r)
	}
	_, doc = lab.etcd(3, "--timeout", "2s", "--without", node)
	if doc.Without.Quorum != "pass" {
		t.Errorf("without the one that is down = %+v; want the quorum kept", doc.Without)
	}
	lab.fault("undo", "etcd-kill", node)
	lab.until(0, "etcd")
}

func testCutOff(t *testing.T, lab *testLab, node string) {
	others := slices.DeleteFunc([]string{"cp-1", "cp-2", "cp-3"}, func(n string) bool { return n == node })
	lab.fault("inject", "partition", node, "--from", strings.Join(others, ","))
	r, doc := lab.etcd(3, "--timeout", "2s")
	for end := time.Now().Add(30 * time.Second); !slices.Contains(doc.Reasons, node+" knows of no leader") && time.Now().Before(end); {
		r, doc = lab.etcd(3, "--timeout", "2s")
	}
	if doc.Verdict != "degraded" || doc.Leader == "" || doc.Tolerance != 0 || !slices.Contains(doc.Reasons, node+" knows of no leader") {
		t.Errorf("want a degraded etcd in which %s follows nobody\n%s", node, r)
	}
	lab.fault("undo", "partition", node)
	lab.until(0, "etcd")
}

// An even number of voters, and then a node that is one no more.
func TestEtcdOfFour(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s", "--control-planes", "4")
	_, _, bystander := lab.parts()
	lab.until(0, "etcd")
	r, doc := lab.etcd(0)
	if doc.Voters != 4 || doc.Quorum != 3 || doc.Tolerance != 1 || !slices.Contains(doc.notes(), "evenVoters") {
		t.Errorf("want four voters of which one may be lost, and a note on that\n%s", r)
	}
	id := doc.id(bystander)
	lab.fault("inject", "member-removed", bystander)
	r, doc = lab.etcd(3, "--timeout", "2s")
	if doc.Verdict != "degraded" || doc.Voters != 3 || len(doc.Outsiders) != 1 || doc.Outsiders[0].Node != bystander || doc.id(bystander) != "" {
		t.Errorf("want three voters, and %s, once member %s, outside\n%s", bystander, id, r)
	}
	lab.on("etcd", "--timeout", "2s").shows(t, 3, bystander+" - none unhealthy .*no member of etcd is on this control-plane node: .*")
}

// Where Talos says that etcd does not run, that is evidence, and silence none.
func TestEtcdStopped(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	lab.until(0, "etcd")
	lab.fault("inject", "etcd-kill", "cp-2", "--hold")
	lab.fault("inject", "etcd-kill", "cp-3", "--hold")
	lab.until(3, "etcd", "--timeout", "2s")
	begun := time.Now()
	r, doc := lab.etcd(3, "--timeout", "2s")
	if took := time.Since(begun); took > 7*time.Second { // with room for lab exec on a busy machine
		t.Errorf("etcd --timeout 2s took %s; want 3 s, and a while to get there, at most", took)
	}
	for end := time.Now().Add(30 * time.Second); doc.Verdict != "noQuorum" && time.Now().Before(end); { // the leader has not stepped down yet
		r, doc = lab.etcd(3, "--timeout", "2s")
	}
	if doc.Verdict != "noQuorum" {
		t.Errorf("want no quorum\n%s", r)
	}
	lab.on("etcd", "--timeout", "2s", "--without", "cp-1").shows(t, 7)
	lab.sh("vipctl etcd --timeout 2s --talosconfig $TALOSCONFIG-reader").shows(t, 3, "verdict noQuorum")
}

// The members are listed through the leader, so nobody lists them here.
func TestEtcdWithoutQuorum(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	lab.until(0, "etcd")
	lab.fault("inject", "partition", "cp-1", "--from", "cp-2,cp-3")
	lab.fault("inject", "partition", "cp-2", "--from", "cp-3")
	r, doc := lab.etcd(3, "--timeout", "2s")
	for end := time.Now().Add(time.Minute); doc.Verdict == "degraded" && time.Now().Before(end); { // the leader has not stepped down yet
		r, doc = lab.etcd(3, "--timeout", "2s")
	}
	if doc.Verdict != "noQuorum" || doc.Leader != "" || !strings.Contains(strings.Join(doc.Reasons, "; "), "cp-1 knows of no leader") {
		t.Errorf("want no quorum, and no leader on cp-1\n%s", r)
	}
	lab.on("etcd", "--timeout", "2s").shows(t, 3, "verdict noQuorum", "voters not known")
}
