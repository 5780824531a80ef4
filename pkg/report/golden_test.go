package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// go test ./pkg/report -update rewrites testdata and schemas.
var update = flag.Bool("update", false, "rewrite the golden files and the schemas")

// golden compares got with a file, or rewrites the file.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not fresh (go test ./pkg/report -update):\ngot\n%s\nwant\n%s", path, got, want)
	}
}
