//go:build unix

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestAbandoned(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	pipe := &Streams{Out: w}
	if pipe.Abandoned() {
		t.Error("Abandoned() of a pipe with a reader = true; want false")
	}
	_ = r.Close()
	if !pipe.Abandoned() {
		t.Error("Abandoned() of a pipe without readers = false; want true")
	}
	for what, s := range map[string]*Streams{"a file": {Out: file}, "a buffer": {Out: &bytes.Buffer{}}} {
		if s.Abandoned() {
			t.Errorf("Abandoned() of %s = true; want false", what)
		}
	}
}
