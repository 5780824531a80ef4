//go:build unix

package commands

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
)

// A reader that has gone is a good end at once, also while nodes are asked that do
// not answer.
func TestWatchWhoseReaderHasGoneEndsWell(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	path := filepath.Join(t.TempDir(), "talosconfig")
	text := "context: a\ncontexts:\n  a:\n    endpoints: [\"" + silent.Addr().String() + "\"]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	_ = r.Close()
	h := newHarness(t)
	h.f.Streams.Out = w
	begun := time.Now()
	code := h.run("owner", "--watch", "--timeout", "1m", "--talosconfig", path)
	if took := time.Since(begun); code != cli.ExitOK || h.err.Len() > 0 || took > 20*time.Second {
		t.Errorf("vipctl owner --watch into a pipe that nobody reads = exit code %d after %v, %q; want 0 at once, and nothing said", code, took, h.err)
	}
}
