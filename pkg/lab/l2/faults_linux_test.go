package l2

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/netns"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// tap sends and receives whole frames of a type that nobody else uses, on the
// link of a host.
type tap struct {
	*packet.Conn
	t testing.TB
}

const testType = 0x88b5 // IEEE 802: local experimental EtherType 1

func (s *segment) tap(host string) tap {
	s.t.Helper()
	var conn *packet.Conn
	s.must(s.hosts[host].Do(func() error {
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(link, packet.Raw, testType, nil)
		return err
	}))
	s.t.Cleanup(func() { _ = conn.Close() })
	return tap{conn, s.t}
}

// send writes a frame with the number, to everybody.
func (c tap) send(n byte) {
	c.write(append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5}, n))
}

func (c tap) write(frame []byte) {
	c.t.Helper()
	if _, err := c.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}); err != nil {
		c.t.Fatal(err)
	}
}

// heard returns the numbers of the frames that come until the time is over.
func (c tap) heard(within time.Duration) (numbers []byte) {
	c.t.Helper()
	buf := make([]byte, 100)
	_ = c.SetReadDeadline(time.Now().Add(within))
	for {
		_, _, err := c.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return numbers
		}
		if err != nil {
			c.t.Fatal(err)
		}
		numbers = append(numbers, buf[headerLen])
	}
}

// hears returns the numbers of the frames that come, once there are so many and
// the time is over: a busy machine may be late with some.
func (c tap) hears(many int, within time.Duration) (numbers []byte) {
	c.t.Helper()
	numbers = c.heard(within)
	for end := time.Now().Add(10 * time.Second); len(numbers) < many && time.Now().Before(end); {
		numbers = append(numbers, c.heard(within)...)
	}
	return numbers
}

// until waits for a condition.
func (s *segment) until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("after 10 s it still does not hold that %s", what)
		}
	}
}

// took is how long a TCP connection from a to the address takes.
func (s *segment) took(addr string) time.Duration {
	s.t.Helper()
	begin := time.Now()
	if _, err := s.dial(addr, 10*time.Second); err != nil {
		s.t.Fatal(err)
	}
	return time.Since(begin)
}

func TestImpairDelaysOneWayOrBoth(t *testing.T) {
	s := newSegment(t)
	const delay = 60 * time.Millisecond
	s.wantAnswer("10.9.0.2", "b") // ARP is known now
	for name, row := range map[string]struct {
		ways []Way
		want time.Duration // at least
	}{
		"towards b": {[]Way{In}, delay},
		"from b":    {[]Way{Out}, delay},
		"both":      {[]Way{In, Out}, 2 * delay},
	} {
		for _, w := range row.ways {
			s.sw.Impair("b", w, Impairment{Delay: delay, Jitter: 5 * time.Millisecond, Seed: 1})
		}
		if got := s.took("10.9.0.2"); got < row.want {
			t.Errorf("%s: a connection took %v; want %v at least", name, got, row.want)
		}
		for _, w := range row.ways {
			s.sw.Impair("b", w, Impairment{})
		}
		s.until(name+" undone, a connection is quick again", func() bool { return s.took("10.9.0.2") < delay })
	}
}

func TestImpairKeepsTheOrderAndLoses(t *testing.T) {
	s := newSegment(t)
	s.wantAnswer("10.9.0.2", "b") // the links have their carrier
	s.wantAnswer("10.9.0.3", "c")
	from, to, other := s.tap("a"), s.tap("b"), s.tap("c")
	all := make([]byte, 100)
	for i := range all {
		all[i] = byte(i)
	}
	s.sw.Impair("b", In, Impairment{Delay: 5 * time.Millisecond, Jitter: 30 * time.Millisecond, Seed: 1})
	for _, n := range all {
		from.send(n)
	}
	if got := to.hears(len(all), 300*time.Millisecond); !slices.Equal(got, all) {
		t.Errorf("through jitter came %v; want 0 to 99 in order", got)
	}
	if got := other.hears(len(all), 300*time.Millisecond); !slices.Equal(got, all) {
		t.Errorf("beside the fault came %v; want 0 to 99", got)
	}
	s.sw.Impair("b", In, Impairment{Loss: 0.3, Seed: 1})
	for _, n := range all {
		from.send(n)
	}
	got := to.hears(50, 300*time.Millisecond)
	if len(got) < 50 || len(got) > 90 || !slices.IsSorted(got) {
		t.Errorf("through a loss of 30 %% came %v; want about 70 of them, in order", got)
	}
}

