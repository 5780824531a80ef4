package l2

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/labtest"
	"github.com/vipctl/vipctl/pkg/lab/netns"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

func TestMain(m *testing.M) { os.Exit(labtest.Main(m)) }

func needNamespaces(t testing.TB) {
	t.Helper()
	ns, err := netns.New()
	if err != nil {
		labtest.Unavailable(t, fmt.Errorf("network namespaces cannot be made: %w", err))
	}
	_ = ns.Close()
}

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex // guards events
	events []truth.Event
}

func (r *recorder) Record(e truth.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) nodes() (nodes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == truth.Answered {
			nodes = append(nodes, e.Node)
		}
	}
	return nodes
}

// segment is a switch with hosts a (.1), b (.2) and c (.3), where b and c
// listen on port 6443 of every address.
type segment struct {
	t     testing.TB
	sw    *Switch
	log   *recorder
	hosts map[string]*netns.Namespace
	ports map[string]*Port
}

const vip = "10.9.0.50"

func newSegment(t testing.TB) *segment {
	t.Helper()
	needNamespaces(t)
	s := &segment{t: t, log: &recorder{}, hosts: map[string]*netns.Namespace{}, ports: map[string]*Port{}}
	s.sw = New(s.log, netip.MustParseAddrPort(vip+":6443"))
	for i, name := range []string{"a", "b", "c"} {
		ns, err := netns.New()
		if err != nil {
			t.Fatal(err)
		}
		_ = ns.Do(quiet)
		link := "t" + name
		s.must(netns.Plug(netns.Cable{Name: link, PeerNS: ns, Peer: "eth0", PeerMAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(i + 1)}}))
		addr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)}), 24)
		s.must(ns.Do(func() error { return netns.Configure("eth0", addr) }))
		s.hosts[name] = ns
		if s.ports[name], err = s.sw.Attach(name, link); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.close)
	s.listen("b")
	s.listen("c")
	return s
}

// quiet keeps the kernel from sending IPv6 frames of its own on links to come.
// Where it must not, a test that counts frames may be disturbed.
func quiet() error {
	return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
}

// close takes the segment apart; a second time does no harm.
func (s *segment) close() {
	for name, ns := range s.hosts {
		_ = s.ports[name].Close()
		_ = netns.Unplug("t" + name)
		_ = ns.Close()
	}
}

func (s *segment) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// listen answers each connection with the host's name.
func (s *segment) listen(host string) {
	s.must(s.hosts[host].Do(func() error {
		l, err := net.Listen("tcp", ":6443")
		if err != nil {
			return err
		}
		s.t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte(host))
				_ = c.Close()
			}
		}()
		return nil
	}))
}

// dial asks from host a who listens at the address.
func (s *segment) dial(addr string, timeout time.Duration) (string, error) {
	var answer []byte
	err := s.hosts["a"].Do(func() error {
		c, err := net.DialTimeout("tcp", addr+":6443", timeout)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		answer, err = io.ReadAll(c)
		return err
	})
	return string(answer), err
}

func (s *segment) wantAnswer(addr, want string) {
	s.t.Helper()
	got, err := s.dial(addr, 5*time.Second)
	if err != nil || got != want {
		s.t.Errorf("dial(%s) = %q, %v; want %q", addr, got, err, want)
	}
}

func (s *segment) wantSilence(addr string) {
	s.t.Helper()
	if got, err := s.dial(addr, 200*time.Millisecond); err == nil {
		s.t.Errorf("dial(%s) = %q; want no answer", addr, got)
	}
}

func TestSwitchForwardsCutsAndParts(t *testing.T) {
	s := newSegment(t)
	s.wantAnswer("10.9.0.2", "b")
	s.wantAnswer("10.9.0.3", "c")

	s.ports["b"].Cut()
	s.wantSilence("10.9.0.2")
	s.wantAnswer("10.9.0.3", "c")
	s.ports["b"].Restore()
	s.wantAnswer("10.9.0.2", "b")

	s.sw.Part("c", "a") // one way is enough to break TCP
	s.wantSilence("10.9.0.3")
	s.wantAnswer("10.9.0.2", "b")
	s.sw.Heal("c", "a")
	s.wantAnswer("10.9.0.3", "c")

	s.must(s.ports["b"].Close())
	s.sw.mu.RLock()
	defer s.sw.mu.RUnlock()
	if _, left := s.sw.ports["b"]; left || len(s.sw.ports) != 2 {
		t.Errorf("%d ports after b closed, b among them: %t; want a and c", len(s.sw.ports), left)
	}
}

// Large transfers fail where offloads are left on: frames are then larger than
// the MTU, or carry unfinished checksums.
func TestSwitchCarriesAMegabyte(t *testing.T) {
	s := newSegment(t)
	const size = 1 << 20
	s.must(s.hosts["c"].Do(func() error {
		l, err := net.Listen("tcp", ":7000")
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			if c, err := l.Accept(); err == nil {
				_, _ = c.Write(make([]byte, size))
				_ = c.Close()
			}
		}()
		return nil
	}))
	var n int64
	s.must(s.hosts["a"].Do(func() error {
		c, err := net.DialTimeout("tcp", "10.9.0.3:7000", 5*time.Second)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		n, err = io.Copy(io.Discard, c)
		return err
	}))
	if n != size {
		t.Errorf("received %d bytes; want %d", n, size)
	}
}

func TestSwitchRecordsFirstAnswers(t *testing.T) {
	s := newSegment(t)
	give := func(host string) {
		s.must(s.hosts[host].Do(func() error {
			return netns.Configure("eth0", netip.MustParsePrefix(vip+"/32"))
		}))
	}
	give("b")
	s.wantAnswer(vip, "b")
	s.wantAnswer(vip, "b")
	if got := s.log.nodes(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("answered = %v; want b once", got)
	}
	s.sw.Forget("b")
	s.wantAnswer(vip, "b")
	if got := s.log.nodes(); !slices.Equal(got, []string{"b", "b"}) {
		t.Errorf("answered after Forget = %v; want b twice", got)
	}
}
