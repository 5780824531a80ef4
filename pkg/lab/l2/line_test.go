package l2

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestLineLosesTheSameFramesEachTime(t *testing.T) {
	lost := func(i Impairment) (which []int) {
		var l line
		l.impair(i)
		for n := range 1000 {
			if _, f := l.admit(); f == isLost {
				which = append(which, n)
			}
		}
		return which
	}
	first := lost(Impairment{Loss: 0.2, Seed: 7})
	if len(first) < 150 || len(first) > 250 {
		t.Errorf("%d of 1000 frames are lost at 20 %%; want about 200", len(first))
	}
	if again := lost(Impairment{Loss: 0.2, Seed: 7}); !slices.Equal(first, again) {
		t.Errorf("frames lost with the same seed = %v, then %v; want the same", first, again)
	}
	if other := lost(Impairment{Loss: 0.2, Seed: 8}); slices.Equal(first, other) {
		t.Error("another seed loses the same frames")
	}
	if all := lost(Impairment{Loss: 1}); len(all) != 1000 {
		t.Errorf("%d of 1000 frames are lost at 100 %%; want all", len(all))
	}
	if none := lost(Impairment{}); len(none) != 0 {
		t.Errorf("%d frames are lost on a sound line; want none", len(none))
	}
}

func TestLineKeepsFramesInOrder(t *testing.T) {
	var l line
	l.impair(Impairment{Delay: 10 * time.Millisecond, Jitter: 50 * time.Millisecond, Seed: 1})
	begin := time.Now()
	var last time.Time
	for n := range 100 {
		due, f := l.admit()
		if f != isLate || due.Before(last) || due.Sub(begin) < 10*time.Millisecond {
			t.Fatalf("admit(frame %d) = %v, %v; want it late by 10 ms and not before %v", n, due, f, last)
		}
		last = due
	}
	l.impair(Impairment{})
	if due, f := l.admit(); f != isLate || due.Before(last) {
		t.Errorf("admit() after the fault was undone = %v, %v; want it behind those on the line, due %v", due, f, last)
	}
	for range 101 {
		l.left()
	}
	if due, f := l.admit(); f != passes {
		t.Errorf("admit() on a sound, empty line = %v, %v; want that it passes", due, f)
	}
}

func TestLineIsBounded(t *testing.T) {
	var l line
	l.impair(Impairment{Delay: time.Hour})
	for range maxLate {
		if _, f := l.admit(); f != isLate {
			t.Fatalf("admit() = %v; want isLate", f)
		}
	}
	if _, f := l.admit(); f != isLost {
		t.Errorf("admit() on a full line = %v; want isLost", f)
	}
}

func TestLateKeepsTheOrderOfTheInstants(t *testing.T) {
	var (
		l    late
		mu   sync.Mutex // guards got
		got  []int
		wg   sync.WaitGroup
		base = time.Now().Add(500 * time.Millisecond) // a busy machine adds all by then
	)
	for _, n := range []int{3, 1, 2, 0} { // each earlier one wakes the goroutine
		for twice := range 2 {
			wg.Add(1)
			l.add(base.Add(time.Duration(n)*time.Millisecond), func() {
				defer wg.Done()
				mu.Lock()
				defer mu.Unlock()
				got = append(got, 2*n+twice)
			})
		}
	}
	wg.Wait()
	if want := []int{0, 1, 2, 3, 4, 5, 6, 7}; !slices.Equal(got, want) {
		t.Errorf("done in the order %v; want %v", got, want)
	}
	done := make(chan struct{})
	l.add(time.Now(), func() { close(done) }) // after the goroutine has ended, or shortly before
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("what was added last was not done")
	}
}

func TestAnnounced(t *testing.T) {
	const (
		head  = "ffffffffffff" + "020000000032" + "0806" + "0001" + "0800" + "0604"
		mac   = "020000000032"
		vip   = "0a050032"
		other = "0a050001"
	)
	addr := netip.MustParseAddr("10.5.0.50")
	for name, row := range map[string]struct {
		frame []byte
		want  netip.Addr // the zero value means none
	}{
		"a request as Talos sends it": {frame(t, head, "0001", mac, vip, mac, vip), addr},
		"a reply":                     {frame(t, head, "0002", mac, vip, "ffffffffffff", vip), addr},
		"a question":                  {frame(t, head, "0001", mac, other, "000000000000", vip), netip.Addr{}},
		"a probe":                     {frame(t, head, "0001", mac, "00000000", "000000000000", vip), netip.Addr{}},
		"nobody's":                    {frame(t, head, "0001", mac, "00000000", mac, "00000000"), netip.Addr{}},
		"cut short":                   {frame(t, head, "0001", mac, vip, mac, "0a0500"), netip.Addr{}},
		"of another protocol":         {frame(t, "ffffffffffff0200000000320806000186dd0604", "0001", mac, vip, mac, vip), netip.Addr{}},
		"TCP":                         {frame(t, ethernet4, ipv4Head, tcpHead, "12", tcpTail), netip.Addr{}},
	} {
		if got, ok := announced(row.frame); ok != row.want.IsValid() || ok && got != row.want {
			t.Errorf("announced(%s) = %v, %v; want %v", name, got, ok, row.want)
		}
	}
}
