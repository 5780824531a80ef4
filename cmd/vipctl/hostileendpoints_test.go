package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a talosconfig may have for endpoints, and how little time there may be.
func TestHostileEndpoints(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	owner, _, _ := lab.parts()
	t.Run("names that no name server resolves", func(t *testing.T) { testUnresolved(t, lab.in(t), owner) })
	t.Run("one node by several names", func(t *testing.T) { testTwiceNamed(t, lab.in(t), owner) })
	t.Run("nobody at one of four", func(t *testing.T) { testDeadEndpoint(t, lab.in(t), owner) })
	t.Run("hardly any time", func(t *testing.T) { testHardlyAnyTime(t, lab.in(t), owner) })
}

// within runs shell lines on the workstation, all at the same time, and fails the
// test where one takes a second more than the timeout. Who is late runs again,
// twice, alone: this machine may be busy.
func (l *testLab) within(timeout time.Duration, lines ...string) []result {
	l.t.Helper()
	said, took := make([]result, len(lines)), make([]time.Duration, len(lines))
	var wg sync.WaitGroup
	for i, line := range lines {
		wg.Go(func() { said[i], took[i] = l.timedLine(line) })
	}
	wg.Wait()
	for i, line := range lines {
		for range 2 {
			if took[i] > timeout+time.Second {
				said[i], took[i] = l.timedLine(line)
			}
		}
		if took[i] > timeout+time.Second {
			l.t.Errorf("it took %s; want %s and a second at most\n%s", took[i], timeout, said[i])
		}
	}
	return said
}

// unresolving is "vipctl ARGS" where the only name server is one that nobody
// is, and /etc/hosts knows node-a only, which is cp-1.
func (l *testLab) unresolving(args string) string {
	l.t.Helper()
	if r := l.sh("command -v unshare && command -v mount"); r.code != 0 {
		l.t.Skip("no unshare, no mount")
	}
	resolv, hosts := write(l.t, "resolv.conf", "nameserver 10.5.0.99\n"), write(l.t, "hosts", "10.5.0.2 node-a\n")
	return fmt.Sprintf("unshare -m sh -c 'mount --bind %s /etc/resolv.conf && mount --bind %s /etc/hosts && exec vipctl %s'", resolv, hosts, args)
}

func testUnresolved(t *testing.T, lab *testLab, owner string) {
	const silent = "cp.example.invalid cannot be resolved: no name server answers"
	none := lab.talosconfig(func(s string) string {
		return listing(nodesList, "nodes", "cp.example.invalid")(listing(endpointsList, "endpoints", "cp.example.invalid")(s))
	})
	const one = " -e 10.5.0.2,cp.example.invalid --timeout 2s -o json"
	said := lab.within(hostileTimeout, lab.unresolving("owner"+one), lab.unresolving("etcd"+one), lab.unresolving("doctor"+one),
		lab.unresolving("owner --timeout 2s --talosconfig "+none), lab.unresolving("etcd --timeout 2s --talosconfig "+none))
	for _, r := range said[:2] {
		if want := "warning: endpoint " + silent + "\n"; r.ends(t, 0).stderr != want {
			t.Errorf("stderr has %q; want %q\n%s", r.stderr, want, r)
		}
	}
	said[0].owned(t, owner, 3, 0)
	doc := judged(t, 0, said[2])
	doc.finds(t, "unknown", "endpoint-not-vip")
	doc.says(t, "endpoint-not-vip", "endpoint "+silent)
	for _, r := range said[3:] {
		if want := "error: no Talos node answered: " + silent + "\nhint: name control-plane nodes by address with --endpoints\n"; r.ends(t, 1).stderr != want || r.stdout != "" {
			t.Errorf("stderr has %q; want %q, and nothing on stdout\n%s", r.stderr, want, r)
		}
	}
}

// owned fails the test unless the one VIP is the owner's without a finding, by
// so many address witnesses, of which so many are silent.
func (r result) owned(t *testing.T, owner string, addresses, silent int) {
	t.Helper()
	var doc ownership
	r.decode(t, &doc)
	asked, mute := 0, 0
	for _, v := range doc.VIPs {
		for _, w := range v.Witnesses {
			if w.Witness == "address" {
				asked++
				if w.Error != "" {
					mute++
				}
			}
		}
	}
	if len(doc.VIPs) != 1 || doc.VIPs[0].Verdict != "owned" || doc.VIPs[0].Owner != owner || len(doc.VIPs[0].Findings) != 0 || asked != addresses || mute != silent {
		t.Errorf("want one VIP, owned by %s, no finding, and %d address witnesses of which %d are silent\n%s", owner, addresses, silent, r)
	}
}

