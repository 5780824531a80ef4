package talosapi

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// eventsKept is how many past events a node remembers (Talos v1.13.9
// internal/app/machined/pkg/runtime/v1alpha1/v1alpha1_events.go: 1000).
const eventsKept = 1000

// EventLog is a node's log of events: the last thousand of this boot. It is
// safe for concurrent use. Its zero value is not ready; use NewEventLog.
type EventLog struct {
	mu      sync.Mutex    // guards what follows
	events  []loggedEvent // oldest first
	dropped int           // how many events are gone from the front
	grown   chan struct{} // closed and replaced when an event is added
	clock   *Clock
	source  [5]byte // tells this log's IDs from others'
	count   uint32  // of IDs given out
}

type loggedEvent struct {
	*machine.Event
	at time.Time
}

// NewEventLog returns an empty log whose events are dated by the clock; nil is
// one that goes right.
func NewEventLog(c *Clock) *EventLog {
	l := &EventLog{grown: make(chan struct{}), clock: c}
	_, _ = rand.Read(l.source[:]) // never fails
	return l
}

// eventIDs writes the IDs of events as Talos's: they sort by time.
var eventIDs = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// id returns the ID of the next event, in the form of github.com/rs/xid: the
// second of Unix time, where it comes from, and a count. The caller holds mu.
func (l *EventLog) id(at time.Time) string {
	var raw [12]byte
	binary.BigEndian.PutUint32(raw[:], uint32(at.Unix()))
	copy(raw[4:], l.source[:])
	l.count++
	raw[9], raw[10], raw[11] = byte(l.count>>16), byte(l.count>>8), byte(l.count)
	return eventIDs.EncodeToString(raw[:])
}

// checkEventID refuses what is no ID of an event; "" is none.
func checkEventID(id string) error {
	if raw, err := eventIDs.DecodeString(id); id != "" && (err != nil || len(raw) != 12) {
		return errors.New("error parsing tail_id: xid: invalid ID")
	}
	return nil
}

// Publish adds an event. The actor is the ID of the API call that caused it,
// or "".
func (l *EventLog) Publish(payload proto.Message, actor string) {
	value, err := proto.Marshal(payload)
	if err != nil {
		panic(fmt.Sprintf("marshal %T: %v", payload, err)) // events are made of plain fields
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.clock.Now()
	l.events = append(l.events, loggedEvent{at: at, Event: &machine.Event{
		Data:    &anypb.Any{TypeUrl: "talos/runtime/" + string(payload.ProtoReflect().Descriptor().FullName()), Value: value},
		Id:      l.id(at),
		ActorId: actor,
	}})
	if extra := len(l.events) - eventsKept; extra > 0 {
		l.events = append([]loggedEvent(nil), l.events[extra:]...)
		l.dropped += extra
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

// stream sends the past events that the request asks for and then the new
// ones until the context ends or send fails.
func (l *EventLog) stream(ctx context.Context, req *machine.EventsRequest, send func(*machine.Event) error) error {
	next := l.start(req)
	for {
		batch, grown := l.after(&next)
		for _, e := range batch {
			if req.GetWithActorId() != "" && e.GetActorId() != req.GetWithActorId() {
				continue
			}
			if err := send(e); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// start returns the number of the first event to send.
func (l *EventLog) start(req *machine.EventsRequest) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := len(l.events)
	switch tail := int(req.GetTailEvents()); {
	case tail < 0:
		first = 0
	case tail > 0:
		first = max(0, len(l.events)-tail)
	}
	since := l.clock.Now().Add(-time.Duration(req.GetTailSeconds()) * time.Second)
	for i, e := range l.events {
		if (req.GetTailId() != "" && e.GetId() > req.GetTailId()) || (req.GetTailSeconds() > 0 && e.at.After(since)) {
			first = min(first, i)
			break
		}
	}
	return l.dropped + first
}

// after returns the events from number *next on and moves it past them.
func (l *EventLog) after(next *int) ([]*machine.Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var batch []*machine.Event
	for _, e := range l.events[max(0, *next-l.dropped):] {
		batch = append(batch, e.Event)
	}
	*next = l.dropped + len(l.events)
	return batch, l.grown
}
