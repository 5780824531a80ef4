//go:build linux

package truth

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"sync"
)

// maxEvents bounds a Log; the oldest events go first.
const maxEvents = 100_000

// Log is a Recorder that keeps events in the order of their time. The zero
// value is ready for use.
type Log struct {
	mu     sync.Mutex // guards following
	events []Event
	follow map[chan Event]struct{}
}

// Record keeps the event, stamped with Now where At is zero, and hands it to
// those who follow.
func (l *Log) Record(e Event) {
	if e.At == 0 {
		e.At = Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := len(l.events)
	for i > 0 && l.events[i-1].At > e.At {
		i--
	}
	l.events = slices.Insert(l.events, i, e)
	if len(l.events) > maxEvents {
		l.events = slices.Delete(l.events, 0, len(l.events)-maxEvents)
	}
	for ch := range l.follow {
		select {
		case ch <- e:
		default: // one who cannot keep up loses events; the Log itself does not
		}
	}
}

// ReadLines records what Writers wrote to r, until its end. A line that is no
// event is left out.
func (l *Log) ReadLines(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Kind != "" {
			l.Record(e)
		}
	}
}

// Events returns a copy of all events, in the order of their time.
func (l *Log) Events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// Follow returns the events so far and a channel of those that come, until
// stop is called. Events from different processes may come a little out of
// order; At tells.
func (l *Log) Follow() (past []Event, next <-chan Event, stop func()) {
	ch := make(chan Event, 1024)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.follow == nil {
		l.follow = make(map[chan Event]struct{})
	}
	l.follow[ch] = struct{}{}
	return slices.Clone(l.events), ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.follow, ch)
	}
}