func TestNoFrameOutlivesASilence(t *testing.T) {
	const delay, slack = 300 * time.Millisecond, 300 * time.Millisecond
	for name, row := range map[string]struct {
		port string // whose cable is long
		way  Way
		hush func(s *segment) // silence in between
		want []byte
	}{
		"the receiver cut, frames on its cable":   {"b", In, func(s *segment) { s.ports["b"].Cut(); s.ports["b"].Restore() }, nil},
		"the sender cut, frames on its cable":     {"a", Out, func(s *segment) { s.ports["a"].Cut(); s.ports["a"].Restore() }, nil},
		"the sender cut, frames on the other's":   {"b", In, func(s *segment) { s.ports["a"].Cut(); s.ports["a"].Restore() }, nil},
		"the receiver unplugged":                  {"b", In, func(s *segment) { s.must(s.sw.Unplug("b")); s.must(s.sw.Plug("b")) }, nil},
		"parted":                                  {"b", In, func(s *segment) { s.sw.Part("a", "b") }, nil},
		"the sender is closed":                    {"a", Out, func(s *segment) { s.must(s.ports["a"].Close()) }, nil},
		"another port is cut":                     {"b", In, func(s *segment) { s.ports["c"].Cut() }, []byte{1, 2}},
		"parted the other way":                    {"b", In, func(s *segment) { s.sw.Part("b", "a") }, []byte{1, 2}},
		"the fault undone, what is late comes on": {"b", In, func(s *segment) { s.sw.Impair("b", In, Impairment{}) }, []byte{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			// The silence must come before the frames are due, and the kernel
			// may take long to close or unplug.
			for range 10 {
				if got, took := acrossSilence(t, row.port, row.way, delay, slack, len(row.want), row.hush); took < delay {
					if !slices.Equal(got, row.want) {
						t.Errorf("after the silence came %v; want %v", got, row.want)
					}
					return
				}
			}
			t.Fatalf("ten times it took more than %v to make a silence", delay)
		})
	}
}

// acrossSilence sends two frames from a to b over a cable with a delay, makes
// a silence, and returns what arrived, and how long sending and silence took.
func acrossSilence(t *testing.T, port string, way Way, delay, slack time.Duration, want int, hush func(*segment)) (got []byte, took time.Duration) {
	s := newSegment(t)
	defer s.close()
	s.wantAnswer("10.9.0.2", "b") // both links have their carrier
	from, to := s.tap("a"), s.tap("b")
	s.sw.Impair(port, way, Impairment{Delay: delay})
	begin := time.Now()
	from.send(1)
	from.send(2)
	line := &s.ports[port].cable.lines[way]
	s.until("both frames are on the cable", func() bool {
		line.mu.Lock()
		defer line.mu.Unlock()
		return line.late >= 2 || time.Since(begin) > delay
	})
	hush(s)
	took = time.Since(begin)
	return to.hears(want, delay+slack), took
}

func TestLoseAnnouncements(t *testing.T) {
	s := newSegment(t)
	s.wantAnswer("10.9.0.2", "b") // the links have their carrier
	from, to := s.tap("a"), s.arp("b")
	garp := announcement([4]byte{10, 9, 0, 50})
	other := announcement([4]byte{10, 9, 0, 51})
	watched := netip.MustParseAddr(vip)
	for _, step := range []struct {
		what  string
		do    func()
		frame []byte
		comes bool
	}{
		{"no fault", func() {}, garp, true},
		{"of another port", func() { s.sw.LoseAnnouncements("c", watched) }, garp, true},
		{"of this port", func() { s.sw.LoseAnnouncements("a", watched) }, garp, false},
		{"another address", func() {}, other, true},
		{"undone", func() { s.sw.LoseAnnouncements("a"); s.sw.LoseAnnouncements("c") }, garp, true},
		{"of every port", func() { s.sw.LoseAnnouncements("", watched) }, garp, false},
		{"undone again", func() { s.sw.LoseAnnouncements("") }, garp, true},
	} {
		step.do()
		from.write(step.frame)
		want := 0
		if step.comes {
			want = 1
		}
		if got := len(to.hears(want, 100*time.Millisecond)) > 0; got != step.comes {
			t.Errorf("%s: the announcement came through = %v; want %v", step.what, got, step.comes)
		}
	}
	var lost []string
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, e := range s.log.events {
		if e.Kind == truth.ARPLost {
			lost = append(lost, e.Node+" "+e.Detail)
		}
	}
	if want := []string{"a " + vip, "a " + vip}; !slices.Equal(lost, want) {
		t.Errorf("recorded as lost: %v; want %v", lost, want)
	}
}

// arp hears the ARP frames of a host.
func (s *segment) arp(host string) tap {
	s.t.Helper()
	var conn *packet.Conn
	s.must(s.hosts[host].Do(func() error {
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(link, packet.Raw, unix.ETH_P_ARP, nil)
		return err
	}))
	s.t.Cleanup(func() { _ = conn.Close() })
	return tap{conn, s.t}
}

// announcement is the gratuitous ARP of a Talos VIP.
func announcement(ip [4]byte) []byte {
	f := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1}
	for range 2 {
		f = append(append(f, 2, 0, 0, 0, 0, 1), ip[:]...)
	}
	return f
}

func TestUnplugTakesTheCarrier(t *testing.T) {
	s := newSegment(t)
	running := func() bool {
		var up bool
		s.must(s.hosts["b"].Do(func() error {
			link, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			up = link.Flags&net.FlagRunning != 0
			return nil
		}))
		return up
	}
	s.wantAnswer("10.9.0.2", "b")
	s.must(s.sw.Unplug("b"))
	s.wantSilence("10.9.0.2")
	s.until("the link of an unplugged host has no carrier", func() bool { return !running() })
	// A host that boots finds its cable unplugged.
	s.must(s.ports["b"].Close())
	var err error
	s.must(netns.SetUp("tb"))
	if s.ports["b"], err = s.sw.Attach("b", "tb"); err != nil {
		t.Fatal(err)
	}
	s.until("the host's link has no carrier still", func() bool { return !running() })
	s.must(s.sw.Plug("b"))
	s.until("the link of a host that is plugged in runs", running) // the kernel says so a little later
	s.wantAnswer("10.9.0.2", "b")
	if err := s.sw.Unplug("nobody"); err != nil {
		t.Errorf("Unplug(a port not attached) = %v; want nil", err)
	}
}
