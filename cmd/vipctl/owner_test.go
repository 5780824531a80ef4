package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// ownership is what scripts read of an Ownership.
type ownership struct {
	VIPs []struct {
		VIP, Verdict, Owner, Reason string
		Owners                      []string
		Witnesses                   []struct{ Witness, From, Owner, Error string }
		Findings                    []struct{ Trouble, Node, Message, Hint string }
		Sightings                   []struct{ TakenAt, Verdict string }
	}
	Nodes []struct{ Node, Address, Hostname, Version, Error string }
}

// allSpeak is what the table says where every witness of three nodes answers.
const allSpeak = `address 3/3, certificate 1/1, arp 1/1, neighbour 1/1`

// in returns the lab for a subtest.
func (l *testLab) in(t *testing.T) *testLab { return &testLab{t: t, name: l.name} }

// owner runs "vipctl owner -o json args..." on the workstation.
func (l *testLab) owner(args ...string) (result, ownership) {
	l.t.Helper()
	r := l.on(append([]string{"owner", "-o", "json"}, args...)...)
	r.keepsTo(l.t, "ownership")
	var doc ownership
	r.decode(l.t, &doc)
	if len(doc.VIPs) != 1 {
		l.t.Fatalf("%d VIPs; want one\n%s", len(doc.VIPs), r)
	}
	return r, doc
}

// until runs "vipctl args..." until it exits with the code, for a minute at
// most: an election may be under way.
func (l *testLab) until(code int, args ...string) result {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		r := l.on(args...)
		if r.code == code {
			return r
		}
		if time.Now().After(end) {
			l.t.Fatalf("a minute has passed; want exit code %d\n%s", code, r)
		}
	}
}

// parts names the owner, etcd's leader, and a node that is neither: its loss
// starts no election.
func (l *testLab) parts() (owner, leader, bystander string) {
	l.t.Helper()
	l.until(0, "owner")
	_, doc := l.owner()
	var etcd struct{ Leader string }
	l.on("etcd", "-o", "json").decode(l.t, &etcd)
	for _, n := range doc.Nodes {
		if n.Node != doc.VIPs[0].Owner && n.Node != etcd.Leader {
			return doc.VIPs[0].Owner, etcd.Leader, n.Node
		}
	}
	l.t.Fatalf("no bystander: owner %q, leader %q, nodes %+v", doc.VIPs[0].Owner, etcd.Leader, doc.Nodes)
	return
}

