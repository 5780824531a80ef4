package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostileTimeout is what the nodes have to answer, and hostileWithin what the
// whole command may take.
const (
	hostileTimeout = 2 * time.Second
	hostileWithin  = hostileTimeout + time.Second
)

// timed runs "vipctl ARGS" on the workstation and returns what it took
// there: the way into the lab is not counted.
func (l *testLab) timed(args string) (result, time.Duration) {
	l.t.Helper()
	return l.timedLine("vipctl " + args)
}

// timedLine is timed for any shell line.
func (l *testLab) timedLine(line string) (result, time.Duration) {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "took")
	r := l.sh(fmt.Sprintf("begun=$(date +%%s%%N); %s; code=$?; echo $(($(date +%%s%%N) - begun)) >%s; exit $code", line, file))
	text, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatalf("the lab's workstation wrote no time: %v\n%s", err, r)
	}
	took, err := time.ParseDuration(strings.TrimSpace(string(text)) + "ns")
	if err != nil {
		l.t.Fatal(err)
	}
	return r, took
}

// hostile is a way in which a node can be broken, and what is said of it.
type hostile struct {
	name  string
	fault []string
	says  string // of the node, by owner, etcd and doctor: a pattern
	// via says that the others can still be asked for it: what they say counts,
	// and why it was not asked itself is said beside.
	via bool
	// ready waits until the fault has come about, where that takes time.
	ready string // a pattern in the node's row
}

var hostiles = []hostile{
	{name: "it takes connections and says nothing", fault: []string{"api-hang"}, says: "no answer from ADDR within 2 s: it takes connections, and says nothing"},
	{name: "it hangs after the handshake", fault: []string{"api-hang", "--after", "handshake"}, says: "no answer from ADDR within [12](.[0-9])? s: it shows its certificate, and then says nothing more"},
	{name: "it refuses", fault: []string{"api-refuse"}, says: "connection refused"},
	{name: "it says garbage", fault: []string{"api-garbage"}, says: "what answers there does not speak TLS, and so is no Talos API"},
	{name: "it says garbage after the handshake", fault: []string{"api-garbage", "--after", "handshake"}, says: "what answers there speaks TLS but not gRPC, and so is no Talos API"},
	{name: "it drips", fault: []string{"api-drip"}, says: "no answer from ADDR within [12](.[0-9])? s: it takes connections, and says too little"},
	{name: "it drips after the handshake", fault: []string{"api-drip", "--after", "handshake"}, says: "no answer from ADDR within [12](.[0-9])? s: it shows its certificate, and then says nothing more"},
	{name: "its answers have no end", fault: []string{"api-oversize"}, says: "the answer is larger than 4 MiB, and was not read"},
	{name: "its certificate has expired", fault: []string{"api-expired-cert"}, says: "its certificate expired on 20[-0-9]+T[0-9:]+Z, or a clock is wrong, its or ours: here it is 20.*", via: true},
	{name: "its certificate is another cluster's", fault: []string{"api-foreign-cert"}, says: "another cluster's node answers there, or a stranger: x509: certificate signed by unknown authority", via: true},
	{name: "its certificate is for another", fault: []string{"api-wrong-name"}, says: "its certificate is not for this address: .*", via: true},
	{name: "it is frozen", fault: []string{"freeze"}, says: "no answer from ADDR within [12](.[0-9])? s: no connection comes about"},
	{name: "it is off", fault: []string{"power-off"}, says: "no answer from ADDR within [12](.[0-9])? s: no connection comes about"},
	{name: "it is in maintenance mode", fault: []string{"maintenance"}, says: "the node is in maintenance mode: it has no configuration, and belongs to no cluster", ready: "maintenance mode"},
}

// A node that is hostile or broken costs nobody else an answer, and no command
// more than its time; and each says in plain words what happened to the node.
func TestHostileNode(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--boot-time", "500ms")
	owner, _, bystander := lab.parts()
	_, doc := lab.owner()
	var addr string
	for _, n := range doc.Nodes {
		if n.Node == bystander {
			addr = n.Address
		}
	}
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			lab := lab.in(t)
			h.says = strings.ReplaceAll(h.says, "ADDR", regexp.QuoteMeta(addr+":50000"))
			lab.fault("inject", append([]string{h.fault[0], bystander}, h.fault[1:]...)...)
			defer func() {
				lab.fault("undo", h.fault[0], bystander)
				lab.untilDirect(owner)
			}()
			lab.untilSaid(bystander, h.ready)
			said := askAll(t, lab, "owner", "etcd", "doctor")
			h.ofOwner(t, said[0], owner, bystander)
			h.ofEtcd(t, said[1], bystander)
			h.ofDoctor(t, said[2], owner, bystander)
		})
	}
	t.Run("its clock is wrong", func(t *testing.T) { testWrongClock(t, lab.in(t), owner, bystander) })
	t.Run("the owner says garbage", func(t *testing.T) { testHostileOwner(t, lab.in(t), owner) })
}

