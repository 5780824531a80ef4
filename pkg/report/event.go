package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/vip"
)

// KindEvent is the kind of OwnershipEvent.
const KindEvent = "OwnershipEvent"

// The types of OwnershipEvent.
const (
	EventLook   = "look"   // what was seen of a VIP when it was first looked at
	EventChange = "change" // the verdict on a VIP, or who holds it, has changed
	EventGap    = "gap"    // a node is not seen from HeardAt on
	EventSeen   = "seen"   // a node is seen again
	EventJoined = "joined" // a node is watched from now on
	EventLeft   = "left"   // a node is no longer one of the control plane
)

// OwnershipEvent is a line of a watch. Look and change are about a VIP, the
// others about a node, and have no verdict.
type OwnershipEvent struct {
	Meta
	// At is when it was learned here. In the lab that is some ten milliseconds
	// after it was so; of a gap, a second or two.
	At   time.Time `json:"at"`
	Type string    `json:"type" jsonschema:"enum=look,enum=change,enum=gap,enum=seen,enum=joined,enum=left"`
	// Context is the talosconfig context, "" where none was named.
	Context string `json:"context,omitempty"`

	VIP     string `json:"vip,omitempty"`
	Verdict string `json:"verdict,omitempty" jsonschema:"enum=owned,enum=unowned,enum=disputed,enum=splitBrain,enum=unknown"`
	// Owner is the node that has it; absent unless the verdict is owned. Owners
	// are all that hold the address, absent where the event is about a node.
	Owner  string   `json:"owner,omitempty"`
	Owners []string `json:"owners,omitzero"`
	// PreviousVerdict, PreviousOwner and PreviousOwners are what was so before
	// a change.
	PreviousVerdict string   `json:"previousVerdict,omitempty" jsonschema:"enum=owned,enum=unowned,enum=disputed,enum=splitBrain,enum=unknown"`
	PreviousOwner   string   `json:"previousOwner,omitempty"`
	PreviousOwners  []string `json:"previousOwners,omitzero"`
	Reason          string   `json:"reason,omitempty"`

	Node string `json:"node,omitempty"`
	// Address is where the node is asked.
	Address string `json:"address,omitempty"`
	// Error is why the node is not seen.
	Error string `json:"error,omitempty"`
	// SinceSeconds is how long it had been as it was before: of a change the
	// verdict, of a gap and of a node that is seen again the time unseen.
	// Absent where it is not known when that began.
	SinceSeconds *float64 `json:"sinceSeconds,omitempty"`
	// HeardAt is when a node in a gap last gave a sign of life, absent where it
	// never did.
	HeardAt *time.Time `json:"heardAt,omitempty"`
	// Ownership is the whole look at the VIP, with every witness and node.
	Ownership *Ownership `json:"ownership,omitempty"`
}

// NewLook returns the events of a first look: one for each VIP, in the order of
// the document, with the whole of what was seen of it.
func NewLook(doc *Ownership) []OwnershipEvent {
	events := make([]OwnershipEvent, 0, len(doc.VIPs))
	for i, v := range doc.VIPs {
		one := *doc
		one.VIPs = doc.VIPs[i : i+1]
		events = append(events, OwnershipEvent{
			Meta: meta(KindEvent), At: doc.TakenAt, Type: EventLook, Context: doc.Context, VIP: v.VIP,
			Verdict: v.Verdict, Owner: v.Owner, Owners: v.Owners, Reason: v.Reason, Ownership: &one,
		})
	}
	return events
}

// NewChange returns the event of a turn of the VIP at addr. Context is left to
// the caller.
func NewChange(addr string, t vip.Turn) OwnershipEvent {
	return OwnershipEvent{
		Meta: meta(KindEvent), At: t.At, Type: EventChange, VIP: addr,
		Verdict: t.After.Ownership.String(), Owner: sole(t.After), Owners: names(t.After), Reason: t.After.Reason,
		PreviousVerdict: t.Before.Ownership.String(), PreviousOwner: sole(t.Before), PreviousOwners: names(t.Before),
		SinceSeconds: since(t.Lasted),
	}
}

