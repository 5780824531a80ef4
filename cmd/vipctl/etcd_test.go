package main

import (
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
		ID, Hostname, Error string
		Learner, Leader     bool
	}
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
	_, leader, bystander := lab.parts()
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
		lab.in(t).on("etcd").shows(t, 0, "verdict healthy", "may be lost now 1", "leader "+leader, leader+` [0-9a-f]+ leader healthy \d+ \d+ \d+ [\d.]+ [KM]iB -`)
		lab.in(t).on("etcd", "-o", "wide").shows(t, 0, "LISTED BY MEMBERS ERROR")
	})
	t.Run("a role that only reads suffices", func(t *testing.T) {
		lab.in(t).sh("vipctl etcd --talosconfig $TALOSCONFIG-reader").shows(t, 0, "verdict healthy")
	})
	t.Run("a node is off: degraded", func(t *testing.T) {
		lab.in(t).fault("inject", "power-off", bystander)
		r, doc := lab.in(t).etcd(3, "--timeout", "1s")
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
		r, doc := lab.in(t).etcd(7, "--timeout", "1s")
		if doc.Verdict != "unknown" || doc.Leader != "" || len(doc.Reasons) == 0 {
			t.Errorf("want unknown, with reasons\n%s", r)
		}
	})
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
	lab.on("etcd", "--timeout", "2s").shows(t, 3, "verdict noQuorum", "voters not known", "may be lost now not known")
}
