package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/role"
)

// issued is the lab's talosconfig with another role.
func (l *testLab) issued(r role.Role) string {
	l.t.Helper()
	dir := l.t.TempDir()
	bundlePath, path := filepath.Join(dir, "secrets.yaml"), filepath.Join(dir, "talosconfig")
	if got := l.sh(`cat "$(dirname "$TALOSCONFIG")/secrets.yaml" >` + bundlePath + ` && cat "$TALOSCONFIG" >` + path); got.code != 0 {
		l.t.Fatal(got)
	}
	bundle, err := secrets.LoadBundle(bundlePath)
	if err != nil {
		l.t.Fatal(err)
	}
	pair, err := secrets.NewAdminCertificateAndKey(time.Now(), bundle.Certs.OS, role.MakeSet(r), time.Hour)
	if err != nil {
		l.t.Fatal(err)
	}
	old, err := clientconfig.Open(path)
	if err != nil {
		l.t.Fatal(err)
	}
	context := old.Contexts[old.Context]
	fresh := clientconfig.NewConfig(old.Context, context.Endpoints, bundle.Certs.OS.Crt, pair)
	data, err := fresh.Bytes()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// Whoever may only read is told as much as an administrator, but for the
// election, which says what it needs; whoever may not even read is told that.
func TestRoles(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	owner, _, _ := lab.parts()
	want := map[string]told{}
	for _, row := range []struct{ role, suffix string }{{"os:admin", ""}, {"os:operator", "-operator"}, {"os:reader", "-reader"}} {
		for _, command := range []string{"owner", "etcd", "doctor"} {
			t.Run(command+" as "+row.role, func(t *testing.T) {
				got := lab.in(t).told(command, "$TALOSCONFIG"+row.suffix)
				if row.suffix == "" {
					want[command] = got
				}
				if got.verdict != want[command].verdict || got.code != 0 || got.stderr != "" {
					t.Errorf("%+v; want %q as an administrator is told, exit code 0", got, want[command].verdict)
				}
				if !slices.Equal(got.known, want[command].known) {
					t.Errorf("known are %q; want %q as an administrator knows", got.known, want[command].known)
				}
				if denied := got.unknown("not authorized"); len(denied) > 0 {
					t.Errorf("refused are %q; want nothing", denied)
				}
			})
		}
		t.Run("the election as "+row.role, func(t *testing.T) { testElectionAs(t, lab.in(t), row.suffix, owner) })
	}
	t.Run("as one that may nothing", func(t *testing.T) { testNoRights(t, lab.in(t), owner) })
}

// told is what a command says, and what its snapshot knows.
type told struct {
	code            int
	stderr, verdict string
	known           []string // facts, as "node fact"
	missed          map[string]string
}

// unknown are the facts that were missed for that reason.
func (f told) unknown(why string) (facts []string) {
	for fact, err := range f.missed {
		if strings.Contains(err, why) {
			facts = append(facts, fact)
		}
	}
	return facts
}

func (l *testLab) told(command, talosconfig string) told {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "snapshot.json")
	r := l.sh("vipctl " + command + " -o json --save " + file + " --talosconfig " + talosconfig)
	var doc struct {
		Verdict string
		VIPs    []struct {
			Verdict, Owner string
			Findings       []struct{ Trouble string }
			Witnesses      []struct{ Witness, From, Owner, Error string }
		}
		Checks []struct{ ID, Status string }
	}
	r.decode(l.t, &doc)
	verdict, err := json.Marshal(doc)
	if err != nil {
		l.t.Fatal(err)
	}
	f := told{code: r.code, stderr: r.stderr, verdict: string(verdict), missed: map[string]string{}}
	var snap struct {
		Nodes []map[string]json.RawMessage
		VIPs  []map[string]json.RawMessage
	}
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &snap)
	}
	if err != nil || len(snap.Nodes) != 3 {
		l.t.Fatalf("the snapshot has %d nodes, %v\n%s", len(snap.Nodes), err, r)
	}
	for _, n := range append(snap.Nodes, snap.VIPs...) {
		for name, raw := range n {
			var fact struct {
				Value json.RawMessage
				Error string
			}
			if json.Unmarshal(raw, &fact) != nil {
				continue // no fact, but a name or an address
			}
			if name == "members" || name == "discovery" {
				continue // the first node that answers tells
			}
			switch id := string(n["name"]) + string(n["addr"]) + " " + name; {
			case fact.Error != "":
				f.missed[id] = fact.Error
			case fact.Value != nil:
				f.known = append(f.known, id)
			}
		}
	}
	slices.Sort(f.known)
	return f
}

