package talos

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// reconnects is how often a watch is broken, and begins anew.
const reconnects = 60

// inUse is how many goroutines and files there are, no files where they are not
// told of.
func inUse() (goroutines, files int) {
	list, _ := os.ReadDir("/proc/self/fd")
	return runtime.NumGoroutine(), len(list)
}

// A watch that is broken again and again grows by nothing: a night has many
// thousands of attempts.
func TestReconnectsLeaveNothing(t *testing.T) {
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	c := w.client("10.5.0.2")
	at, err := c.watched("10.5.0.2", "")
	if err != nil {
		t.Fatal(err)
	}
	watch := &addressWatch{client: c, name: "cp-1", target: at, patience: watchPatience, report: func(AddressChange) { w.breakAll(n.addr + ":50000") }}
	var goroutines, files int
	for i := range reconnects {
		if err := watch.once(t.Context()); err == nil {
			t.Fatal("a watch that was broken ends with nil; want an error")
		}
		if i == reconnects/10 { // what is there once is no growth
			goroutines, files = inUse()
		}
	}
	if watch.seen < reconnects*9/10 {
		t.Fatalf("%d lists in %d watches; want one each", watch.seen, reconnects)
	}
	const slack = 12 // what the last few have not closed yet
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		g, f := inUse()
		if g <= goroutines+slack && f <= files+slack {
			break
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("%d goroutines and %d files after %d reconnects; there were %d and %d after a tenth of them", g, f, reconnects, goroutines, files)
		}
	}
}
