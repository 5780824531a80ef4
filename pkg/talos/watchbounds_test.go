package talos

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"google.golang.org/protobuf/types/known/anypb"
)

// A watch that begins and brings no first list is as good as none: it is told of
// as a gap, and begins anew.
func TestWatchThatBringsNoFirstList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	n.stuck.Store(true)
	changes := make(chan AddressChange, 10)
	go func() {
		_ = w.client("10.5.0.2").WatchAddresses(t.Context(), "10.5.0.2", func(c AddressChange) {
			n.stuck.Store(c.Gap == nil) // the next attempt brings its list
			changes <- c
		})
	}()
	for _, wantGap := range []bool{true, false} {
		select {
		case c := <-changes:
			if (c.Gap != nil) != wantGap {
				t.Errorf("the watch tells %+v; want a gap %v", c, wantGap)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("the watch tells nothing; want a gap %v", wantGap)
		}
	}
}

// A node of which the first list takes longer than a second is told of as a gap
// once, and is watched then: it is given as long as it needs, within the timeout.
func TestWatchOfASlowNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	n.slow.Store(int64(400 * time.Millisecond)) // head, two addresses, end: 1.6 s
	n.carry("10.5.0.60/32")                     // 2 s
	seen := &watched{more: make(chan struct{}, 100)}
	go func() { _ = w.client("10.5.0.2").WatchAddresses(t.Context(), "10.5.0.2", seen.report) }()
	if gap := seen.next(t); gap.Gap == nil || !gaveUp(gap.Gap.Error(), time.Second) {
		t.Errorf("at first %+v; want a gap", gap)
	}
	first := seen.next(t)
	if first.Gap != nil || len(first.Present) != 3 {
		t.Fatalf("then %+v; want its three addresses", first)
	}
	for begun := n.listed.Load(); n.listed.Load() < begun+3; time.Sleep(10 * time.Millisecond) {
		if time.Since(first.At) > 20*time.Second {
			t.Fatal("the node is not asked again and again")
		}
	}
	n.carry("10.5.0.50/32")
	if got := seen.next(t); got.Gap != nil || len(got.Present) != 4 {
		t.Errorf("after three more answers and a change %+v; want four addresses, and no gap", got)
	}
}

// That a node was silent for long is no reason to wait for it longer once it
// answers as fast as before.
func TestSilenceOfANodeThatWasSilentBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	seen := &watched{more: make(chan struct{}, 100)}
	go func() { _ = w.client("10.5.0.2").WatchAddresses(t.Context(), "10.5.0.2", seen.report) }()
	seen.next(t)
	for range 2 {
		begun := n.listed.Load()
		for n.listed.Load() < begun+2 {
			time.Sleep(10 * time.Millisecond)
		}
		w.cutPower("10.5.0.2:50000")
		if gap := seen.next(t); gap.Gap == nil || !gaveUp(gap.Gap.Error(), time.Second) {
			t.Errorf("after a cut %+v; want a gap, found in a second", gap)
		}
		time.Sleep(2 * watchPatience) // two attempts, of a second and more, fail
		w.restorePower("10.5.0.2:50000")
		if back := seen.next(t); back.Gap != nil {
			t.Fatalf("after a cut %+v; want it back", back)
		}
	}
}

// A watch that was lost ends with the reason for it, and not with what its stream
// says of being ended.
func TestReasonOfALoss(t *testing.T) {
	ctx, lose := context.WithCancelCause(t.Context())
	lose(errOtherMachine)
	for range 64 {
		events := make(chan state.Event, 1)
		events <- state.Event{Type: state.Errored, Error: context.Canceled}
		w := &addressWatch{patience: watchPatience}
		if err := w.follow(ctx, events, nil); !errors.Is(err, errOtherMachine) {
			t.Fatalf("follow = %v; want %v", err, errOtherMachine)
		}
	}
}

// However slow a node is known to be, one that cannot be dialled is dialled anew
// soon: it may be back.
func TestDiallingOfANodeThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.node("cp-1", "10.5.0.2", 0xa1)
	w.cutPower("10.5.0.2:50000")
	cfg := w.config([]string{"10.5.0.2"}, nil)
	cfg.Timeout = time.Minute
	watch := &addressWatch{client: w.open(cfg), patience: cfg.Timeout}
	watch.target = watch.client.Node("10.5.0.2").member.target
	ctx, cancel := context.WithTimeout(t.Context(), 2*watchConnecting)
	defer cancel()
	err := watch.lost(watch.once(ctx))
	if ctx.Err() != nil || !gaveUp(err.Error(), watchConnecting) || watch.patience > 2*watchConnecting {
		t.Errorf("a watch of a node that is gone ends with %v, and has patience for %v then; want an end after 4 s, and 8 s at most", err, watch.patience)
	}
}

