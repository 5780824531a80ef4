package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

type hostile struct {
	Text string `json:"text"`
}

func (h hostile) Grids(bool) []Grid {
	return []Grid{{Title: h.Text, Header: []string{"NAME", h.Text}, Rows: [][]string{{"a", h.Text}}, Footer: []string{h.Text}}}
}

// No word of a node reaches a terminal as a command, and JSON is still the same
// text.
func TestHarmless(t *testing.T) {
	evil := hostile{"\x1b[2J\x1b]0;t\a \u009b31m \x7f \u202e \U000e0001 \xff end"}
	for _, format := range Formats() {
		var out bytes.Buffer
		if err := Write(&out, format, evil); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\a\u009b\x7f\u202e") || !strings.Contains(out.String(), "end") {
			t.Errorf("Write(%s) = %q; want no control characters", format, out.String())
		}
		var back hostile
		if format == JSON && (json.Unmarshal(out.Bytes(), &back) != nil || back.Text != strings.ToValidUTF8(evil.Text, "\uFFFD")) {
			t.Errorf("Write(%s) is read as %q; want %q", format, back.Text, evil.Text)
		}
	}
	event := OwnershipEvent{Type: EventGap, At: time.Unix(0, 0), Node: evil.Text, Error: evil.Text}
	for _, format := range []string{Table, JSON, YAML} {
		var out bytes.Buffer
		if err := (Style{}).WriteLine(&out, format, event); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\a\u009b\x7f\u202e") || !strings.Contains(out.String(), "end") {
			t.Errorf("WriteLine(%s) = %q; want no control characters", format, out.String())
		}
	}
}
