package arp

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"github.com/vipctl/vipctl/pkg/cluster"
)

const ms = time.Millisecond

var (
	vip      = netip.MustParseAddr("10.5.0.50")
	self     = netip.MustParseAddr("10.5.0.9")
	ourHW    = hardware("02:00:00:00:00:09")
	cp1HW    = hardware("02:00:00:00:00:01")
	cp2HW    = hardware("02:00:00:00:00:02")
	everyone = ethernet.Broadcast
	noHW     = make(net.HardwareAddr, 6)
)

func hardware(s string) net.HardwareAddr {
	hw, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return hw
}

// frame is an ARP packet in an Ethernet frame, of which change may alter both.
func frame(op arp.Operation, hw net.HardwareAddr, ip netip.Addr, toHW net.HardwareAddr, to netip.Addr, change ...func(*ethernet.Frame, *arp.Packet)) []byte {
	p := &arp.Packet{
		HardwareType: 1, ProtocolType: 0x0800, HardwareAddrLength: 6, IPLength: 4,
		Operation: op, SenderHardwareAddr: hw, SenderIP: ip, TargetHardwareAddr: toHW, TargetIP: to,
	}
	f := &ethernet.Frame{Destination: toHW, Source: hw, EtherType: ethernet.EtherTypeARP}
	for _, c := range change {
		c(f, p)
	}
	f.Payload, _ = p.MarshalBinary()
	b, err := f.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return b
}

func reply(hw net.HardwareAddr, change ...func(*ethernet.Frame, *arp.Packet)) []byte {
	return frame(arp.OperationReply, hw, vip, ourHW, self, change...)
}

// cable is a net.PacketConn on which frames arrive as scripted.
type cable struct {
	net.PacketConn
	in       chan []byte
	writeErr error

	mu       sync.Mutex // guards the rest
	deadline time.Time
	moved    chan struct{} // closed when deadline moves
	asked    []time.Time
	sent     []byte
	closed   bool
}

type arrival struct {
	after time.Duration
	frame []byte
}

func newCable(script []arrival) *cable {
	c := &cable{in: make(chan []byte, len(script)), moved: make(chan struct{})}
	for _, a := range script {
		time.AfterFunc(a.after, func() { c.in <- a.frame })
	}
	return c
}

func (c *cable) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	close(c.moved)
	c.moved = make(chan struct{})
	return nil
}

func (c *cable) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		c.mu.Lock()
		left, moved := time.Until(c.deadline), c.moved
		c.mu.Unlock()
		if left <= 0 {
			return 0, nil, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
		}
		select {
		case f := <-c.in:
			return copy(b, f), nil, nil
		case <-time.After(left):
		case <-moved:
		}
	}
}

func (c *cable) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, time.Now())
	c.sent = slices.Clone(b)
	return len(b), c.writeErr
}

func (c *cable) Close() error { c.closed = true; return nil }

// clientOn is a client whose questions go over the cable.
func clientOn(t *testing.T, c *cable) *Client {
	client := New(Options{})
	client.open = func(addr netip.Addr) (wire, error) {
		w, err := newARPWire(c, ourHW, self, addr)
		if err != nil {
			t.Error(err)
		}
		return w, err
	}
	return client
}

func at(after time.Duration, hw net.HardwareAddr) cluster.ARPReply {
	return cluster.ARPReply{HardwareAddr: hw.String(), AfterSeconds: after.Seconds()}
}

func announced(after time.Duration, hw net.HardwareAddr) cluster.ARPReply {
	r := at(after, hw)
	r.Announced = true
	return r
}

func TestWhoHas(t *testing.T) {
	tests := map[string]struct {
		script []arrival
		want   []cluster.ARPReply
		took   time.Duration
		asked  int
	}{
		"nobody answers": {nil, nil, 250 * ms, 5},
		"one machine answers, each time it is asked":          {[]arrival{{1 * ms, reply(cp1HW)}, {16 * ms, reply(cp1HW)}, {46 * ms, reply(cp1HW)}}, []cluster.ARPReply{at(1*ms, cp1HW)}, 61 * ms, 3},
		"two machines answer":                                 {[]arrival{{1 * ms, reply(cp2HW)}, {3 * ms, reply(cp1HW)}}, []cluster.ARPReply{at(1*ms, cp2HW), at(3*ms, cp1HW)}, 61 * ms, 3},
		"a second machine answers late in the window":         {[]arrival{{1 * ms, reply(cp1HW)}, {60 * ms, reply(cp2HW)}}, []cluster.ARPReply{at(1*ms, cp1HW), at(60*ms, cp2HW)}, 61 * ms, 3},
		"a second machine answers after the window":           {[]arrival{{1 * ms, reply(cp1HW)}, {70 * ms, reply(cp2HW)}}, []cluster.ARPReply{at(1*ms, cp1HW)}, 61 * ms, 3},
		"the only answer is slow":                             {[]arrival{{249 * ms, reply(cp1HW)}}, []cluster.ARPReply{at(249*ms, cp1HW)}, 309 * ms, 5},
		"the only answer comes too late":                      {[]arrival{{260 * ms, reply(cp1HW)}}, nil, 250 * ms, 5},
		"somebody announces the address meanwhile":            {[]arrival{{5 * ms, frame(arp.OperationRequest, cp2HW, vip, everyone, vip)}}, []cluster.ARPReply{announced(5*ms, cp2HW)}, 65 * ms, 3},
		"who answered announces it as well":                   {[]arrival{{1 * ms, reply(cp2HW)}, {9 * ms, frame(arp.OperationRequest, cp2HW, vip, everyone, vip)}}, []cluster.ARPReply{announced(1*ms, cp2HW)}, 61 * ms, 3},
		"the owner asks for another address":                  {[]arrival{{5 * ms, frame(arp.OperationRequest, cp2HW, vip, everyone, self.Next())}}, []cluster.ARPReply{at(5*ms, cp2HW)}, 65 * ms, 3},
		"garbage and other machines' answers prolong nothing": {[]arrival{{1 * ms, []byte("garbage")}, {2 * ms, frame(arp.OperationReply, cp1HW, self.Next(), ourHW, self)}}, nil, 250 * ms, 5},
		"our own question comes back":                         {[]arrival{{1 * ms, frame(arp.OperationRequest, ourHW, self, everyone, vip)}}, nil, 250 * ms, 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCable(tt.script)
				begun := time.Now()
				got, err := clientOn(t, c).WhoHas(t.Context(), vip)
				took := time.Since(begun) - drain
				if err != nil || got == nil || !slices.Equal(got, tt.want) {
					t.Errorf("WhoHas = %v, %v; want %v", got, err, tt.want)
				}
				if took != tt.took || len(c.asked) != tt.asked || !c.closed {
					t.Errorf("WhoHas took %v, asked %d times, closed %v; want %v, %d, true", took, len(c.asked), c.closed, tt.took, tt.asked)
				}
				synctest.Wait()
				time.Sleep(time.Second) // the frames that are still to come
			})
		})
	}
}

func TestWhoHasRemembersFewOfAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script []arrival
		for i := range 1000 {
			script = append(script, arrival{ms, reply(net.HardwareAddr{2, 0, 0, 1, byte(i >> 8), byte(i)})})
		}
		if got, err := clientOn(t, newCable(script)).WhoHas(t.Context(), vip); len(got) != maxReplies || err != nil {
			t.Errorf("WhoHas of 1000 answers = %d, %v; want %d", len(got), err, maxReplies)
		}
	})
}

// A context that ends is obeyed at once: what was heard is kept, and silence
// that was cut short is not taken for nobody.
func TestWhoHasEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := func(script []arrival) ([]cluster.ARPReply, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*ms)
			defer cancel()
			begun := time.Now()
			got, err := clientOn(t, newCable(script)).WhoHas(ctx, vip)
			if took := time.Since(begun); took != 20*ms {
				t.Errorf("WhoHas took %v; want 20ms", took)
			}
			return got, err
		}
		if got, err := cut(nil); !errors.Is(err, context.DeadlineExceeded) || got != nil || !strings.HasPrefix(err.Error(), cluster.NoAnswer+", and cut short after 20 ms") {
			t.Errorf("WhoHas cut short with no answer = %v, %v; want an error that says so", got, err)
		}
		if got, err := cut([]arrival{{1 * ms, reply(cp1HW)}}); err != nil || len(got) != 1 {
			t.Errorf("WhoHas cut short after an answer = %v, %v; want the answer", got, err)
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := New(Options{}).WhoHas(done, vip); !errors.Is(err, context.Canceled) {
			t.Errorf("WhoHas of a context that has ended = %v; want context.Canceled", err)
		}
	})
}

func TestWhoHasSaysThatItCouldNotAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCable(nil)
		c.writeErr = errors.New("network is down")
		if got, err := clientOn(t, c).WhoHas(t.Context(), vip); err == nil || got != nil || !c.closed {
			t.Errorf("WhoHas over a dead link = %v, %v, closed %v; want an error and the socket closed", got, err, c.closed)
		}
	})
}

// Nobody is an answer: it must not read as a question that was never asked.
func TestNobodySurvivesASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := cluster.See(clientOn(t, newCable(nil)).WhoHas(t.Context(), vip))
		data, err := json.Marshal(seen)
		if err != nil {
			t.Fatal(err)
		}
		var back cluster.Seen[[]cluster.ARPReply]
		if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, seen) {
			t.Errorf("%s read back = %+v, %v; want %+v", data, back, err, seen)
		}
	})
}

// stalled is a wire on which an answer waits while the process does not run.
type stalled struct{ heard int }

func (s *stalled) ask() error                  { return nil }
func (s *stalled) SetDeadline(time.Time) error { return nil }
func (s *stalled) Close() error                { return nil }
func (s *stalled) hear() (net.HardwareAddr, bool, error) {
	s.heard++
	switch s.heard {
	case 1:
		time.Sleep(400 * ms)
		return nil, false, os.ErrDeadlineExceeded
	case 2:
		return cp1HW, false, nil
	default:
		return nil, false, os.ErrDeadlineExceeded
	}
}

// A process that gets no processor until its window is over must not take the
// answer that came meanwhile for silence.
func TestWhoHasReadsWhatCameWhileItStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := New(Options{})
		client.open = func(netip.Addr) (wire, error) { return &stalled{}, nil }
		if got, err := client.WhoHas(t.Context(), vip); err != nil || len(got) != 1 || got[0].HardwareAddr != cp1HW.String() {
			t.Errorf("WhoHas after a stall = %v, %v; want %v", got, err, cp1HW)
		}
	})
}
