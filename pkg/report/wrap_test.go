package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		line  string
		width int
		want  string
	}{
		{"short enough", 12, "short enough"},
		{"no terminal, no end of it", 0, "no terminal, no end of it"},
		{"one two three four", 10, "one two\n    three\n    four"},
		{"  hint: one two three", 16, "  hint: one two\n      three"},
		{"a-word-is-never-cut here", 8, "a-word-is-never-cut\n    here"},
		{"2026  cp-1 -> -  nobody has it", 18, "2026  cp-1 -> -\n    nobody has it"},
		{"\x1b[31mred\x1b[0m is as wide", 14, "\x1b[31mred\x1b[0m is as wide"},
		{"zwei Wörter und ähnliches", 11, "zwei Wörter\n    und\n    ähnliches"},
		{"trailing  ", 9, "trailing"},
		{"very narrow", 6, "very\nnarrow"},
	} {
		if got := wrap(tt.line, tt.width); got != tt.want {
			t.Errorf("wrap(%q, %d) = %q; want %q", tt.line, tt.width, got, tt.want)
		}
	}
}

// On a terminal nothing is wider than it but what is a word, nothing is lost, and
// colour changes nothing. Without one nothing is wrapped.
func TestTerminals(t *testing.T) {
	for name, document := range documents {
		doc, ok := document().(Tabular)
		if !ok {
			continue
		}
		for _, format := range []string{Table, Wide} {
			piped := written(t, Style{}, format, doc)
			for _, width := range []int{40, 80, 200} {
				got := written(t, Style{Width: width}, format, doc)
				for line := range strings.Lines(got) {
					if line = strings.TrimRight(line, "\n"); lipgloss.Width(line) > width && len(strings.Fields(line)) > 2 {
						t.Errorf("%s as %s on %d columns: %q has %d", name, format, width, line, lipgloss.Width(line))
					}
					if strings.HasSuffix(line, " ") {
						t.Errorf("%s as %s on %d columns: spaces at the end of %q", name, format, width, line)
					}
				}
				spares := name == "etcdreport.degraded" && format == Table && width < 200 // columns; see its golden files
				for _, word := range strings.Fields(piped) {
					if !spares && !strings.Contains(got, word) {
						t.Errorf("%s as %s on %d columns has no %q:\n%s", name, format, width, word, got)
					}
				}
				if painted := unpainted(written(t, Style{Width: width, Color: true}, format, doc)); painted != got {
					t.Errorf("%s as %s on %d columns: colour changes the text:\n%s\nwant\n%s", name, format, width, painted, got)
				}
			}
			if wide := written(t, Style{Width: 10_000}, format, doc); wide != piped {
				t.Errorf("%s as %s on a terminal that is wide enough:\n%s\nwant as piped\n%s", name, format, wide, piped)
			}
		}
	}
	for _, name := range []string{"ownership.splitbrain", "ownership.election", "etcdreport.degraded", "doctorreport.fail", "ownershiplist.three"} {
		for _, width := range []int{40, 80} {
			golden(t, fmt.Sprintf("testdata/%s.%d.golden", name, width), []byte(written(t, Style{Width: width}, Table, documents[name]())))
		}
	}
}

func written(t *testing.T, s Style, format string, doc any) string {
	t.Helper()
	var out bytes.Buffer
	if err := s.Write(&out, format, doc); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A watch's lines are wrapped as well, and its verdicts painted nevertheless.
func TestEventsOnATerminal(t *testing.T) {
	for _, e := range someEvents() {
		var got, plain bytes.Buffer
		if err := (Style{Color: true, Width: 60}).WriteLine(&got, Table, e); err != nil {
			t.Fatal(err)
		}
		if err := (Style{}).WriteLine(&plain, Table, e); err != nil {
			t.Fatal(err)
		}
		text := unpainted(got.String())
		if a, b := strings.Fields(text), strings.Fields(plain.String()); strings.Join(a, " ") != strings.Join(b, " ") {
			t.Errorf("on 60 columns: %q; want the words of %q", text, plain.String())
		}
		for line := range strings.Lines(text) {
			if lipgloss.Width(strings.TrimRight(line, "\n")) > 60 {
				t.Errorf("on 60 columns: %q", line)
			}
		}
		if strings.Contains(text, "splitBrain") && !strings.Contains(got.String(), "\x1b[31msplitBrain\x1b[0m") {
			t.Errorf("splitBrain is not red in %q", got.String())
		}
	}
}
