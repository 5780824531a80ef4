package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// badInput is a command line that is refused, and how.
type badInput struct {
	name string
	args string
	env  string // NAME=value
	code int
	err  string // is in the line "error: ..."
	hint string // is in the line "hint: ..."
}

// refuses fails the test unless plain, and the same command with -o json, are
// refused in the house's form.
func refuses(t *testing.T, want badInput, plain, json result) {
	t.Helper()
	message, hint, _ := strings.Cut(plain.stderr, "\n")
	message, isError := strings.CutPrefix(message, "error: ")
	hint, isHint := strings.CutPrefix(strings.TrimSuffix(hint, "\n"), "hint: ")
	if plain.code != want.code || !isError || !strings.Contains(message, want.err) {
		t.Errorf("want exit code %d and an error with %q\n%s", want.code, want.err, plain)
	}
	if !isHint || strings.Contains(hint, "\n") || !strings.Contains(hint, want.hint) {
		t.Errorf("want one line of hint with %q\n%s", want.hint, plain)
	}
	if plain.stdout != "" {
		t.Errorf("want nothing on stdout\n%s", plain)
	}
	var doc struct {
		Kind, Error, Hint string
		ExitCode          int
	}
	json.keepsTo(t, "error")
	json.decode(t, &doc)
	if doc.Kind != "Error" || doc.ExitCode != want.code || json.code != want.code ||
		!strings.Contains(doc.Error, want.err) || !strings.Contains(doc.Hint, want.hint) {
		t.Errorf("document = %+v; want exit code %d, %q and %q\n%s", doc, want.code, want.err, want.hint, json)
	}
}

// clientConfig writes a talosconfig with one context, "mine", whose client
// certificate is valid until then.
func clientConfig(t *testing.T, until time.Time, endpoints ...string) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"os:admin"}},
		NotBefore: until.Add(-time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return write(t, "talosconfig", fmt.Sprintf("context: mine\ncontexts:\n  mine:\n    endpoints: [%s]\n    ca: %s\n    crt: %s\n    key: %s\n",
		strings.Join(endpoints, ", "), encode("CERTIFICATE", cert), encode("CERTIFICATE", cert), encode("ED25519 PRIVATE KEY", key)))
}

