package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

func TestCodeKeepsToThePlan(t *testing.T) {
	files, err := readModule(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(f file) bool { return f.name == "internal/archtest/doc.go" }) {
		t.Fatalf("read %d files, and this package is not among them", len(files))
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

func TestPlanPointsDown(t *testing.T) {
	for _, v := range unlawful(plan) {
		t.Error(v)
	}
	for path, room := range plan {
		for to, why := range room.mayImport {
			if why == "" {
				t.Errorf("%s may import %s, and the plan does not say why", path, to)
			}
		}
	}
}

func TestUnlawfulPlans(t *testing.T) {
	tests := map[string]struct {
		from, to string
	}{
		"a domain package that imports an adapter": {"pkg/vip", "pkg/talos"},
		"domain packages that are not neighbours":  {"pkg/vip", "pkg/cluster"},
		"an engine that imports an adapter":        {"pkg/chaos", "pkg/probe"},
		"an adapter that imports an adapter":       {"pkg/kube", "pkg/talos"},
		"output that imports an adapter":           {"pkg/report", "pkg/config"},
		"commands that import the lab":             {"pkg/commands", "pkg/lab"},
		"the lab importing the domain":             {"pkg/lab/operator", "pkg/vip"},
		"a part of the lab that imports the whole": {"pkg/lab/node", "pkg/lab"},
		"a report that imports a leaf":             {"pkg/report", "internal/cli"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rows := map[string]room{
				tt.from: {plan[tt.from].floor, map[string]string{tt.to: "because"}},
				tt.to:   {floor: plan[tt.to].floor},
			}
			if got := unlawful(rows); len(got) != 1 {
				t.Errorf("unlawful(%s -> %s) = %q; want one complaint", tt.from, tt.to, got)
			}
		})
	}
}

// TestRules runs the rules over small modules, one an archive in testdata.
// The file "want" in it holds the complaints that they must give, a line each.
func TestRules(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives in testdata: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			fsys := make(fstest.MapFS)
			for _, f := range archive.Files {
				fsys[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			want, err := fs.ReadFile(fsys, "want")
			if err != nil {
				t.Fatal(err)
			}
			files, err := readModule(fsys)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(violations(files), "\n")
			if got != strings.TrimSpace(string(want)) {
				t.Errorf("violations =\n%s\nwant:\n%s", got, want)
			}
		})
	}
}