// untilDirect waits until every node is asked itself again.
func (l *testLab) untilDirect(owner string) {
	l.t.Helper()
	l.untilRows("every node asked directly", func(n nodeRow) bool {
		return n.Error == "" && n.Via == "" && (len(n.Holds) > 0) == (n.Node == owner)
	})
}

// untilSaid waits until the node's row says so.
func (l *testLab) untilSaid(node, pattern string) {
	l.t.Helper()
	if pattern == "" {
		return
	}
	l.untilRows(node+" says "+pattern, func(n nodeRow) bool {
		return n.Node != node || regexp.MustCompile(pattern).MatchString(n.Error)
	})
}

// nodeRow is a node's row of an Ownership.
type nodeRow struct {
	Node, Error, Via, ViaReason string
	Holds                       []string
}

// rows are the nodes' rows.
func rows(t *testing.T, r result) []nodeRow {
	t.Helper()
	var doc struct{ Nodes []nodeRow }
	r.decode(t, &doc)
	return doc.Nodes
}

// untilRows waits, for a minute at most, until every row is good.
func (l *testLab) untilRows(what string, good func(nodeRow) bool) {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		r := l.on("owner", "-o", "json", "--timeout", "1s")
		if got := rows(l.t, r); len(got) == 3 && !slices.ContainsFunc(got, func(n nodeRow) bool { return !good(n) }) {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("a minute has passed; want %s\n%s", what, r)
		}
	}
}

// askAll runs commands at the same time, with -o json, and holds each to its
// time.
func askAll(t *testing.T, lab *testLab, commands ...string) []result {
	t.Helper()
	said, took := make([]result, len(commands)), make([]time.Duration, len(commands))
	var wg sync.WaitGroup
	for i, command := range commands {
		wg.Go(func() {
			said[i], took[i] = lab.timed(command + " -o json --timeout " + hostileTimeout.String())
		})
	}
	wg.Wait()
	for i, r := range said {
		if took[i] > hostileWithin {
			t.Errorf("it took %s; want %s at most\n%s", took[i], hostileWithin, r)
		}
	}
	return said
}

// ends fails the test unless the command ended with the code.
func (r result) ends(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d; want %d\n%s", r.code, code, r)
	}
	return r
}

func (h hostile) ofOwner(t *testing.T, r result, owner, bystander string) {
	t.Helper()
	r.ends(t, 0)
	r.keepsTo(t, "ownership")
	var doc ownership
	r.decode(t, &doc)
	if len(doc.VIPs) != 1 || doc.VIPs[0].Verdict != "owned" || doc.VIPs[0].Owner != owner || len(doc.VIPs[0].Findings) != 0 {
		t.Errorf("VIPs = %+v; want one, owned by %s, and no finding\n%s", doc.VIPs, owner, r)
	}
	for _, n := range rows(t, r) {
		got := n.Error
		if h.via {
			got = n.ViaReason
		}
		switch {
		case n.Node != bystander && (n.Error != "" || n.Via != ""):
			t.Errorf("row %+v; want nothing wrong with it", n)
		case n.Node == bystander && !fits(h.says, got):
			t.Errorf("row %+v; want %q", n, h.says)
		}
	}
	if n := len(rows(t, r)); n != 3 {
		t.Errorf("%d rows; want three\n%s", n, r)
	}
	for _, w := range doc.VIPs[0].Witnesses {
		if (w.Error != "") != (w.From == bystander && !h.via) {
			t.Errorf("witness %+v; want an error of %s only, if it is silent", w, bystander)
		}
	}
}

// fits says whether the pattern, or a fact's name and then the pattern, is all
// of the text.
func fits(pattern, text string) bool {
	return regexp.MustCompile(`^([a-z' ]+: )?(` + pattern + `)$`).MatchString(text)
}

func (h hostile) ofEtcd(t *testing.T, r result, bystander string) {
	t.Helper()
	code := 3 // a voter of which nothing is known
	if h.via {
		code = 0
	}
	r.ends(t, code)
	r.keepsTo(t, "etcdreport")
	var doc etcdReport
	r.decode(t, &doc)
	if len(doc.Members) != 3 || doc.Leader == "" || doc.Raft.Seconds != 1 {
		t.Errorf("want three members, a leader, and two samples\n%s", r)
	}
	for _, m := range doc.Members {
		switch broken := m.Hostname == bystander && !h.via; {
		case !broken && (m.Error != "" || m.Health != "healthy"):
			t.Errorf("member %+v; want it healthy", m)
		case broken && !fits(h.says, m.Error):
			t.Errorf("member %+v; want %q", m, h.says)
		}
	}
}