// talosconfig writes the workstation's talosconfig, edited, and returns its path.
func (l *testLab) talosconfig(edit func(string) string) string {
	l.t.Helper()
	r := l.sh("cat $TALOSCONFIG")
	text := edit(r.stdout)
	if r.code != 0 || text == r.stdout {
		l.t.Fatalf("the edit leaves the talosconfig as it was: %s", r)
	}
	path := filepath.Join(l.t.TempDir(), "talosconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

var (
	endpointsList = regexp.MustCompile(`endpoints:\n( +- .*\n)+`)
	nodesList     = regexp.MustCompile(`nodes:\n( +- .*\n)+`)
)

// listing replaces a list of a talosconfig.
func listing(list *regexp.Regexp, key string, items ...string) func(string) string {
	text := key + ":\n"
	for _, item := range items {
		text += "            - " + item + "\n"
	}
	return func(config string) string { return list.ReplaceAllLiteralString(config, text) }
}

// keepsTo validates the JSON value on stdout by the schema of that name.
func (r result) keepsTo(t *testing.T, schema string) {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../schemas/" + schema + ".json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(r.stdout))
	if err != nil {
		t.Fatalf("stdout is not one JSON value: %v\n%s", err, r)
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("schemas/%s.json: %v\n%s", schema, err, r)
	}
}

// shows fails the test unless the command ended with the code and its stdout
// has every line that the patterns match, where a space stands for any number.
func (r result) shows(t *testing.T, code int, lines ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d; want %d\n%s", r.code, code, r)
	}
	for _, line := range lines {
		pattern := "(?m)^" + strings.ReplaceAll(line, " ", " +") + "$"
		if !regexp.MustCompile(pattern).MatchString(r.stdout) {
			t.Errorf("stdout has no line like %q\n%s", line, r)
		}
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	owner, _, bystander := lab.parts()
	t.Run("a healthy control plane", func(t *testing.T) { testOwned(t, lab.in(t), owner) })
	t.Run("nodes select rows, not verdicts", func(t *testing.T) { testRows(t, lab.in(t), owner, bystander) })
	t.Run("a VIP that no node knows", func(t *testing.T) { testUnknownVIP(t, lab.in(t)) })
	t.Run("a role that only reads suffices", func(t *testing.T) {
		r := lab.in(t).sh("vipctl owner --talosconfig $TALOSCONFIG-reader")
		r.shows(t, 0, `10\.5\.0\.50 owned `+owner+` eth0 `+allSpeak)
	})
	t.Run("a second holder", func(t *testing.T) { testSplitBrain(t, lab.in(t), owner, bystander) })
	t.Run("a node that is down", func(t *testing.T) { testNodeDown(t, lab.in(t), owner, bystander) })
	t.Run("the owner does not serve", func(t *testing.T) { testOwnerNotServing(t, lab.in(t), owner) })
	t.Run("the owner hangs", func(t *testing.T) { testOwnerHangs(t, lab.in(t), owner) })
	t.Run("no owner", func(t *testing.T) { testUnowned(t, lab.in(t)) })
	t.Run("nobody answers", func(t *testing.T) { testNobody(t, lab.in(t)) })
}

func testOwned(t *testing.T, lab *testLab, owner string) {
	r, doc := lab.owner()
	v := doc.VIPs[0]
	if r.code != 0 || v.VIP != "10.5.0.50" || v.Verdict != "owned" || v.Owner != owner || !slices.Equal(v.Owners, []string{owner}) {
		t.Errorf("VIP = %+v; want 10.5.0.50 owned by %s\n%s", v, owner, r)
	}
	for i, w := range v.Witnesses[:3] {
		want := ""
		if w.From == owner {
			want = owner
		}
		if w.Witness != "address" || w.From != fmt.Sprintf("cp-%d", i+1) || w.Owner != want || w.Error != "" {
			t.Errorf("witness %d = %+v; want the address witness of cp-%d naming %q", i, w, i+1, want)
		}
	}
	for i, kind := range []string{"certificate", "arp", "neighbour"} {
		if w := v.Witnesses[3+i]; w.Witness != kind || w.From != "here" || w.Owner != owner || w.Error != "" {
			t.Errorf("witness %d = %+v; want the %s witness naming %s", 3+i, w, kind, owner)
		}
	}
	if len(v.Witnesses) != 6 || len(doc.Nodes) != 3 || len(v.Findings) != 0 || len(v.Sightings) != 0 {
		t.Errorf("%d witnesses, %d nodes, findings %v, %d sightings; want 6, 3 and none\n%s", len(v.Witnesses), len(doc.Nodes), v.Findings, len(v.Sightings), r)
	}

	y := lab.on("owner", "-o", "yaml")
	data, err := yaml.YAMLToJSON([]byte(y.stdout))
	if err != nil || y.code != 0 || bytes.HasPrefix([]byte(y.stdout), []byte("{")) {
		t.Fatalf("-o yaml is no YAML: %v\n%s", err, y)
	}
	y.stdout = string(data)
	y.keepsTo(t, "ownership")

	table := lab.on("owner")
	table.shows(t, 0, "VIP VERDICT OWNER LINK WITNESSES", `10\.5\.0\.50 owned `+owner+` eth0 `+allSpeak)
	if n := strings.Count(table.stdout, "\n"); n != 2 || table.stderr != "" || strings.Contains(table.stdout, "\x1b") {
		t.Errorf("%d lines; want two plain ones, and nothing on stderr\n%s", n, table)
	}
	lab.on("owner", "-o", "wide").shows(t, 0,
		"VIP WITNESS FROM OWNER BY ERROR",
		`10\.5\.0\.50 address `+owner+` `+owner+` election -`,
		`10\.5\.0\.50 arp here `+owner+` - -`,
		"NODE ADDRESS HOLDS CONFIGURED VERSION STAGE ERROR",
		owner+` 10\.5\.0\.\d 10\.5\.0\.50 10\.5\.0\.50 v1\.\d+\.\d+ running -`)
}

func testRows(t *testing.T, lab *testLab, owner, bystander string) {
	_, doc := lab.owner()
	i := slices.IndexFunc(doc.VIPs[0].Witnesses, func(w struct{ Witness, From, Owner, Error string }) bool { return w.From == bystander })
	one := lab.talosconfig(listing(nodesList, "nodes", doc.Nodes[i].Address))
	for name, args := range map[string][]string{
		"-n":                      {"-n", bystander},
		"the talosconfig's nodes": {"--talosconfig", one},
		"and with one endpoint":   {"--talosconfig", one, "-e", doc.Nodes[i].Address},
	} {
		r, doc := lab.owner(args...)
		v := doc.VIPs[0]
		if r.code != 0 || v.Verdict != "owned" || v.Owner != owner || len(v.Witnesses) != 6 {
			t.Errorf("%s: VIP = %+v; want owned by %s, and six witnesses", name, v, owner)
		}
		if len(doc.Nodes) != 1 || doc.Nodes[0].Node != bystander {
			t.Errorf("%s: rows = %+v; want that of %s only", name, doc.Nodes, bystander)
		}
	}
	_, doc = lab.owner("-n", owner+",cp-9,"+bystander)
	if len(doc.Nodes) != 3 || doc.Nodes[0].Node != owner || doc.Nodes[2].Node != bystander ||
		doc.Nodes[1].Node != "cp-9" || !strings.Contains(doc.Nodes[1].Error, "no control-plane node") {
		t.Errorf("-n %s,cp-9,%s: rows = %+v; want them in this order, cp-9 with an error", owner, bystander, doc.Nodes)
	}
}

// A VIP that no node knows is wrong usage, with one document that says so.
func testUnknownVIP(t *testing.T, lab *testLab) {
	for _, command := range []string{"owner", "etcd", "doctor"} {
		r := lab.on(command, "--vip", "10.5.0.99", "-o", "json")
		r.keepsTo(t, "error")
		if r.code != 2 || !strings.Contains(r.stderr, "no node has the VIP 10.5.0.99 configured\nhint: configured: 10.5.0.50") {
			t.Errorf("want exit code 2, an error and a hint\n%s", r)
		}
	}
}

func testSplitBrain(t *testing.T, lab *testLab, owner, other string) {
	lab.fault("inject", "leftover-vip", other)
	begun := time.Now()
	r, doc := lab.owner()
	v := doc.VIPs[0]
	both := []string{owner, other}
	slices.Sort(both)
	if r.code != 6 || v.Verdict != "splitBrain" || v.Owner != "" || !slices.Equal(slices.Sorted(slices.Values(v.Owners)), both) {
		t.Errorf("VIP = %+v; want a split brain of %v, exit code 6\n%s", v, both, r)
	}
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("it took %s; want a second look after 2 s: a handover overlaps", took)
	}
	if len(v.Sightings) != 2 || v.Sightings[0].Verdict != "splitBrain" || v.Sightings[0].TakenAt >= v.Sightings[1].TakenAt {
		t.Errorf("sightings = %+v; want two of a split brain, one after the other", v.Sightings)
	}
	leftover := slices.IndexFunc(v.Findings, func(f struct{ Trouble, Node, Message, Hint string }) bool { return f.Trouble == "leftoverAddress" })
	if leftover < 0 || v.Findings[leftover].Node != other || !strings.Contains(v.Findings[leftover].Hint, "talosctl -n 10.5.0.") {
		t.Errorf("findings = %+v; want the leftover address of %s, and what to do about it", v.Findings, other)
	}
	lab.on("owner").shows(t, 6, `10\.5\.0\.50 splitBrain `+strings.Join(both, ",")+` - address 3/3, .*`,
		` seen at .*: splitBrain .*; at .*: splitBrain .*`, ` finding: leftover address: `+other+` holds .*`, ` hint: `+other+` should not have it: talosctl -n 10\.5\.0\.\d reboot takes it off; .*`)
	// While it waits for the second look there is nothing to print yet.
	if r := lab.sh("timeout --preserve-status -s INT 1.2 vipctl owner -o json"); r.code != 130 || !strings.Contains(r.stderr, "error: interrupted") {
		t.Errorf("interrupted before the second look: want exit code 130, and nothing worse\n%s", r)
	} else {
		r.keepsTo(t, "error")
	}
	lab.fault("undo", "leftover-vip", other)
	lab.until(0, "owner") // this machine's neighbour table may have the other for some seconds yet
	if r, doc := lab.owner(); r.code != 0 || doc.VIPs[0].Owner != owner {
		t.Errorf("undone: VIP = %+v; want it owned by %s again\n%s", doc.VIPs[0], owner, r)
	}
}

