//go:build linux

package truth

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLogKeepsTheOrderOfTime(t *testing.T) {
	var l Log
	l.Record(Event{At: 10, Kind: PowerOn})
	past, next, stop := l.Follow()
	l.Record(Event{At: 30, Kind: LinkCut})
	l.Record(Event{At: 20, Kind: Booted}) // its process was slower to say so
	stop()
	l.Record(Event{At: 40, Kind: PowerOff})
	var got []time.Duration
	for _, e := range l.Events() {
		got = append(got, e.At)
	}
	if want := []time.Duration{10, 20, 30, 40}; !slices.Equal(got, want) {
		t.Errorf("Events() at %v; want %v", got, want)
	}
	if len(past) != 1 || past[0].Kind != PowerOn {
		t.Errorf("Follow() = past %v; want what came before", past)
	}
	if a, b := <-next, <-next; a.Kind != LinkCut || b.Kind != Booted || len(next) != 0 {
		t.Errorf("followed %v, %v and %d more; want link-cut and booted only", a.Kind, b.Kind, len(next))
	}
}

func TestLogReadsWhatWritersWrite(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := Now()
	NewWriter("cp-1", w).Record(Event{Kind: Booted})
	if _, err := w.WriteString("no event\n{}\n"); err != nil {
		t.Fatal(err)
	}
	NewWriter("cp-1", w).Record(Event{Node: "cp-2", Kind: AddressAdded, Detail: strings.Repeat("x", 100)})
	_ = w.Close()
	var l Log
	l.ReadLines(r)
	got := l.Events()
	if len(got) != 2 || got[0].Node != "cp-1" || got[1].Node != "cp-2" {
		t.Fatalf("Events() = %v; want one of cp-1 and one of cp-2", got)
	}
	if got[0].At < before || got[0].At > Now() {
		t.Errorf("At = %v; want between %v and now", got[0].At, before)
	}
}