// write makes a file of the test's own and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	good := clientConfig(t, time.Now().Add(time.Minute), "127.0.0.1")
	expired := clientConfig(t, time.Now().Add(-time.Minute), "127.0.0.1")
	lonely := clientConfig(t, time.Now().Add(time.Minute))
	garbage := write(t, "garbage", "garbage\n")
	unknownKey := write(t, "config.yaml", "apiVersion: vipctl.dev/v1alpha1\nnodez: {}\n")
	notYAML := write(t, "config.yaml", "vips: [\n")
	half := write(t, "half.json", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{"na`)
	another := write(t, "ownership.json", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Ownership","vips":[]}`)
	newer := write(t, "newer.json", `{"apiVersion":"vipctl.dev/v7","kind":"Snapshot","nodes":{}}`)
	huge := write(t, "huge.json", "")
	if err := os.Truncate(huge, 64<<20+1); err != nil { // a hole, which takes no room
		t.Fatal(err)
	}

	for _, row := range []badInput{
		{name: "no talosconfig", args: "owner", code: 2, err: "no talosconfig found: tried ", hint: "--talosconfig or TALOSCONFIG"},
		{name: "a talosconfig that is not there", args: "owner --talosconfig /nonexistent/config", code: 2, err: "talosconfig /nonexistent/config: no such file", hint: "--talosconfig"},
		{name: "one in the environment that is not there", args: "etcd", env: "TALOSCONFIG=/nonexistent/config", code: 2, err: "/nonexistent/config", hint: "TALOSCONFIG"},
		{name: "garbage for a talosconfig", args: "owner --talosconfig " + garbage, code: 2, err: "it is no talosconfig", hint: "--talosconfig"},
		{name: "a context that is not there", args: "owner --context other --talosconfig " + good, code: 2, err: `has no context "other"`, hint: "--context: mine"},
		{name: "a context without endpoints", args: "doctor --talosconfig " + lonely, code: 2, err: "has no endpoints", hint: "--endpoints"},
		{name: "an expired certificate", args: "owner --talosconfig " + expired, code: 1, err: "expired at ", hint: "talosctl config new"},
		{name: "an expired certificate and a drill", args: "failover-test --mode graceful --yes --talosconfig " + expired, code: 1, err: "expired at ", hint: "talosctl config new"},
		{name: "an endpoint that is none", args: "owner -e not/an/endpoint --talosconfig " + good, code: 2, err: `endpoint "not/an/endpoint"`, hint: "--endpoints"},
		{name: "a VIP that is no address", args: "owner --vip 10.5.0 --talosconfig " + good, code: 2, err: `--vip: "10.5.0" is not an IP address`, hint: "10.5.0.50"},
		{name: "no time to answer", args: "owner --timeout -1s --talosconfig " + good, code: 2, err: "--timeout: -1s", hint: "--timeout 5s"},
		{name: "a missing configuration file", args: "owner --config /nonexistent/c.yaml --talosconfig " + good, code: 2, err: "/nonexistent/c.yaml", hint: "--config"},
		{name: "an unknown key in it", args: "owner --talosconfig " + good, env: "VIPCTL_CONFIG=" + unknownKey, code: 2, err: unknownKey + `:2: unknown key "nodez"`, hint: "nodes"},
		{name: "a configuration file that is no YAML", args: "owner --config " + notYAML + " --talosconfig " + good, code: 2, err: notYAML + ":1: not YAML", hint: "--config"},
		{name: "an unknown flag", args: "owner --frob", code: 2, err: "unknown flag: --frob", hint: "vipctl owner --help"},
		{name: "an argument too many", args: "owner cp-1", code: 2, err: `takes no argument, got "cp-1"`, hint: "vipctl owner --help"},
		{name: "an unknown command", args: "ownr", code: 2, err: `unknown command "ownr"`, hint: "owner"},
		{name: "an unknown mode", args: "failover-test --mode gentle", code: 2, err: `unknown mode "gentle"`, hint: "graceful"},
		{name: "no mode", args: "failover-test --yes", code: 2, err: "--mode is required", hint: "graceful"},
		{name: "a negative interval", args: "failover-test --mode graceful --interval -20ms", code: 2, err: "--interval: -20ms", hint: "1ms"},
		{name: "an interval that is no duration", args: "failover-test --mode graceful --interval 20", code: 2, err: "--interval", hint: "--help"},
		{name: "no rounds", args: "failover-test --mode graceful --rounds 0", code: 2, err: "--rounds: 0", hint: "--rounds 3"},
		{name: "an objective that is none", args: "failover-test --mode graceful --max-outage soon", code: 2, err: `--max-outage: "soon"`, hint: "2s"},
		{name: "an unknown check", args: "doctor --only vip-frob", code: 2, err: `"vip-frob"`, hint: "vip-"},
		{name: "an unknown check to skip", args: "doctor --skip vip-frob", code: 2, err: `"vip-frob"`, hint: "vip-"},
		{name: "an unknown category", args: "doctor --category frob", code: 2, err: `"frob"`, hint: "etcd"},
		{name: "an unknown status to fail on", args: "doctor --fail-on pass", code: 2, err: `--fail-on: unknown status "pass"`, hint: "warn or fail"},
		{name: "no snapshot there", args: "doctor --from /nonexistent/snapshot", code: 2, err: "--from: open /nonexistent/snapshot", hint: "--save"},
		{name: "garbage for a snapshot", args: "doctor --from " + garbage, code: 2, err: "--from: " + garbage + ": not a snapshot: ", hint: "--save"},
		{name: "half a snapshot", args: "owner --from " + half, code: 2, err: "--from: " + half + ": not a snapshot: unexpected end of JSON input", hint: "--save"},
		{name: "another document for a snapshot", args: "etcd --from " + another, code: 2, err: "--from: " + another + `: not a snapshot: its kind is "Ownership"`, hint: "--save"},
		{name: "a snapshot of a newer vipctl", args: "owner --from " + newer, code: 2, err: "--from: " + newer + `: a snapshot of version "vipctl.dev/v7"`, hint: "newer one"},
		{name: "a directory for a snapshot", args: "etcd --from " + filepath.Dir(half), code: 2, err: "--from: read " + filepath.Dir(half) + ": is a directory", hint: "--save"},
		{name: "a snapshot that is too large", args: "owner --from " + huge, code: 2, err: "--from: " + huge + " is larger than any snapshot", hint: "--save"},
		{name: "a kubeconfig that is not there, and not needed", args: "owner --kubeconfig /nonexistent/kubeconfig --talosconfig " + good, code: 2, err: "kubeconfig /nonexistent/kubeconfig: ", hint: "--kubeconfig"},
		{name: "one that is needed by nothing at all", args: "etcd --kubeconfig /nonexistent/kubeconfig --talosconfig " + good, code: 2, err: "kubeconfig /nonexistent/kubeconfig: ", hint: "--kubeconfig"},
		{name: "one for the doctor", args: "doctor --kubeconfig /nonexistent/kubeconfig --talosconfig " + good, code: 2, err: "kubeconfig /nonexistent/kubeconfig: ", hint: "--kubeconfig"},
		{name: "one for a watch", args: "owner --watch --kubeconfig /nonexistent/kubeconfig --talosconfig " + good, code: 2, err: "kubeconfig /nonexistent/kubeconfig: ", hint: "--kubeconfig"},
		{name: "a drill with one that is a directory", args: "failover-test --mode graceful --yes --kubeconfig /proc --talosconfig " + good, code: 2, err: "kubeconfig /proc: ", hint: "--kubeconfig"},
	} {
		t.Run(row.name, func(t *testing.T) {
			run := func(args ...string) result {
				cmd := command(t, append(strings.Fields(row.args), args...)...)
				cmd.Env = append(cmd.Env, row.env)
				return finish(t, cmd)
			}
			refuses(t, row, run(), run("-o", "json"))
		})
	}
	t.Run("an unknown format", func(t *testing.T) {
		r := vipctl(t, "owner", "-o", "xml")
		if want := "error: --output: unknown output format \"xml\"\nhint: one of table, wide, json, yaml\n"; r.code != 2 || r.stderr != want || r.stdout != "" {
			t.Errorf("want %q, exit code 2\n%s", want, r)
		}
	})
}

// talosctl writes an empty talosconfig where there is none; vipctl must not.
func TestMissingTalosconfigIsNotCreated(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"owner"}, {"etcd"}, {"doctor"}, {"failover-test", "--mode", "graceful", "--yes"}} {
		cmd := command(t, args...)
		home := t.TempDir()
		named := filepath.Join(home, "named", "config")
		cmd.Env = append(cmd.Env, "HOME="+home)
		if len(args) > 1 {
			cmd.Env = append(cmd.Env, "TALOSCONFIG="+named)
		}
		if r := finish(t, cmd); r.code != 2 {
			t.Errorf("want exit code 2\n%s", r)
		}
		entries, err := os.ReadDir(home)
		for _, e := range entries {
			if e.Name() != "state" {
				t.Errorf("vipctl %s: made %s in the home directory", strings.Join(args, " "), e.Name())
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func TestBadInputInALab(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	lab.until(0, "owner")
	before := lab.sh("vipctl lab events -o json").stdout
	stranger := clientConfig(t, time.Now().Add(time.Minute), "10.5.0.2", "10.5.0.3")
	noPower := write(t, "config.yaml", "apiVersion: vipctl.dev/v1alpha1\nleaseTTL: 5s\n")

	for _, row := range []badInput{
		{name: "credentials of another cluster", args: "owner --timeout 2s --talosconfig " + stranger, code: 1, err: "certificate", hint: "--context or --talosconfig"},
		{name: "a VIP that no node knows", args: "owner --vip 10.5.0.77", code: 2, err: "no node has the VIP 10.5.0.77 configured", hint: "10.5.0.50"},
		{name: "the doctor on such a VIP", args: "doctor --timeout 1s --vip 10.5.0.77", code: 2, err: "no node has the VIP 10.5.0.77 configured", hint: "10.5.0.50"},
		{name: "a drill on such a VIP", args: "failover-test --mode graceful --yes --timeout 1s --vip 10.5.0.77", code: 2, err: "10.5.0.77", hint: "10.5.0.50"},
		{name: "the only endpoint is the VIP, and is silent", args: "owner --timeout 1s -n 10.5.0.98 -e 10.5.0.99 --vip 10.5.0.99", code: 1, err: "no Talos node answered", hint: "the nodes' own addresses"},
		{name: "nobody confirms", args: "failover-test --mode graceful", code: 2, err: "must be confirmed", hint: "--yes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := strings.Fields(row.args)
			refusesInLab(t, row, lab.in(t).on(args...), lab.in(t).on(append(args, "-o", "json")...))
		})
	}
	t.Run("a power cut without a switch", func(t *testing.T) {
		plain := lab.in(t).on("failover-test", "--mode", "hard", "--yes", "--config", noPower)
		if plain.code != 4 || !strings.Contains(plain.stderr, "error: the configuration file names no power switch for cp-") || !strings.Contains(plain.stderr, "hint: add nodes.cp-") {
			t.Errorf("want exit code 4, an error and a hint\n%s", plain)
		}
		json := lab.in(t).on("failover-test", "--mode", "hard", "--yes", "--config", noPower, "-o", "json")
		json.keepsTo(t, "drillreport")
		var doc struct{ Kind, Result, Error, Hint string }
		json.decode(t, &doc)
		if json.code != 4 || doc.Kind != "DrillReport" || doc.Result != "refused" || doc.Error == "" || doc.Hint == "" {
			t.Errorf("document = %+v; want a DrillReport that is refused, exit code 4\n%s", doc, json)
		}
	})
	after := lab.sh("vipctl lab events -o json").stdout
	for line := range strings.Lines(strings.TrimPrefix(after, before)) {
		// Looking is no touching, and leases are kept alive whatever happens.
		if !slices.ContainsFunc([]string{"answered", "accepted", "lease-kept-alive"}, func(kind string) bool {
			return strings.Contains(line, `"kind":"`+kind+`"`)
		}) {
			t.Errorf("what was refused touched the lab: %s", line)
		}
	}
}

// refusesInLab is refuses for commands that may tell of their progress first.
func refusesInLab(t *testing.T, want badInput, plain, json result) {
	t.Helper()
	if i := strings.Index(plain.stderr, "error: "); i > 0 && plain.stderr[i-1] == '\n' {
		plain.stderr = plain.stderr[i:]
	}
	refuses(t, want, plain, json)
}

// A talosconfig that names the VIP works as long as the VIP does; that is said.
func TestEndpointThatIsTheVIP(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	owner, _, _ := lab.parts()
	only := lab.talosconfig(listing(endpointsList, "endpoints", "10.5.0.50"))
	for name, args := range map[string][]string{
		"the only endpoint": {"--talosconfig", only},
		"one of two":        {"-e", "10.5.0.50,10.5.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			r := lab.in(t).on(append([]string{"owner"}, args...)...)
			r.shows(t, 0, `10\.5\.0\.50 owned `+owner+` eth0 `+allSpeak)
			for _, command := range []string{"owner", "etcd"} {
				r := lab.in(t).on(append([]string{command, "-o", "json"}, args...)...)
				if r.code != 0 || !strings.Contains(r.stderr, "warning: endpoint 10.5.0.50 is the VIP") || !strings.Contains(r.stderr, "hint: talosctl config endpoint --context "+lab.name+" ADDRESS") {
					t.Errorf("want a warning and a hint on stderr, exit code 0\n%s", r)
				}
			}
			lab.in(t).doctor(3, args...).finds(t, "fail", "endpoint-not-vip")
		})
	}
}