// NewSighted returns the event of a VIP that a watch comes upon later than the
// first look.
func NewSighted(at time.Time, addr string, v vip.Verdict) OwnershipEvent {
	return OwnershipEvent{
		Meta: meta(KindEvent), At: at, Type: EventLook, VIP: addr,
		Verdict: v.Ownership.String(), Owner: sole(v), Owners: names(v), Reason: v.Reason,
	}
}

// NewNodeEvent returns an event of that type about a node. unseen is how long it
// has not been seen, 0 where that is not known.
func NewNodeEvent(kind string, at time.Time, node string, unseen time.Duration) OwnershipEvent {
	return OwnershipEvent{Meta: meta(KindEvent), At: at, Type: kind, Node: node, SinceSeconds: since(unseen)}
}

func sole(v vip.Verdict) string {
	if v.Ownership == vip.Owned && len(v.Owners) == 1 {
		return v.Owners[0]
	}
	return ""
}

// names are never null: a list is a list, also of nobody.
func names(v vip.Verdict) []string { return append([]string{}, v.Owners...) }

func since(d time.Duration) *float64 {
	if d <= 0 {
		return nil
	}
	return new(d.Seconds())
}

// The times of a line for people.
const (
	eventTime = "2006-01-02T15:04:05.000Z07:00"
	clockTime = "15:04:05.000"
)

// Line is the event for people, without the end of the line.
func (e *OwnershipEvent) Line() string { return strings.Join(e.words(), "") }

// words are the parts of the line; a verdict stands alone.
func (e *OwnershipEvent) words() []string {
	at := e.At.Format(eventTime) + "  "
	switch e.Type {
	case EventLook:
		return []string{at, e.VIP + "  ", e.Verdict, e.pad() + holders(e.Owners) + "  " + e.Reason}
	case EventChange:
		text := e.pad() + holders(e.PreviousOwners) + " -> " + holders(e.Owners) + "  " + e.Reason
		if e.SinceSeconds != nil {
			text += " (" + e.PreviousVerdict + " for " + e.lasted() + ")"
		}
		return []string{at, e.VIP + "  ", e.Verdict, text}
	case EventGap:
		text := "gap: " + e.Node + " not seen"
		if e.HeardAt != nil {
			text += " since " + e.HeardAt.In(e.At.Location()).Format(clockTime)
		}
		return []string{at, text + ": " + oneLine(e.Error)}
	case EventSeen:
		text := "seen again: " + e.Node
		if e.SinceSeconds != nil {
			text += ", after " + e.lasted()
		}
		return []string{at, text}
	default:
		return []string{at, strings.TrimSpace(e.Type + ": " + e.Node + " " + e.Address)}
	}
}

// pad brings what follows a verdict into one column.
func (e *OwnershipEvent) pad() string { return strings.Repeat(" ", max(0, 10-len(e.Verdict))+2) }

func holders(names []string) string { return orElse(strings.Join(names, ","), "-") }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// lasted is how long it was as before.
func (e *OwnershipEvent) lasted() string { return seconds(*e.SinceSeconds) }

// WriteLine prints a document of a stream at one go: as compact JSON on a line
// of its own, as a YAML document after its separator, or for people.
func (s Style) WriteLine(w io.Writer, format string, doc any) error {
	var out bytes.Buffer
	switch format {
	case JSON:
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		if err := e.Encode(doc); err != nil {
			return err
		}
		out = *bytes.NewBuffer(harmlessJSON(out.Bytes()))
	case YAML:
		data, err := harmlessYAML(doc)
		if err != nil {
			return err
		}
		out.WriteString("---\n")
		out.Write(data)
	case Table, Wide:
		e, ok := doc.(OwnershipEvent)
		if !ok {
			return fmt.Errorf("%T has no line", doc)
		}
		words := e.words()
		for i := range words {
			words[i] = harmless(words[i])
		}
		out.WriteString(wrap(s.paint(strings.Join(words, ""), words), s.Width) + "\n")
	default:
		return &FormatError{format}
	}
	_, err := w.Write(out.Bytes())
	return err
}
