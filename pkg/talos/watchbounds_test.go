package talos

import (
	"fmt"
	"testing"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"google.golang.org/protobuf/types/known/anypb"
)

// A watch that begins and brings no first list is as good as none: it is told of
// as a gap, and begins anew.
func TestWatchThatBringsNoFirstList(t *testing.T) {
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	n.stuck.Store(true)
	changes := make(chan AddressChange, 10)
	go func() {
		_ = w.client("10.5.0.2").WatchAddresses(t.Context(), "10.5.0.2", func(c AddressChange) { changes <- c })
	}()
	for _, wantGap := range []bool{true, false} {
		select {
		case c := <-changes:
			if (c.Gap != nil) != wantGap {
				t.Errorf("the watch tells %+v; want a gap %v", c, wantGap)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("the watch tells nothing; want a gap %v", wantGap)
		}
		n.stuck.Store(false)
	}
}

// However many events a node sends, it is asked now and then only.
func TestFloodOfEvents(t *testing.T) {
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	n.events = make(chan *machineapi.Event)
	changes := make(chan AddressChange, 10)
	go func() {
		_ = w.client("10.5.0.2").WatchAddresses(t.Context(), "10.5.0.2", func(c AddressChange) { changes <- c })
	}()
	<-changes
	before, begun := n.listed.Load(), time.Now()
	sent := 0
	for ; time.Since(begun) < time.Second; sent++ {
		n.events <- &machineapi.Event{Data: &anypb.Any{TypeUrl: "talos/runtime/machine.AddressEvent"}}
	}
	asked, most := n.listed.Load()-before, int32(time.Since(begun)/watchHinted)+3
	if asked < 2 || asked > most || sent < 100 {
		t.Errorf("asked %d times after %d events; want it twice at least, and %d times at most", asked, sent, most)
	}
}

func TestSightingsAreBounded(t *testing.T) {
	known := newSightings()
	for i := 0; !known.tooMany(); i++ {
		if i > 3*maxSightings {
			t.Fatalf("%d addresses are not too many", i)
		}
		r := network.NewAddressStatus(network.NamespaceName, fmt.Sprint("eth0/", i))
		known.asked()
		if len(known.present) > 0 && i%2 == 1 {
			known.answered(nil) // shown to be gone, and the watch never tells
		} else {
			known.add(r)
		}
	}
	if len(known.gone) == 0 {
		t.Error("nothing counts as gone")
	}
}

func TestTidy(t *testing.T) {
	for in, want := range map[string]string{
		"two\n\tlines":                  "two lines",
		"\x1b[2Jnothing to see\u009b\a": "\uFFFD[2Jnothing to see\uFFFD\uFFFD",
		"turned \u202eround":            "turned \uFFFDround",
		"\xff\xfe":                      "\uFFFD",
	} {
		if got := tidy(in); got != want {
			t.Errorf("tidy(%q) = %q; want %q", in, got, want)
		}
	}
	if got := len(tidy(fmt.Sprintf("%0*d", 1<<20, 0))); got > maxReason {
		t.Errorf("a reason of 1 MiB has %d bytes; want %d at most", got, maxReason)
	}
}
