//go:build linux

package truth

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// at returns the events' times, in their order.
func at(events []Event) (list []time.Duration) {
	for _, e := range events {
		list = append(list, e.At)
	}
	return list
}

// follow collects n events from l as they are handed out.
func follow(t *testing.T, l *Log, n int) <-chan []Event {
	t.Helper()
	all := make(chan []Event, 1)
	go func() {
		var got []Event
		err := l.Follow(t.Context(), func(e Event) error {
			if got = append(got, e); len(got) == n {
				return errors.New("enough")
			}
			return nil
		})
		if err == nil || err.Error() != "enough" {
			t.Errorf("Follow() = %v; want what its function returned", err)
		}
		all <- got
	}()
	return all
}

func TestLogHandsOutEventsInTheOrderOfTheirTime(t *testing.T) {
	var l Log
	all := follow(t, &l, 4)
	now := Now() + time.Second // all are recorded before the first is handed out, on a busy machine too
	want := []time.Duration{now - 30, now - 20, now - 10, now}
	for _, i := range []int{0, 2, 1, 3} { // the second's process was slower to say so
		l.Record(Event{At: want[i], Kind: LinkCut})
	}
	if got := at(l.Events()); !slices.Equal(got, want) {
		t.Errorf("Events() at %v; want %v", got, want)
	}
	got := <-all
	if !slices.Equal(at(got), want) {
		t.Errorf("followed %v; want %v", at(got), want)
	}
	if told := Now() - now; told < HoldBack {
		t.Errorf("handed out after %v; want them held back for %v", told, HoldBack)
	}
	for i, e := range got {
		if e.Seq != uint64(i+1) || e.Late {
			t.Errorf("event %d = %+v; want its number, and not late", i+1, e)
		}
	}
}

func TestLogSaysThatAnEventCameTooLateForItsPlace(t *testing.T) {
	var l Log
	now := Now()
	l.Record(Event{At: now, Kind: LinkCut})
	if got := l.Settled(t.Context()); len(got) != 1 || got[0].Seq != 1 {
		t.Fatalf("Settled() = %v; want the event with its number", got)
	}
	l.Record(Event{At: now - 1, Kind: PowerOff}) // its process was frozen, say
	got := <-follow(t, &l, 2)
	if e := got[1]; e.Kind != PowerOff || e.Seq != 2 || !e.Late {
		t.Errorf("followed %+v last; want the event before it, marked late", e)
	}
	if got := at(l.Settled(t.Context())); !slices.Equal(got, []time.Duration{now - 1, now}) {
		t.Errorf("Settled() at %v; want the order of time all the same", got)
	}
}

func TestLogKeepsOneOfManyReports(t *testing.T) {
	var l Log
	for _, node := range []string{"cp-2", "cp-1", "cp-3"} {
		l.Record(Event{Node: node, Kind: KeyWritten, Once: "key-written 7"})
	}
	l.Record(Event{Node: "cp-1", Kind: KeyWritten, Once: "key-written 8"})
	if got := l.Events(); len(got) != 2 || got[0].Node != "cp-2" || got[1].Node != "cp-1" {
		t.Errorf("Events() = %v; want the first report of each", got)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	var l Log
	l.Record(Event{Kind: LinkCut})
	ctx, cancel := context.WithCancel(t.Context())
	if err := l.Follow(ctx, func(Event) error { cancel(); return nil }); err != nil {
		t.Errorf("Follow() = %v; want nil when its context ended", err)
	}
}

func TestManyFollowersOfManyWritersSeeTheSame(t *testing.T) {
	const writers, each = 8, 200
	var l Log
	one, other := follow(t, &l, writers*each), follow(t, &l, writers*each)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				l.Record(Event{Kind: Accepted})
			}
		})
	}
	wg.Wait()
	got := <-one
	if !slices.Equal(got, <-other) {
		t.Error("two followers saw different events")
	}
	last := time.Duration(0)
	for _, e := range got {
		if e.Late != (e.At < last) { // a writer may stall for longer than HoldBack
			t.Errorf("followed %+v after one at %v; want the order of time, or that it is said to be late", e, last)
		}
		last = max(last, e.At)
	}
}

// newPipe returns a pipe, and a Writer on it.
func newPipe(t *testing.T) (r, w *os.File, l *Writer) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l = NewWriter("cp-1", w)
	t.Cleanup(func() { _, _, _ = r.Close(), w.Close(), l.Close() })
	return r, w, l
}

func TestLogReadsWhatWritersWrite(t *testing.T) {
	r, w, writer := newPipe(t)
	before := Now()
	writer.Record(Event{Kind: Booted})
	if _, err := w.WriteString("no event\n{}\n"); err != nil {
		t.Fatal(err)
	}
	writer.Record(Event{Node: "cp-2", Kind: AddressAdded, Detail: strings.Repeat("x", 100)})
	writer.Record(Event{Kind: LinkCut, Detail: strings.Repeat("x", lineLimit)})
	_, _ = w.Close(), writer.Close()
	var l Log
	l.ReadLines(r)
	got := l.Events()
	if len(got) != 3 || got[0].Node != "cp-1" || got[1].Node != "cp-2" || got[2].Kind != LinkCut || len(got[2].Detail) > 100 {
		t.Fatalf("Events() = %v; want one of cp-1, one of cp-2, and the long one cut short", got)
	}
	if got[0].At < before || got[0].At > Now() {
		t.Errorf("At = %v; want between %v and now", got[0].At, before)
	}
}

// TestWriterDoesNotWaitForItsReader hands the pipe to the runtime as a process
// of the lab does with the files that it inherits: in blocking mode.
func TestWriterDoesNotWaitForItsReader(t *testing.T) {
	r, w, writer := newPipe(t)
	_ = w.Fd() // sets blocking mode, for every process that has the pipe
	const n = 5000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			writer.Record(Event{Kind: Booted})
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Record() waits for a reader that does not read")
	}
	var l Log
	read := make(chan struct{})
	go func() { defer close(read); l.ReadLines(r) }()
	all := n
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		writer.Record(Event{Kind: LinkCut}) // once there is room
		all++
		if got := l.Events(); len(got) > 0 && got[len(got)-1].Kind == LinkCut {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing comes through once the pipe is read")
		}
	}
	_, _ = w.Close(), writer.Close()
	<-read
	written, dropped := 0, 0
	for _, e := range l.Events() {
		switch e.Kind {
		case Booted, LinkCut:
			written++
		case EventsDropped:
			more, err := strconv.Atoi(e.Detail)
			if err != nil || e.Node != "cp-1" {
				t.Errorf("%+v; want the node and a number", e)
			}
			dropped += more
		}
	}
	if dropped == 0 || written+dropped != all {
		t.Errorf("of %d events %d were written and %d counted as dropped; want some dropped, and all in sum", all, written, dropped)
	}
}
