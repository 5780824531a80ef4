package archtest

import (
	"cmp"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPlanIsDocumented compares the table of docs/architecture.md with the
// plan: the same packages, floors and imports, and "(planned)" before what is
// not there yet.
func TestPlanIsDocumented(t *testing.T) {
	dir := root(t)
	got := documented(t, filepath.Join(dir, "docs", "architecture.md"))
	for _, path := range slices.Sorted(maps.Keys(plan)) {
		source, err := filepath.Glob(filepath.Join(dir, path, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		want := row{string(plan[path].floor), mayImport(path), len(source) == 0}
		if got[path] != want {
			t.Errorf("docs/architecture.md on %s: %+v; want %+v", path, got[path], want)
		}
	}
	for path := range got {
		if _, ok := plan[path]; !ok {
			t.Errorf("docs/architecture.md has %s, and the plan has not", path)
		}
	}
}

// row is what the table says of a package.
type row struct {
	floor, imports string
	planned        bool
}

var tableRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\w+) \\| (.+) \\| ([^|]+) \\|$")

func documented(t *testing.T, name string) map[string]row {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]row)
	for _, m := range tableRow.FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = row{m[2], m[4], strings.HasPrefix(m[3], "(planned)")}
	}
	return rows
}

// mayImport lists a package's imports as the table does.
func mayImport(path string) string {
	var short []string
	for imported := range plan[path].mayImport {
		short = append(short, strings.TrimPrefix(imported, "pkg/"))
	}
	slices.Sort(short)
	return cmp.Or(strings.Join(short, ", "), "-")
}

// named finds the paths of this repository that a document or the release
// configuration names.
var named = regexp.MustCompile("(?:`|\\]\\(|src: )((?:[.]ci|cmd|completions|docs|hack|internal|pkg|schemas)/[\\w./-]*)")

// talos are the paths of Talos's own repository, which documents cite.
var talos = regexp.MustCompile("^(internal/app|pkg/machinery|cmd/talosctl)/")

// TestDocumentsNameWhatExists keeps the documents from naming files that were
// moved or never came. Planned packages may be named.
func TestDocumentsNameWhatExists(t *testing.T) {
	dir := root(t)
	fsys := os.DirFS(dir)
	documents, err := fs.Glob(fsys, "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := fs.Glob(fsys, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(append(documents, top...), ".goreleaser.yaml") {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			path := strings.TrimSuffix(m[1], "/...")
			if _, planned := plan[path]; planned || talos.MatchString(path) {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
				t.Errorf("%s names %s: %v", name, m[1], err)
			}
		}
	}
}