func (h hostile) ofDoctor(t *testing.T, r result, owner, bystander string) {
	t.Helper()
	code := 3
	if h.via || h.fault[0] == "api-oversize" { // which answers
		code = 0
	}
	var doc findings
	r.ends(t, code)
	r.decode(t, &doc)
	said := false
	for _, c := range doc.Checks {
		said = said || strings.Contains(c.Message, bystander) && regexp.MustCompile(h.says).MatchString(c.Message)
		if c.ID == "vip-one-owner" && !strings.Contains(c.Message, "10.5.0.50 is owned by "+owner) {
			t.Errorf("check %+v; want the owner %s", c, owner)
		}
		if others := slices.DeleteFunc([]string{"cp-1", "cp-2", "cp-3"}, func(n string) bool { return n == bystander }); c.Status == "fail" &&
			slices.ContainsFunc(others, func(n string) bool { return strings.Contains(c.Message, n) }) {
			t.Errorf("check %+v fails; want nothing wrong with any but %s", c, bystander)
		}
	}
	if !said {
		t.Errorf("no check says %q of %s\n%s", h.says, bystander, r)
	}
}

// A clock that is wrong changes nothing of what owner and etcd say; doctor finds
// it. How wrong it is, the snapshot has.
func testWrongClock(t *testing.T, lab *testLab, owner, bystander string) {
	lab.fault("inject", "clock-skew", bystander, "--offset", "26h")
	var doc ownership
	file := filepath.Join(t.TempDir(), "snapshot.json")
	said := askAll(t, lab, "owner", "etcd", "doctor --save "+file)
	said[0].ends(t, 0).decode(t, &doc)
	said[1].ends(t, 0)
	said[2].ends(t, 3)
	if doc.VIPs[0].Owner != owner || len(doc.VIPs[0].Findings) != 0 {
		t.Errorf("VIP = %+v; want it owned by %s", doc.VIPs[0], owner)
	}
	var snap struct {
		Nodes []struct {
			Name  string
			Clock struct {
				Value struct{ AheadSeconds float64 }
			}
		}
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &snap)
	}
	if err != nil || len(snap.Nodes) != 3 {
		t.Fatalf("the snapshot has %d nodes, %v", len(snap.Nodes), err)
	}
	for _, n := range snap.Nodes {
		hours := n.Clock.Value.AheadSeconds / 3600
		if skewed := n.Name == bystander; skewed != (hours > 25.9 && hours < 26.1) {
			t.Errorf("%s is %.2f h ahead; want 26 of %s only", n.Name, hours, bystander)
		}
	}
	lab.fault("undo", "clock-skew", bystander)
}

// An owner whose Talos API is broken: who has the VIP is not known from
// anybody's own word, and a certificate alone is not made into a verdict.
func testHostileOwner(t *testing.T, lab *testLab, owner string) {
	lab.fault("inject", "api-garbage", owner)
	defer func() {
		lab.fault("undo", "api-garbage", owner)
		lab.untilDirect(owner)
	}()
	r := askAll(t, lab, "owner")[0].ends(t, 7)
	var doc ownership
	r.decode(t, &doc)
	if v := doc.VIPs[0]; v.Verdict != "unknown" || v.Owner != "" || !strings.Contains(v.Reason, owner+" did not say") {
		t.Errorf("VIP = %+v; want unknown, because %s did not say\n%s", v, owner, r)
	}
	for _, n := range rows(t, r) {
		if (n.Error != "") != (n.Node == owner) {
			t.Errorf("row %+v; want an error of %s only", n, owner)
		}
	}
}

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
// test where one takes a second more than the timeout. Who is late has a second
// chance, alone: this machine may be busy.
func (l *testLab) within(timeout time.Duration, lines ...string) []result {
	l.t.Helper()
	said, took := make([]result, len(lines)), make([]time.Duration, len(lines))
	var wg sync.WaitGroup
	for i, line := range lines {
		wg.Go(func() { said[i], took[i] = l.timedLine(line) })
	}
	wg.Wait()
	for i, line := range lines {
		if took[i] > timeout+time.Second {
			said[i], took[i] = l.timedLine(line)
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
			said := regexp.MustCompile("no answer from " + regexp.QuoteMeta(addr) + ":50000 within 0.[0-9]+ s: no connection comes about")
			if !said.MatchString(r.stderr) || strings.Count(r.stderr, addr+":") != 1 {
				t.Errorf("want it said once that %s does not answer\n%s", addr, r)
			}
		}
		if !strings.HasPrefix(r.ends(t, 1).stderr, "error: no Talos node answered: ") || !strings.Contains(r.stderr, "\nhint: check --endpoints") || r.stdout != "" {
			t.Errorf("want an error and a hint, and nothing on stdout\n%s", r)
		}
	}
}
