package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A snapshot goes into bug reports: it yields the same document wherever it is
// read, and none of the cluster's secrets.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	lab.until(0, "doctor")
	secrets := lab.secrets()
	for _, live := range []string{"owner", "owner --election", "etcd", "doctor"} {
		command, flags, _ := strings.Cut(live, " ")
		t.Run(live, func(t *testing.T) {
			lab := lab.in(t)
			path := filepath.Join(t.TempDir(), "snapshot.json")
			live := lab.on(append([]string{command, "-o", "json", "--save", path}, strings.Fields(flags)...)...)
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("the snapshot = %v, %v; want a file of mode 0600\n%s", info, err, live)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			result{stdout: string(data)}.keepsTo(t, "snapshot")
			again := vipctl(t, command, "--from", path, "-o", "json") // outside the lab, without a talosconfig
			if again.code != live.code || again.stdout != live.stdout {
				t.Errorf("judged again, exit code %d:\n%s\nwant exit code %d:\n%s", again.code, again.stdout, live.code, live.stdout)
			}
			for _, secret := range secrets {
				if bytes.Contains(data, secret) {
					t.Errorf("the snapshot holds %.12q..., which is a secret of the lab", secret)
				}
			}
			lost := lab.on(command, "-o", "json", "--save", filepath.Join(path, "below"))
			if lost.code != 1 || !strings.Contains(lost.stderr, "error: --save: ") || !strings.Contains(lost.stderr, "hint: ") {
				t.Errorf("saved below a file: want exit code 1, an error and a hint\n%s", lost)
			}
			var doc struct{ Kind string }
			if lost.decode(t, &doc); doc.Kind == "Error" || doc.Kind == "" {
				t.Errorf("saved below a file: the document is %q; want the report nevertheless", doc.Kind)
			}
		})
	}
}

var (
	privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----\n(.*?)\n-----END`)
	long       = regexp.MustCompile(`[A-Za-z0-9+/=._-]{20,}`)
)

// secrets are those of the lab's bundle, its talosconfigs, kubeconfig and node
// state: every key and token, as written, with no line breaks, and decoded.
func (l *testLab) secrets() [][]byte {
	l.t.Helper()
	r := l.sh(`d="$(dirname "$TALOSCONFIG")"; cat "$d"/talosconfig* "$d"/kubeconfig* "$d"/secrets.yaml "$d"/bmc-password; find "$d" -name '*.key' -exec cat {} +`)
	var found [][]byte
	keep := func(s []byte) {
		if len(s) >= 16 {
			found = append(found, s)
		}
	}
	texts := []string{r.stdout}
	for _, word := range long.FindAllString(r.stdout, -1) {
		keep([]byte(word))
		if raw, err := base64.StdEncoding.DecodeString(word); err == nil {
			keep(raw)
			texts = append(texts, string(raw))
		}
	}
	keys := 0
	for _, text := range texts {
		for _, m := range privateKey.FindAllStringSubmatch(text, -1) {
			keys++
			for line := range strings.Lines(m[1]) {
				keep([]byte(strings.TrimSpace(line)))
			}
			if der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(m[1], "\n", "")); err == nil {
				keep(der)
				keep([]byte(base64.StdEncoding.EncodeToString(der)))
			}
		}
	}
	if r.code != 0 || keys < 4 || len(found) < 20 {
		l.t.Fatalf("the lab's secrets cannot be read: %d keys, %d secrets\n%s", keys, len(found), r.stderr)
	}
	return append(slices.Clip(found), []byte("PRIVATE KEY"), []byte("-----BEGIN"))
}
