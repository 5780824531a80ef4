package commands

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the generated files instead of comparing them")

// completionFiles are the files that packages install, by shell.
var completionFiles = map[string]string{
	"bash":       "vipctl.bash",
	"zsh":        "_vipctl",
	"fish":       "vipctl.fish",
	"powershell": "vipctl.ps1",
}

func TestCompletionsAreFresh(t *testing.T) {
	for _, shell := range shellNames {
		t.Run(shell, func(t *testing.T) {
			h := newHarness(t)
			if code := h.run("completion", shell); code != 0 {
				t.Fatalf("vipctl completion %s = exit code %d; want 0: %s", shell, code, h.err.String())
			}
			path := filepath.Join("..", "..", "completions", completionFiles[shell])
			if *update {
				if err := os.WriteFile(path, h.out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			have, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(have, h.out.Bytes()) {
				t.Errorf("%s is not what vipctl completion %s prints; rewrite it with go test ./pkg/commands -run Completions -update", path, shell)
			}
		})
	}
}

func TestHelpOffersTopics(t *testing.T) {
	for _, tt := range []struct{ args, want, not string }{
		{"", "exit-codes\t", "no-such"},
		{"exi", "exit-codes\t", "owner"},
		{"ow", "owner\t", "exit-codes"},
		{"lab fau", "fault\t", "exit-codes"},
		{"lab exi", "", "exit-codes"},
	} {
		h := newHarness(t)
		words := strings.Split(tt.args, " ")
		code := h.run(append([]string{"__complete", "help"}, words...)...)
		if got := h.out.String(); code != 0 || !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) {
			t.Errorf("vipctl __complete help %s = %q; want %q in it, and no %q", tt.args, got, tt.want, tt.not)
		}
	}
}
