//go:build linux

package truth

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// HoldBack is how long a Log waits after an event's instant before it gives
	// the event its number: a process that is slower to tell is put in its
	// place by then. What comes later still is Late.
	HoldBack = 100 * time.Millisecond
	// maxEvents bounds a Log; the oldest events go first.
	maxEvents = 100_000
)

// Log is a Recorder that keeps events and puts them in order: it is the one
// writer of the order. The zero value is ready for use.
type Log struct {
	mu       sync.Mutex    // guards following
	waiting  []Event       // younger than HoldBack, by time
	settled  []Event       // by number
	seq      uint64        // of the last in settled
	last     time.Duration // the latest time in settled
	late     bool          // settled is not in the order of time
	once     map[string]struct{}
	timer    *time.Timer   // calls settle
	more     chan struct{} // closed when settled grows; nil if nobody waits
	arrivals map[chan Event]struct{}
}

// Record keeps the event, stamped with Now where At is zero.
func (l *Log) Record(e Event) {
	if e.At == 0 {
		e.At = Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told(e.Once) {
		return
	}
	i := len(l.waiting)
	for i > 0 && l.waiting[i-1].At > e.At {
		i--
	}
	l.waiting = slices.Insert(l.waiting, i, e)
	for ch := range l.arrivals {
		select {
		case ch <- e:
		default: // one who cannot keep up loses arrivals; the Log itself does not
		}
	}
	l.arm()
}

// told reports whether an event of that name came before. The caller holds mu.
func (l *Log) told(once string) bool {
	if once == "" {
		return false
	}
	if _, told := l.once[once]; told {
		return true
	}
	if l.once == nil || len(l.once) >= maxEvents {
		l.once = make(map[string]struct{})
	}
	l.once[once] = struct{}{}
	return false
}

// arm sees to it that settle is called when the oldest that waits is due. The
// caller holds mu.
func (l *Log) arm() {
	if len(l.waiting) == 0 {
		return
	}
	due := max(0, l.waiting[0].At+HoldBack-Now())
	if l.timer == nil {
		l.timer = time.AfterFunc(due, l.settle)
	}
	l.timer.Reset(due)
}

// settle numbers the events that have waited for long enough.
func (l *Log) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	due, n := Now()-HoldBack, 0
	for ; n < len(l.waiting) && l.waiting[n].At <= due; n++ {
		e := l.waiting[n]
		l.seq++
		e.Seq, e.Late = l.seq, e.At < l.last
		l.late = l.late || e.Late
		l.last = max(l.last, e.At)
		l.settled = append(l.settled, e)
	}
	l.waiting = slices.Delete(l.waiting, 0, n)
	if extra := len(l.settled) - maxEvents; extra > 0 {
		l.settled = slices.Delete(l.settled, 0, extra)
	}
	if n > 0 && l.more != nil {
		close(l.more)
		l.more = nil
	}
	l.arm()
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

// Events returns a copy of all events at once, in the order of their time. The
// youngest have no number yet, and others may still come between them.
func (l *Log) Events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Concat(l.settled, l.waiting)
	if l.late || len(l.settled) > 0 && len(l.waiting) > 0 && l.waiting[0].At < l.last {
		slices.SortStableFunc(all, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	}
	return all
}

// Settled returns a copy of all events that happened before the call, in the
// order of their time and with their numbers. It waits for them for HoldBack,
// or until ctx ends.
func (l *Log) Settled(ctx context.Context) []Event {
	timer := time.NewTimer(HoldBack)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	l.settle() // its own timer may be a little later than ours
	return slices.DeleteFunc(l.Events(), func(e Event) bool { return e.Seq == 0 })
}

// Follow hands f every event from the oldest that is kept on, in the order of
// their numbers, each HoldBack after it happened; until ctx ends, when it
// returns nil, or f returns an error. A slow f makes nobody else wait.
func (l *Log) Follow(ctx context.Context, f func(Event) error) error {
	for from := uint64(0); ; {
		news, more := l.after(from)
		for _, e := range news {
			if err := f(e); err != nil {
				return err
			}
			from = e.Seq
		}
		if len(news) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		}
	}
}

// after returns the events with numbers above seq, or what is closed when
// there are some.
func (l *Log) after(seq uint64) ([]Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seq > seq {
		return slices.Clone(l.settled[max(0, len(l.settled)-int(l.seq-seq)):]), nil
	}
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return nil, l.more
}

// Arrivals returns a channel of the events as the Log learns of them, at once
// and so in no order, until stop is called.
func (l *Log) Arrivals() (next <-chan Event, stop func()) {
	ch := make(chan Event, 1024)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.arrivals == nil {
		l.arrivals = make(map[chan Event]struct{})
	}
	l.arrivals[ch] = struct{}{}
	return ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.arrivals, ch)
	}
}