func testElectionAs(t *testing.T, lab *testLab, suffix, owner string) {
	r := lab.sh("vipctl owner --election -o json --talosconfig $TALOSCONFIG" + suffix)
	r.args = []string{"owner", "--election"}
	var doc ownership
	r.decode(t, &doc)
	if v := doc.VIPs[0]; r.code != 0 || v.Verdict != "owned" || v.Owner != owner {
		t.Errorf("VIP = %+v; want it owned by %s, exit code 0\n%s", v, owner, r)
	}
	asked := 0
	for _, w := range doc.VIPs[0].Witnesses {
		if w.Witness != "election" {
			continue
		}
		asked++
		want := struct{ owner, err string }{owner: owner}
		if suffix != "" {
			want.owner, want.err = "", "the role of this talosconfig may not read etcd's certificates"
		}
		if w.Owner != want.owner || w.Error != want.err {
			t.Errorf("witness %+v; want %+v", w, want)
		}
	}
	if says := strings.Contains(r.stderr, "hint: this needs the role os:admin"); asked != 3 || says != (suffix != "") {
		t.Errorf("%d election witnesses, a hint at os:admin: %v\n%s", asked, says, r)
	}
}

// testNoRights: who answers for a VIP that is named is told nevertheless, for
// anybody may look at a certificate.
func testNoRights(t *testing.T, lab *testLab, owner string) {
	nobody, backup := lab.issued(role.MetaWriter), lab.issued(role.EtcdBackup)
	for _, command := range []string{"owner", "etcd", "doctor"} {
		refuses(t, badInput{code: 1, err: "not authorized", hint: "os:reader"},
			lab.on(command, "--talosconfig", nobody), lab.on(command, "--talosconfig", nobody, "-o", "json"))
	}
	refuses(t, badInput{code: 1, err: "not authorized", hint: "--vip"},
		lab.on("owner", "--talosconfig", backup), lab.on("owner", "--talosconfig", backup, "-o", "json"))
	shown := regexp.MustCompile(fmt.Sprintf(`did not say; the certificate, wire and neighbour table name (%s|10\.5\.0\.%d)$`, owner, owner[len(owner)-1]-'0'+1))
	for _, talosconfig := range []string{nobody, backup} {
		r, doc := lab.owner("--talosconfig", talosconfig, "--vip", "10.5.0.50")
		if v := doc.VIPs[0]; r.code != 7 || v.Verdict != "unknown" || v.Owner != "" || !shown.MatchString(v.Reason) {
			t.Errorf("want unknown, and that the certificate names %s\n%s", owner, r)
		}
		if !strings.HasPrefix(r.stderr, "warning: no node told anything") || !strings.Contains(r.stderr, "\nhint: reading takes the role os:reader") {
			t.Errorf("want a warning, and a hint of the role\n%s", r)
		}
	}
	another := "10.5.0.2" // who it is that answers is not known where this node alone is
	if owner == "cp-1" {
		another = "10.5.0.3"
	}
	there := []string{"owner", "--talosconfig", nobody, "-e", another, "--vip", "10.5.0.50"}
	refuses(t, badInput{code: 1, err: "not authorized", hint: "os:reader"}, lab.on(there...), lab.on(append(there, "-o", "json")...))
	lab.on("etcd", "--talosconfig", backup).shows(t, 0, "verdict healthy") // it may ask all that this takes
	if reader := lab.on("owner", "--talosconfig", lab.issued(role.Reader)); reader.code != 0 {
		t.Errorf("a talosconfig issued likewise for os:reader: want exit code 0\n%s", reader)
	}
}