func testNodeDown(t *testing.T, lab *testLab, owner, down string) {
	lab.fault("inject", "power-off", down)
	r, doc := lab.owner("--timeout", "2s")
	v := doc.VIPs[0]
	if r.code != 0 || v.Verdict != "owned" || v.Owner != owner || !strings.Contains(v.Reason, "silent: "+down) {
		t.Errorf("VIP = %+v; want it owned by %s, and %s silent\n%s", v, owner, down, r)
	}
	for _, w := range v.Witnesses[:3] {
		if (w.Error != "") != (w.From == down) {
			t.Errorf("witness %+v; want an error of %s only", w, down)
		}
	}
	for _, n := range doc.Nodes {
		if (n.Error != "") != (n.Node == down) {
			t.Errorf("row %+v; want an error for %s only", n, down)
		}
	}
	if len(doc.Nodes) != 3 {
		t.Errorf("%d rows; want three\n%s", len(doc.Nodes), r)
	}
	table := lab.on("owner", "--timeout", "2s")
	table.shows(t, 0,
		`10\.5\.0\.50 owned `+owner+` eth0 address 2/3, certificate 1/1, .*`,
		`10\.5\.0\.50: `+owner+` holds the address; silent: `+down,
		down+` 10\.5\.0\.\d - - - - no answer from 10\.5\.0\.\d:50000 within .*`)
	lab.fault("undo", "power-off", down)
	lab.untilWhole(owner)
}