func testTwiceNamed(t *testing.T, lab *testLab, owner string) {
	named := lab.talosconfig(listing(nodesList, "nodes", "10.5.0.3", "node-a"))
	chosen, _ := lab.timedLine(lab.unresolving("owner -o json --talosconfig " + named))
	if got := rows(t, chosen.ends(t, 0)); len(got) != 2 || got[0].Node != "cp-1" || got[1].Node != "cp-2" {
		t.Errorf("rows %+v; want that of node-a, which is cp-1, and of 10.5.0.3", got)
	}
	r, _ := lab.timedLine(lab.unresolving("owner -e 10.5.0.2,10.5.0.2:50000,node-a,10.5.0.3,10.5.0.2,::ffff:10.5.0.2 -o json"))
	r.ends(t, 0).owned(t, owner, 3, 0)
	if got := rows(t, r); len(got) != 3 || slices.ContainsFunc(got, func(n nodeRow) bool { return n.Error != "" || n.Via != "" }) {
		t.Errorf("rows %+v; want three nodes, each dialled", got)
	}
	if r.stderr != "" {
		t.Errorf("want no warning\n%s", r)
	}
}

func testDeadEndpoint(t *testing.T, lab *testLab, owner string) {
	const four = " -e 10.5.0.2,10.5.0.3,10.5.0.4,10.5.0.99 --timeout 2s -o json"
	said := lab.within(hostileTimeout, "vipctl owner"+four, "vipctl etcd"+four, "vipctl doctor"+four)
	said[0].ends(t, 0).owned(t, owner, 4, 1)
	for _, n := range rows(t, said[0]) {
		if (n.Error != "") != (n.Node == "10.5.0.99") {
			t.Errorf("row %+v; want an error of 10.5.0.99 only", n)
		}
	}
	var doc etcdReport
	said[1].ends(t, 0).decode(t, &doc)
	if doc.Verdict != "healthy" || doc.Voters != 3 || doc.Tolerance != 1 || !slices.Contains(doc.notes(), "elsewhere") {
		t.Errorf("want three healthy voters, and a note on who is none of them\n%s", said[1])
	}
	found := judged(t, 3, said[2])
	found.finds(t, "fail", "nodes-answer")
	found.finds(t, "warn", "vip-one-owner")
	found.says(t, "nodes-answer", "10.5.0.99 (10.5.0.99) does not answer")
}

// 50 ms are too few for nodes that are 150 ms away, and the refusal says so. For
// those that are here they may do or not; but no verdict is made up.
func testHardlyAnyTime(t *testing.T, lab *testLab, owner string) {
	const little = 50 * time.Millisecond
	r := lab.within(little, "vipctl owner --timeout 50ms -o json")[0]
	switch r.code {
	case 1:
		r.keepsTo(t, "error")
	case 0, 7:
		r.keepsTo(t, "ownership")
		var doc ownership
		r.decode(t, &doc)
		for _, v := range doc.VIPs {
			if known := v.Verdict == "owned"; known != (r.code == 0) || known && v.Owner != owner {
				t.Errorf("VIP = %+v; want it owned by %s or unknown\n%s", v, owner, r)
			}
		}
	default:
		t.Errorf("want exit code 0, 1 or 7\n%s", r)
	}
	for _, n := range []string{"cp-1", "cp-2", "cp-3"} {
		lab.fault("inject", "delay", n, "--delay", "150ms")
		defer lab.fault("undo", "delay", n)
	}
	for _, r := range lab.within(little, "vipctl owner --timeout 50ms", "vipctl etcd --timeout 50ms", "vipctl doctor --timeout 50ms") {
		for _, addr := range []string{"10.5.0.2", "10.5.0.3", "10.5.0.4"} {
			said := regexp.MustCompile("no answer from " + regexp.QuoteMeta(addr) + ":50000 within [0-9.]+ s: no connection comes about")
			if !said.MatchString(r.stderr) || strings.Count(r.stderr, addr+":") != 1 {
				t.Errorf("want it said once that %s does not answer\n%s", addr, r)
			}
		}
		if !strings.HasPrefix(r.ends(t, 1).stderr, "error: no Talos node answered: ") || !strings.Contains(r.stderr, "\nhint: check --endpoints") || r.stdout != "" {
			t.Errorf("want an error and a hint, and nothing on stdout\n%s", r)
		}
	}
}
