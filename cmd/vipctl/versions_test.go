//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// talosVersion is a release of Talos, and in what it differs for us. The types of
// resources that vipctl reads are those of v1.8 and of every release since.
type talosVersion struct {
	tag string
	// broadcast says that an IPv4 VIP is its own broadcast address (before
	// v1.11.3, siderolabs/talos#11900).
	broadcast bool
	// noForce says that it takes a forced reboot for a graceful one (before
	// v1.12.0-beta.0).
	noForce bool
	// faulty says that doctor knows a fault of its VIP (before v1.12.11, v1.13.8 and
	// v1.14.0-beta.1).
	faulty bool
}

// warned are the checks that warn of a sound cluster of that version.
func (v talosVersion) warned() []string {
	if v.faulty {
		return []string{"vip-release"}
	}
	return nil
}

var talosVersions = []talosVersion{
	{tag: "v1.8.4", broadcast: true, noForce: true, faulty: true},
	{tag: "v1.11.2", broadcast: true, noForce: true, faulty: true},
	{tag: "v1.12.0", faulty: true},
	{tag: "v1.16.0-alpha.0"}, // newer than ours
}

// Whole commands against older and newer nodes: the verdicts are the same, and
// what such a node does not know is said, not judged.
func TestVersions(t *testing.T) {
	t.Parallel()
	for i, v := range talosVersions {
		t.Run(v.tag, func(t *testing.T) {
			t.Parallel()
			lab := newLab(t, "--talos-version", v.tag, "--lease-ttl", "5s")
			owner, leader, _ := lab.parts()
			lab.until(0, "doctor", "--fail-on", "warn", "--skip", "vip-release")
			t.Run("owner", func(t *testing.T) { v.ofOwner(t, lab.in(t), owner) })
			t.Run("election", func(t *testing.T) { v.ofElection(t, lab.in(t), owner) })
			t.Run("etcd", func(t *testing.T) { v.ofEtcd(t, lab.in(t), leader) })
			t.Run("doctor", func(t *testing.T) { v.ofDoctor(t, lab.in(t), owner) })
			if i == 0 { // a replay, whatever the version
				t.Run("unknown facts", func(t *testing.T) { testUnknownFacts(t, lab.in(t), owner) })
			}
			t.Run("drills", func(t *testing.T) { v.ofDrills(t, lab.in(t)) })
			t.Run("watch", func(t *testing.T) { v.ofWatch(t, lab.in(t), owner) })
		})
	}
}

// replayed runs the command with --save, and fails the test unless --from of that
// gives the same document and code.
func (l *testLab) replayed(command string) (r result, path string) {
	l.t.Helper()
	path = filepath.Join(l.t.TempDir(), "snapshot.json")
	r = l.on(append(strings.Fields(command), "-o", "json", "--save", path)...)
	name, _, _ := strings.Cut(command, " ")
	if again := vipctl(l.t, name, "--from", path, "-o", "json"); again.code != r.code || again.stdout != r.stdout || again.stderr != r.stderr {
		l.t.Errorf("from what was saved:\n%s\nwant as\n%s", again, r)
	}
	if r.stderr != "" {
		l.t.Errorf("want nothing on stderr\n%s", r)
	}
	return r, path
}