// untilWhole waits until every node answers again and the owner is as named.
func (l *testLab) untilWhole(owner string) {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		r, doc := l.owner()
		silent := slices.ContainsFunc(doc.VIPs[0].Witnesses, func(w struct{ Witness, From, Owner, Error string }) bool { return w.Error != "" })
		if !silent && doc.VIPs[0].Owner == owner {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("the lab is not whole again after a minute\n%s", r)
		}
	}
}

// Talos looks at no kube-apiserver when it elects an owner: the verdict stands.
// (Where its static pod is taken away, apiserver-absent, the owner resigns.)
func testOwnerNotServing(t *testing.T, lab *testLab, owner string) {
	for _, fault := range []string{"apiserver-kill", "apiserver-hang"} {
		t.Run(fault, func(t *testing.T) {
			lab := lab.in(t)
			lab.fault("inject", fault, owner)
			lab.until(0, "owner", "--timeout", "2s")
			begun := time.Now()
			r, doc := lab.owner("--timeout", "2s")
			if took := time.Since(begun); took > 7*time.Second {
				t.Errorf("owner --timeout 2s took %s", took)
			}
			v := doc.VIPs[0]
			if r.code != 0 || v.Verdict != "owned" || v.Owner != owner {
				t.Errorf("VIP = %+v; want it owned by %s still\n%s", v, owner, r)
			}
			if len(v.Findings) != 1 || v.Findings[0].Trouble != "ownerNotServing" || v.Findings[0].Node != owner || !strings.Contains(v.Findings[0].Hint, "kubelet restart") {
				t.Errorf("findings = %+v; want that the owner does not serve, and what to do", v.Findings)
			}
			for _, w := range v.Witnesses {
				if w.Witness == "certificate" && (w.Owner != owner || w.Error != "") {
					t.Errorf("certificate witness = %+v; want apid's, which names %s\n%s", w, owner, r)
				}
			}
			lab.fault("undo", fault, owner)
			lab.untilWhole(owner)
		})
	}
}

func testOwnerHangs(t *testing.T, lab *testLab, owner string) {
	lab.fault("inject", "api-hang", owner)
	begun := time.Now()
	r, doc := lab.owner("--timeout", "2s")
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("owner --timeout 2s took %s", took)
	}
	v := doc.VIPs[0]
	if r.code != 7 || v.Verdict != "unknown" || v.Owner != "" || !strings.Contains(v.Reason, owner+" did not say") {
		t.Errorf("VIP = %+v; want unknown because %s did not say, exit code 7\n%s", v, owner, r)
	}
	lab.fault("undo", "api-hang", owner)
	lab.untilWhole(owner)
}

// testUnowned leaves the nodes parted.
func testUnowned(t *testing.T, lab *testLab) {
	lab.fault("inject", "partition", "cp-1", "--from", "cp-2,cp-3")
	lab.fault("inject", "partition", "cp-2", "--from", "cp-3")
	lab.until(3, "owner", "--timeout", "2s")
	r, doc := lab.owner("--timeout", "2s")
	v := doc.VIPs[0]
	if r.code != 3 || v.Verdict != "unowned" || v.Owner != "" || len(v.Owners) != 0 {
		t.Errorf("VIP = %+v; want unowned, exit code 3\n%s", v, r)
	}
	lab.on("owner", "--timeout", "2s").shows(t, 3, `10\.5\.0\.50 unowned - - address 3/3.*`)
}

func testNobody(t *testing.T, lab *testLab) {
	for _, n := range []string{"cp-1", "cp-2", "cp-3"} {
		lab.fault("inject", "power-off", n)
	}
	for _, command := range []string{"owner", "etcd", "doctor"} {
		refuses(t, badInput{code: 1, err: "no Talos node answered", hint: "--endpoints"},
			lab.on(command, "--timeout", "500ms"), lab.on(command, "--timeout", "500ms", "-o", "json"))
	}
}
