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
	hostileWithin  = hostileTimeout + 1500*time.Millisecond
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

// norRelayed follows where the endpoint that forwards told nothing of the node
// either, so that it was given up before its time.
const norRelayed = `(, nor through 10\.5\.0\.\d+)?`

var hostiles = []hostile{
	{name: "it takes connections and says nothing", fault: []string{"api-hang"}, says: "no answer from ADDR within [23](.[0-9])? s: it takes connections, and says nothing"},
	{name: "it hangs after the handshake", fault: []string{"api-hang", "--after", "handshake"}, says: "no answer from ADDR within [123](.[0-9])? s: it shows its certificate, and then says nothing more" + norRelayed},
	{name: "it refuses", fault: []string{"api-refuse"}, says: "connection refused"},
	{name: "it says garbage", fault: []string{"api-garbage"}, says: "what answers there does not speak TLS, and so is no Talos API"},
	{name: "it says garbage after the handshake", fault: []string{"api-garbage", "--after", "handshake"}, says: "what answers there speaks TLS but not gRPC, and so is no Talos API"},
	{name: "it drips", fault: []string{"api-drip"}, says: "no answer from ADDR within [123](.[0-9])? s: it takes connections, and says too little" + norRelayed},
	{name: "it drips after the handshake", fault: []string{"api-drip", "--after", "handshake"}, says: "no answer from ADDR within [123](.[0-9])? s: it shows its certificate, and then says nothing more" + norRelayed},
	{name: "its answers have no end", fault: []string{"api-oversize"}, says: "the answer is larger than (8 MiB|512 KiB), and was not read"},
	{name: "its certificate has expired", fault: []string{"api-expired-cert"}, says: "its certificate expired on 20[-0-9]+T[0-9:]+Z, or a clock is wrong, its or ours: here it is 20.*", via: true},
	{name: "its certificate is another cluster's", fault: []string{"api-foreign-cert"}, says: "another cluster's node answers there, or a stranger: x509: certificate signed by unknown authority", via: true},
	{name: "its certificate is for another", fault: []string{"api-wrong-name"}, says: "its certificate is not for this address: .*", via: true},
	{name: "it is frozen", fault: []string{"freeze"}, says: "no answer from ADDR within [123](.[0-9])? s: no connection comes about" + norRelayed},
	{name: "it is off", fault: []string{"power-off"}, says: "no answer from ADDR within [123](.[0-9])? s: no connection comes about" + norRelayed},
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
		r := l.on("owner", "-o", "json", "--timeout", "2s")
		if got := rows(l.t, r); len(got) == 3 && !slices.ContainsFunc(got, func(n nodeRow) bool { return !good(n) }) {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("a minute has passed; want %s\n%s", what, r)
		}
	}
}

// askAll runs commands at the same time, with -o json, and holds each to its
// time. Who is late runs again, alone: this machine may be busy.
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
		for range 2 {
			if took[i] > hostileWithin {
				_, took[i] = lab.timed(commands[i] + " -o json --timeout " + hostileTimeout.String())
			}
		}
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