func (v talosVersion) ofOwner(t *testing.T, lab *testLab, owner string) {
	r, path := lab.replayed("owner")
	r.ends(t, 0).owned(t, owner, 3, 0)
	r.keepsTo(t, "ownership")
	var doc ownership
	r.decode(t, &doc)
	for _, n := range doc.Nodes {
		if n.Version != v.tag || n.Error != "" {
			t.Errorf("row %+v; want %s, and no error", n, v.tag)
		}
	}
	var snap struct {
		Nodes []struct {
			Addresses struct {
				Value []struct{ Prefix, Broadcast string }
			}
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	result{stdout: string(text)}.decode(t, &snap)
	found := 0
	for _, n := range snap.Nodes {
		for _, a := range n.Addresses.Value {
			if a.Prefix != "10.5.0.50/32" {
				continue
			}
			found++
			if want := map[bool]string{true: "10.5.0.50"}[v.broadcast]; a.Broadcast != want {
				t.Errorf("the VIP's broadcast address is %q; want %q", a.Broadcast, want)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d nodes have the VIP; want one\n%s", found, text)
	}
	lab.on("owner").shows(t, 0, `10\.5\.0\.50 owned `+owner+` eth0 `+allSpeak)
}

func (v talosVersion) ofElection(t *testing.T, lab *testLab, owner string) {
	r, _ := lab.replayed("owner --election")
	e := lab.electionsOf(0, r)["10.5.0.50"]
	if len(e.Candidates) != 3 || e.Candidates[0].Node != owner || e.Predicted == nil {
		t.Fatalf("election %+v; want three candidates, %s first, and a prediction\n%s", e, owner, r)
	}
	for _, c := range e.Candidates {
		if c.Ghost || c.Node == "" {
			t.Errorf("candidate %+v; want a node, and no ghost", c)
		}
	}
}

func (v talosVersion) ofEtcd(t *testing.T, lab *testLab, leader string) {
	r, _ := lab.replayed("etcd")
	r.ends(t, 0).keepsTo(t, "etcdreport")
	var doc etcdReport
	r.decode(t, &doc)
	if doc.Verdict != "healthy" || doc.Leader != leader || doc.Voters != 3 || len(doc.Reasons) != 0 || slices.Contains(doc.notes(), "talosVersions") {
		t.Errorf("want three healthy voters led by %s, of one version\n%s", leader, r)
	}
	lab.on("etcd", "-o", "wide").shows(t, 0, leader+` [0-9a-f]+ leader healthy .* `+strings.ReplaceAll(v.tag, ".", `\.`)+` `+leader+` -`)
}

func (v talosVersion) ofDoctor(t *testing.T, lab *testLab, owner string) {
	r, _ := lab.replayed("doctor")
	doc := judged(t, 0, r)
	for _, status := range []string{"fail", "unknown", "skip"} {
		doc.finds(t, status)
	}
	doc.finds(t, "warn", v.warned()...)
	if v.faulty {
		doc.says(t, "vip-release", v.tag+" on cp-1, cp-2, cp-3: a candidate whose campaign is cut short")
	}
	if v.broadcast {
		doc.says(t, "vip-release", "is its own broadcast address")
	}
	doc.says(t, "versions-alike", "3 nodes run "+v.tag)
	doc.says(t, "vip-one-owner", "10.5.0.50 is owned by "+owner)
}

// unknownFact is one that a release may not have, and what is made of a cluster
// of which no node knows it.
type unknownFact struct {
	name                string // in a snapshot
	owner, etcd, doctor int    // exit codes
	unknown             string // the checks that cannot tell
}

var unknownFacts = []unknownFact{
	{name: "version", unknown: "versions-alike vip-release"},
	{name: "stage", unknown: "nodes-ready"},
	{name: "hostname", unknown: "hostnames-differ"},
	{name: "links", unknown: "vip-link-up vip-witnesses-agree"},
	{name: "addresses", owner: 7, unknown: "vip-segment vip-link-up vip-one-owner vip-witnesses-agree vip-answered-by-owner"},
	{name: "vips", unknown: "vip-configured-alike vip-campaigns"},
	{name: "campaigns", unknown: "vip-campaigns"},
	{name: "layers"},
	{name: "nodeIPs", unknown: "node-ip-not-vip"},
	{name: "advertise", unknown: "etcd-not-on-vip"},
	{name: "members", etcd: 7, unknown: "etcd-members-agree etcd-voters-healthy etcd-voters-odd etcd-no-learner-or-alarm etcd-quorum"},
	{name: "discovery"},
	{name: "bootTime"},
	{name: "staticPod"},
}

func testUnknownFacts(t *testing.T, lab *testLab, owner string) {
	_, path := lab.replayed("doctor")
	for _, f := range unknownFacts {
		t.Run(f.name, func(t *testing.T) { f.judge(t, path, owner) })
	}
}

// notKnownThere is what is kept of a fact whose type of resource a node refuses
// as one that it does not know.
const notKnownThere = "this version of Talos does not know it"

func (f unknownFact) judge(t *testing.T, snapshot, owner string) {
	text, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	var snap struct {
		Nodes []map[string]any `json:"nodes"`
	}
	var all map[string]any
	result{stdout: string(text)}.decode(t, &snap)
	result{stdout: string(text)}.decode(t, &all)
	for _, n := range snap.Nodes {
		if n[f.name] == nil {
			t.Fatalf("a node of the snapshot has no %s", f.name)
		}
		n[f.name] = map[string]string{"error": notKnownThere}
	}
	all["nodes"] = snap.Nodes
	text, err = json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, "snapshot.json", string(text))
	r := vipctl(t, "owner", "--from", path, "-o", "json").ends(t, f.owner)
	if f.owner == 0 {
		r.owned(t, owner, 3, 0)
	}
	vipctl(t, "etcd", "--from", path, "-o", "json").ends(t, f.etcd)
	doc := judged(t, f.doctor, vipctl(t, "doctor", "--from", path, "-o", "json"))
	doc.finds(t, "fail")
	if f.name == "version" {
		doc.finds(t, "warn")
	} else {
		doc.finds(t, "warn", talosVersions[0].warned()...)
	}
	doc.finds(t, "unknown", strings.Fields(f.unknown)...)
	said := f.unknown == ""
	for _, c := range doc.Checks {
		said = said || c.Status == "unknown" && strings.Contains(c.Message, notKnownThere)
	}
	if !said {
		t.Errorf("no check says %q: %+v", notKnownThere, doc.Checks)
	}
}

// A drill is not called what it would not be.
func (v talosVersion) ofDrills(t *testing.T, lab *testLab) {
	dry := []string{"failover-test", "--yes", "--dry-run", "-o", "json", "--baseline", "1s"}
	for mode, refused := range map[string]bool{"graceful": false, "force": v.noForce} {
		r := lab.on(append(dry, "--mode", mode)...)
		r.keepsTo(t, "drillreport")
		if !refused {
			r.ends(t, 0)
			continue
		}
		why := `the node runs Talos \"` + v.tag + `\", which would reboot gracefully instead`
		if !strings.Contains(r.ends(t, 4).stdout, why) || !strings.Contains(r.stdout, "Talos 1.12 or later") {
			t.Errorf("want it refused, for %s does not know it, and a hint\n%s", v.tag, r)
		}
	}
}

// One move, last.
func (v talosVersion) ofWatch(t *testing.T, lab *testLab, owner string) {
	w := lab.watch()
	w.next("the look", func(l watchLine) bool { return l.Type == "look" && l.Owner == owner })
	begun := time.Now()
	lab.fault("inject", "kubelet-stop", owner)
	defer lab.fault("undo", "kubelet-stop", owner)
	w.next("the move from "+owner, ownedBySomebodyElse(owner))
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("the move was told after %s; want it pushed", took)
	}
	w.interrupt()
}
