package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/vipctl/vipctl/pkg/vip"
)

// someEvents are a watch of a handover, of a node that is lost and seen again,
// and of two that hold the address.
func someEvents() []OwnershipEvent {
	at := func(ms int) time.Time { return someTime.Add(time.Duration(ms) * time.Millisecond) }
	owned := func(by string) vip.Verdict {
		return vip.Verdict{Ownership: vip.Owned, Owners: []string{by}, Reason: by + " holds the address"}
	}
	nobody := vip.Verdict{Ownership: vip.Unowned, Reason: "every node answered and none holds the address"}
	two := vip.Verdict{Ownership: vip.SplitBrain, Owners: []string{"cp-1", "cp-2"}, Reason: "cp-1 and cp-2 hold the address; seen twice"}
	gap := NewNodeEvent(EventGap, at(3000), "cp-3", 1500*time.Millisecond)
	gap.Error, gap.HeardAt = "connection\nrefused", new(at(1500))
	joined := NewNodeEvent(EventJoined, at(7000), "cp-4", 0)
	joined.Address = "192.0.2.4"
	return []OwnershipEvent{
		NewSighted(at(0), someVIP.String(), owned("cp-1")),
		NewChange(someVIP.String(), vip.Turn{At: at(1000), Before: owned("cp-1"), After: nobody}),
		NewChange(someVIP.String(), vip.Turn{At: at(1012), Before: nobody, After: owned("cp-2"), Lasted: 12 * time.Millisecond}),
		gap,
		NewNodeEvent(EventSeen, at(5000), "cp-3", 3500*time.Millisecond),
		NewChange(someVIP.String(), vip.Turn{At: at(6000), Before: owned("cp-2"), After: two, Lasted: 4988 * time.Millisecond}),
		joined,
		NewNodeEvent(EventLeft, at(8000), "cp-3", 0),
	}
}

func TestEventLines(t *testing.T) {
	var plain, painted bytes.Buffer
	for _, e := range someEvents() {
		if err := (Style{}).WriteLine(&plain, Table, e); err != nil {
			t.Fatal(err)
		}
		if err := (Style{Color: true}).WriteLine(&painted, Wide, e); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "testdata/ownershipevent.lines.golden", plain.Bytes())
	if got := unpainted(painted.String()); got != plain.String() || !strings.Contains(painted.String(), "\x1b[31munowned\x1b[0m") {
		t.Errorf("painted:\n%s\nwant the same text, with unowned in red", painted.String())
	}
}

func TestEventsAreOneDocumentALine(t *testing.T) {
	var lines, documents bytes.Buffer
	for _, e := range append(someEvents(), NewLook(someOwnership())...) {
		if err := check(t, "ownershipevent", e); err != nil {
			t.Errorf("%s: %v", e.Type, err)
		}
		if err := (Style{Color: true}).WriteLine(&lines, JSON, e); err != nil {
			t.Fatal(err)
		}
		if err := (Style{Color: true}).WriteLine(&documents, YAML, e); err != nil {
			t.Fatal(err)
		}
	}
	want := len(someEvents()) + 1
	if n := bytes.Count(lines.Bytes(), []byte("\n")); n != want {
		t.Errorf("%d lines of JSON; want %d", n, want)
	}
	for line := range bytes.Lines(lines.Bytes()) {
		var e OwnershipEvent
		if err := json.Unmarshal(line, &e); err != nil || e.Kind != KindEvent {
			t.Errorf("%s: %v, kind %q; want an event", line, err, e.Kind)
		}
	}
	parts := strings.Split(documents.String(), "---\n")[1:]
	if len(parts) != want {
		t.Errorf("%d documents of YAML; want %d", len(parts), want)
	}
	for _, part := range parts {
		var e OwnershipEvent
		if err := yaml.Unmarshal([]byte(part), &e); err != nil || e.Kind != KindEvent {
			t.Errorf("%s: %v, kind %q; want an event", part, err, e.Kind)
		}
	}
	if err := (Style{}).WriteLine(&lines, "csv", someEvents()[0]); err == nil {
		t.Error("WriteLine(csv) = nil; want an error")
	}
}