func TestRetryWait(t *testing.T) {
	const ms = time.Millisecond
	var b retryWait
	for i, step := range []struct{ stood, want time.Duration }{
		{0, 100 * ms}, {0, 200 * ms}, {0, 400 * ms}, {0, 500 * ms}, {0, 500 * ms},
		{10 * ms, 500 * ms},     // answers at last, and hangs up
		{watchSteady, 100 * ms}, // stood for a while
		{30 * ms, 200 * ms},     // and again it hangs up at once
		{watchSteady - 1, 400 * ms},
		{time.Hour, 100 * ms},
	} {
		if got := b.after(step.stood); got != step.want {
			t.Errorf("wait %d, after a watch of %v = %v; want %v", i, step.stood, got, step.want)
		}
	}
}

// A node that lists its addresses and hangs up is not asked ten times a second.
func TestNodeThatHangsUpAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.node("cp-1", "10.5.0.2", 0xa1)
	lists, times := make(chan time.Time, 100), make([]time.Time, 0, 5)
	go func() {
		_ = w.client("10.5.0.2").WatchAddresses(t.Context(), "10.5.0.2", func(c AddressChange) {
			if c.Gap == nil {
				lists <- time.Now() // whoever waits for it may be late
				w.breakAll("10.5.0.2:50000")
			}
		})
	}()
	for len(times) < 5 {
		select {
		case at := <-lists:
			times = append(times, at)
		case <-time.After(10 * time.Second):
			t.Fatalf("%d lists; want that it goes on trying", len(times))
		}
	}
	// 100, 200, 400 and 500 ms lie between the five; 100 ms each before they grew.
	if took := times[4].Sub(times[0]); took < 1200*time.Millisecond-50*time.Millisecond {
		t.Errorf("the fifth list came %v after the first; want 1.2 s at least", took)
	}
}

// However many events a node sends, it is asked now and then only.
func TestFloodOfEvents(t *testing.T) {
	t.Parallel()
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
	for ; time.Since(begun) < time.Second || sent < 100 && time.Since(begun) < 20*time.Second; sent++ {
		select {
		case n.events <- &machineapi.Event{Data: &anypb.Any{TypeUrl: "talos/runtime/machine.AddressEvent"}}:
		case <-time.After(5 * time.Second):
			t.Fatalf("nobody takes an event, after %d were taken; want that they are followed", sent)
		}
	}
	asked, most := n.listed.Load()-before, int32(time.Since(begun)/watchHinted)+3
	if asked < 2 || asked > most || sent < 100 {
		t.Errorf("asked %d times after %d events; want it twice at least, and %d times at most", asked, sent, most)
	}
}

// A gap begins at the last answer, not at the last change: a node that was quiet
// for long, and answered, was seen.
func TestGapBeginsAtTheLastAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	seen := &watched{more: make(chan struct{}, 100)}
	go func() { _ = w.client("10.5.0.2").WatchAddresses(t.Context(), "10.5.0.2", seen.report) }()
	first := seen.next(t)
	for begun := n.listed.Load(); n.listed.Load() < begun+3; time.Sleep(10 * time.Millisecond) {
		if time.Since(first.At) > 10*time.Second {
			t.Fatal("the node is not asked again and again")
		}
	}
	w.cutPower("10.5.0.2:50000")
	cut := time.Now()
	gap := seen.next(t)
	if gap.Gap == nil || gap.Heard.Before(first.At.Add(watchPulse)) || gap.Heard.After(cut) {
		t.Errorf("after a cut at %v: %+v; want a gap since the answer before that", cut, gap)
	}
}

var notTaken = regexp.MustCompile(`was not taken for [1-9]`)

// Where nobody takes a change for long, what comes after it is not told as new.
func TestChangeThatIsNotTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	changes, waits := make(chan AddressChange), make(chan struct{}, 10)
	go func() {
		_ = w.client("10.5.0.2").WatchAddresses(t.Context(), "10.5.0.2", func(c AddressChange) {
			waits <- struct{}{}
			changes <- c
		})
	}()
	<-waits
	<-changes
	n.carry("10.5.0.50/32")
	<-waits // to be taken
	time.Sleep(watchPatience / 4)
	n.shed("10.5.0.50/32")
	shed := time.Now()
	n.carry("10.5.0.60/32")
	time.Sleep(watchPatience * 5 / 4)
	taken := time.Now()
	if first := <-changes; first.At.After(shed) || len(first.Present) != 3 {
		t.Errorf("%+v is told; want what was so before %v", first, shed)
	}
	if gap := <-changes; gap.Gap == nil || !notTaken.MatchString(gap.Gap.Error()) || gap.Heard.After(shed) {
		t.Errorf("%+v is told; want a gap from before %v", gap, shed)
	}
	if now := <-changes; now.Gap != nil || now.At.Before(taken) || len(now.Present) != 3 {
		t.Errorf("%+v is told; want what is so now", now)
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
