package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// findings is what scripts read of a DoctorReport.
type findings struct {
	Verdict string
	Checks  []struct{ ID, Category, Title, Status, Message, Hint, Doc string }
}

// doctor runs "vipctl doctor -o json args..." and expects the exit code.
func (l *testLab) doctor(code int, args ...string) findings {
	l.t.Helper()
	return judged(l.t, code, l.on(append([]string{"doctor", "-o", "json"}, args...)...))
}

func judged(t *testing.T, code int, r result) findings {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d; want %d\n%s", r.code, code, r)
	}
	r.keepsTo(t, "doctorreport")
	var doc findings
	r.decode(t, &doc)
	return doc
}

// with returns the IDs of the checks that ended so.
func (f findings) with(status string) []string {
	var ids []string
	for _, c := range f.Checks {
		if c.Status == status {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// finds fails the test unless exactly those checks ended so, and each says why
// and where to read on.
func (f findings) finds(t *testing.T, status string, ids ...string) {
	t.Helper()
	if got := f.with(status); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(ids))) {
		t.Errorf("checks that end as %s = %v; want %v\n%+v", status, got, ids, f.Checks)
	}
	for _, c := range f.Checks {
		if c.Message == "" || !strings.HasSuffix(c.Doc, "docs/checks.md#"+c.ID) || c.Status == "fail" && c.Hint == "" {
			t.Errorf("check %+v; want a message, its heading in the documentation, and a hint if it fails", c)
		}
	}
}

// says fails the test unless the check's message has that in it.
func (f findings) says(t *testing.T, id, part string) {
	t.Helper()
	for _, c := range f.Checks {
		if c.ID == id && !strings.Contains(c.Message, part) {
			t.Errorf("check %+v; want %q in its message", c, part)
		}
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	owner, _, bystander := lab.parts()
	lab.until(0, "doctor", "--fail-on", "warn")
	t.Run("a healthy control plane", func(t *testing.T) { testHealthy(t, lab.in(t), owner) })
	t.Run("a choice of checks", func(t *testing.T) { testChoice(t, lab.in(t)) })
	t.Run("a snapshot that is kept", func(t *testing.T) { testSnapshot(t, lab.in(t)) })
	t.Run("a second holder of the VIP", func(t *testing.T) {
		lab := lab.in(t)
		lab.fault("inject", "leftover-vip", bystander)
		if failed := lab.doctor(6).with("fail"); !slices.Contains(failed, "vip-one-owner") {
			t.Errorf("failed are %v; want vip-one-owner, and perhaps what rests on it: connections go to either", failed)
		}
		lab.doctor(0, "--only", "etcd-quorum") // who was not to look sees no two owners
		lab.fault("undo", "leftover-vip", bystander)
		lab.until(0, "owner") // this machine's neighbour table may be misled for some seconds yet
	})
	t.Run("a dead kube-apiserver", func(t *testing.T) {
		lab := lab.in(t)
		lab.fault("inject", "apiserver-kill", bystander)
		f := lab.doctor(3)
		if !slices.Contains(f.with("fail"), "apiserver-ready") || slices.Contains(f.with("fail"), "vip-answers") {
			t.Errorf("failed are %v; want apiserver-ready, and not vip-answers: the owner's is well", f.with("fail"))
		}
		lab.fault("undo", "apiserver-kill", bystander)
	})
	t.Run("a dead kube-apiserver on the owner", func(t *testing.T) {
		lab := lab.in(t)
		lab.fault("inject", "apiserver-kill", owner)
		f := lab.doctor(3)
		for _, id := range []string{"apiserver-ready", "vip-answers"} {
			if !slices.Contains(f.with("fail"), id) {
				t.Errorf("failed are %v; want %s", f.with("fail"), id)
			}
		}
		lab.fault("undo", "apiserver-kill", owner)
		lab.until(0, "doctor")
	})
	t.Run("a clock that is off, and a kubelet on the VIP", func(t *testing.T) {
		lab := lab.in(t)
		lab.fault("inject", "clock-skew", bystander, "--offset", "5s")
		lab.fault("inject", "node-ip-vip", bystander)
		f := lab.doctor(3)
		f.finds(t, "warn", "clocks-agree")
		f.finds(t, "fail", "node-ip-not-vip")
		f.says(t, "clocks-agree", "the clock of "+bystander+" is ")
		f.says(t, "node-ip-not-vip", bystander)
		lab.fault("undo", "node-ip-vip", bystander)
		lab.fault("undo", "clock-skew", bystander)
	})
	t.Run("a foreign host", func(t *testing.T) {
		lab := lab.in(t)
		lab.fault("inject", "foreign-host")
		f := lab.doctor(3)
		if !slices.Contains(f.with("fail"), "vip-witnesses-agree") || slices.Contains(f.with("fail"), "vip-one-owner") {
			t.Errorf("failed are %v; want vip-witnesses-agree, and not vip-one-owner: one node has it", f.with("fail"))
		}
		f.says(t, "vip-witnesses-agree", "foreign host: ")
		lab.fault("undo", "foreign-host")
		lab.until(0, "owner")
	})
	t.Run("an endpoint that is dead", func(t *testing.T) {
		lab := lab.in(t)
		f := lab.doctor(3, "--endpoints", "10.5.0.2,10.5.0.77")
		f.finds(t, "fail", "nodes-answer")
		f.says(t, "nodes-ready", "not known of 10.5.0.77: see nodes-answer; the other 3 are well")
		for _, c := range f.Checks {
			if c.Category == "etcd" && c.Status != "pass" {
				t.Errorf("check %+v; want pass: no member of etcd can be there", c)
			}
		}
	})
	t.Run("a node that is down", func(t *testing.T) {
		lab := lab.in(t)
		lab.fault("inject", "power-off", bystander)
		const timeout = 3 * time.Second
		begun := time.Now()
		f := lab.doctor(3, "--timeout", timeout.String())
		if took := time.Since(begun); took >= 2*timeout {
			t.Errorf("the doctor took %v; want one timeout, %v, and not one after the other", took, timeout)
		}
		f.finds(t, "fail", "nodes-answer")
		for _, c := range f.Checks {
			if c.ID == "nodes-ready" && (c.Status != "unknown" || c.Message != "not known of "+bystander+": see nodes-answer; the other 2 are well") {
				t.Errorf("check %+v; want unknown, for %s does not answer", c, bystander)
			}
			if c.ID == "nodes-answer" && !strings.Contains(c.Message, bystander) {
				t.Errorf("check %+v; want %s named", c, bystander)
			}
		}
	})
}

func testHealthy(t *testing.T, lab *testLab, owner string) {
	f := lab.doctor(0)
	f.finds(t, "pass", slices.Concat(f.with("pass"), f.with("fail"), f.with("warn"), f.with("unknown"), f.with("skip"))...)
	if f.Verdict != "pass" || len(f.Checks) < 15 {
		t.Errorf("verdict %q of %d checks; want pass, of fifteen at least", f.Verdict, len(f.Checks))
	}
	lab.on("doctor").shows(t, 0, "STATUS CHECK FINDING", `pass vip-one-owner 10\.5\.0\.50 is owned by `+owner, `verdict: pass \(\d+ pass\)`)
	lab.sh("vipctl doctor --talosconfig $TALOSCONFIG-reader").shows(t, 0, `verdict: pass .*`)
	stranger := lab.sh("unset KUBECONFIG; exec vipctl doctor -o json")
	if f := judged(t, 0, stranger); len(f.with("fail"))+len(f.with("warn")) > 0 {
		t.Errorf("without a kubeconfig: failed are %v, warned %v; want none", f.with("fail"), f.with("warn"))
	}
}

func testChoice(t *testing.T, lab *testLab) {
	all := lab.doctor(0)
	lab.doctor(0, "--only", "vip-one-owner,etcd-quorum").finds(t, "pass", "vip-one-owner", "etcd-quorum")
	skipped := lab.doctor(0, "--skip", "vip-one-owner", "--skip", "etcd-quorum").with("pass")
	if len(skipped) != len(all.Checks)-2 || slices.Contains(skipped, "etcd-quorum") {
		t.Errorf("--skip of two leaves %v", skipped)
	}
	for _, c := range lab.doctor(0, "--category", "etcd").Checks {
		if c.Category != "etcd" {
			t.Errorf("--category etcd does %s of %s", c.ID, c.Category)
		}
	}
}

func testSnapshot(t *testing.T, lab *testLab) {
	path := filepath.Join(t.TempDir(), "snapshot.json")
	saved := lab.doctor(0, "--save", path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the snapshot's mode = %v, %v; want 0600", info, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	result{stdout: string(data)}.keepsTo(t, "snapshot")

	from := vipctl(t, "doctor", "--from", path, "-o", "json") // outside the lab, without a talosconfig
	if again := judged(t, 0, from); !slices.Equal(again.Checks, saved.Checks) || again.Verdict != saved.Verdict {
		t.Errorf("judged again = %+v; want %+v", again, saved)
	}

	secrets := lab.sh(`cd "$(dirname "$TALOSCONFIG")" && cat talosconfig talosconfig-* kubeconfig secrets.yaml bmc-password`)
	words := slices.DeleteFunc(strings.Fields(secrets.stdout), func(w string) bool { return len(w) < 20 })
	if secrets.code != 0 || len(words) < 10 {
		t.Fatalf("the lab's secrets cannot be read: %d words\n%s", len(words), secrets.stderr)
	}
	for _, secret := range append(words, "PRIVATE KEY", "-----BEGIN") {
		if strings.Contains(string(data), secret) {
			t.Errorf("the snapshot holds %.12s..., which is a secret of the lab", secret)
		}
	}
}

func TestDoctorFindsAVIPOnTwoOfThree(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s", "--vip-nodes", "cp-1,cp-2")
	lab.until(0, "owner")
	f := lab.doctor(3)
	f.finds(t, "fail", "vip-configured-alike")
	for _, c := range f.Checks {
		if c.ID == "vip-configured-alike" && !strings.Contains(c.Message, "cp-3") {
			t.Errorf("check %+v; want cp-3 named", c)
		}
	}
	lab.on("doctor", "-o", "wide").shows(t, 3, `fail vip vip-configured-alike .*cp-3.*`)
}

func TestDoctorFindsAVIPOnALinkThatDoesNotExist(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s", "--vip-link", "cp-3=eth9")
	lab.until(0, "owner")
	lab.until(3, "doctor", "--only", "vip-campaigns")
	lab.until(0, "doctor", "--skip", "vip-campaigns", "--fail-on", "warn") // nothing else shows it
	f := lab.doctor(3)
	f.finds(t, "fail", "vip-campaigns")
	f.says(t, "vip-campaigns", "cp-3 has 10.5.0.50 configured and does not campaign for it: its link does not exist")
	reader := judged(t, 3, lab.sh("exec vipctl doctor -o json --talosconfig $TALOSCONFIG-reader"))
	reader.finds(t, "fail", "vip-campaigns")
}
