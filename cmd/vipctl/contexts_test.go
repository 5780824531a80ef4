package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// threeContexts writes a talosconfig with the lab's context under two names, and
// one whose only endpoint is an address that nobody has.
func (l *testLab) threeContexts() string {
	l.t.Helper()
	var config struct {
		Context  string                    `json:"context"`
		Contexts map[string]map[string]any `json:"contexts"`
	}
	if err := yaml.Unmarshal([]byte(l.sh("cat $TALOSCONFIG").stdout), &config); err != nil {
		l.t.Fatal(err)
	}
	lab, dead := config.Contexts[config.Context], map[string]any{}
	for key, value := range lab {
		dead[key] = value
	}
	dead["endpoints"] = []string{"10.5.0.199"}
	delete(dead, "nodes")
	config.Contexts = map[string]map[string]any{"one": lab, "two": lab, "dead": dead}
	config.Context = "one"
	data, err := yaml.Marshal(config)
	if err != nil {
		l.t.Fatal(err)
	}
	path := filepath.Join(l.t.TempDir(), "talosconfig")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func TestSeveralContexts(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	lab.until(0, "owner")
	path := lab.threeContexts()
	for command, kind := range map[string]string{"owner": "OwnershipList", "etcd": "EtcdReportList", "doctor": "DoctorReportList"} {
		t.Run(command+" asks all", func(t *testing.T) { testAllContexts(t, lab.in(t), command, kind, path) })
	}
	t.Run("those that answer are well", func(t *testing.T) {
		r := lab.in(t).on("owner", "--talosconfig", path, "--context", "two,one")
		r.shows(t, 0, `CONTEXT VIP VERDICT OWNER .*`, `two 10\.5\.0\.50 owned cp-\d eth0 .*`, `one 10\.5\.0\.50 owned cp-\d eth0 .*`)
		if strings.Index(r.stdout, "\ntwo ") > strings.Index(r.stdout, "\none ") {
			t.Errorf("two comes behind one; want them as asked\n%s", r)
		}
	})
	t.Run("one is no list", func(t *testing.T) {
		r, doc := lab.in(t).owner("--talosconfig", path, "--context", "two")
		if r.code != 0 || len(doc.Nodes) != 3 {
			t.Errorf("want an Ownership of three nodes\n%s", r)
		}
	})
	t.Run("a name that is none", func(t *testing.T) {
		args := []string{"owner", "--talosconfig", path, "--context", "one,tow"}
		refuses(t, badInput{code: 2, err: `no context "tow"`, hint: "dead, one, two"}, lab.in(t).on(args...), lab.in(t).on(append(args, "-o", "json")...))
	})
}

func testAllContexts(t *testing.T, lab *testLab, command, kind, path string) {
	args := []string{command, "--talosconfig", path, "--all-contexts", "--timeout", "2s"}
	r := lab.on(append(args, "-o", "json")...)
	r.keepsTo(t, strings.ToLower(kind))
	var doc struct {
		Kind  string
		Items []struct{ Kind, Context, Error, Hint string }
	}
	r.decode(t, &doc)
	if doc.Kind != kind || len(doc.Items) != 3 {
		t.Fatalf("want %s of three items\n%s", kind, r)
	}
	for i, context := range []string{"dead", "one", "two"} {
		item := doc.Items[i]
		if item.Context != context || (item.Kind == "Error") != (context == "dead") || (item.Error != "") != (context == "dead") {
			t.Errorf("item %d = %+v; want %s, and an error of the dead one only", i, item, context)
		}
	}
	if r.code != 1 && (r.code != 3 || command == "owner") {
		t.Errorf("exit code %d; want 1 for the dead one, or 3 where a check fails\n%s", r.code, r)
	}
	lab.on(args...).shows(t, r.code, `CONTEXT .* ERROR`, `dead - .*no Talos node answered: .*`, `one .* -`, `two .* -`)
}
