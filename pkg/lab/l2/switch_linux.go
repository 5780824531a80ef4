// Package l2 is a learning Ethernet switch in user space. Its ports can be cut,
// pairs of them parted and frames delayed, lost or swallowed without any help
// of the kernel, and it writes down when a watched address first answers.
package l2

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/vipctl/vipctl/pkg/lab/netns"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// Switch forwards frames between its ports. It is safe for concurrent use.
//
// A frame holds mu shared from the moment it is looked at until it has been
// written to its last port; cutting and parting hold it alone. So when Cut
// returns, no frame is on its way any more. A frame that is delayed lets go of
// mu and looks again, when it is due, at whether it may still pass.
type Switch struct {
	truth   truth.Recorder
	answers *answers

	mu     sync.RWMutex // guards following
	ports  map[string]*Port
	parted map[direction]struct{}
	cables map[string]*cable // by port
	// unannounced are the addresses whose gratuitous ARPs are dropped, by
	// port, "" being all ports.
	unannounced map[string][]netip.Addr
	refused     map[string][]netip.Addr // see Refuse, by port

	learned sync.Map // MAC -> *Port
	late    late
}

// direction is one way between two ports, by name, so that it outlives the
// ports themselves.
type direction struct{ from, to string }

// New returns a switch without ports. The first answer (SYN-ACK) of each of
// the watched addresses is recorded as truth.Answered, again whenever another
// port answers and after Forget.
func New(recorder truth.Recorder, watch ...netip.AddrPort) *Switch {
	return &Switch{
		truth: recorder, answers: newAnswers(watch),
		ports: make(map[string]*Port), parted: make(map[direction]struct{}),
		cables: make(map[string]*cable), unannounced: make(map[string][]netip.Addr), refused: make(map[string][]netip.Addr),
	}
}

// Attach makes a port of the link, which must be up and in the namespace of
// the calling thread. Frames flow until the port is closed or its link is gone.
func (s *Switch) Attach(name, link string) (*Port, error) {
	conn, err := listen(link)
	if err != nil {
		return nil, fmt.Errorf("attaching %s: %w", name, err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("attaching %s: %w", name, err)
	}
	p := &Port{name: name, link: link, sw: s, conn: conn, raw: raw, done: make(chan struct{})}
	s.mu.Lock()
	if s.ports[name] != nil {
		s.mu.Unlock()
		_ = conn.Close()
		return nil, fmt.Errorf("attaching %s: the port is taken", name)
	}
	s.ports[name], p.cable = p, s.cable(name)
	unplugged := p.cable.unplugged
	s.mu.Unlock()
	go p.receive()
	if unplugged {
		if err := netns.SetDown(link); err != nil {
			return nil, fmt.Errorf("attaching %s: %w", name, errors.Join(err, p.Close()))
		}
	}
	return p, nil
}

// Forget makes the next answer through the port news, as after its host lost
// the watched address.
func (s *Switch) Forget(port string) { s.answers.forget(port) }

// forward takes a frame that came in through p.
func (s *Switch) forward(p *Port, frame []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(frame) < headerLen || !s.attached(p) {
		return
	}
	if addr, lost := s.losesAnnouncement(p.name, frame); lost {
		s.truth.Record(truth.Event{Node: p.name, Kind: truth.ARPLost, Detail: addr.String()})
		return
	}
	if s.refuses(p.name, frame) {
		return
	}
	line := &p.cable.lines[Out]
	switch due, fate := line.admit(); fate {
	case passes:
		s.spread(p, frame)
	case isLate:
		s.hold(line, due, p, nil, frame)
	}
}

// spread passes a frame of p on to whom it is for. The caller holds mu.
func (s *Switch) spread(p *Port, frame []byte) {
	dst, src := ends(frame)
	if known, _ := s.learned.Load(src); known != p && !src.group() {
		s.learned.Store(src, p)
	}
	// The instant is taken before the frame goes on, so that no client can
	// know of the answer before the log does.
	if from, ok := synAck(frame); ok && s.answers.first(from, p.name) {
		s.truth.Record(truth.Event{Node: p.name, Kind: truth.Answered, Detail: from.Addr().String()})
	}
	if to, ok := s.learned.Load(dst); ok && !dst.group() {
		s.pass(p, to.(*Port), frame)
		return
	}
	for _, to := range s.ports {
		s.pass(p, to, frame)
	}
}

// pass writes the frame to a port, where it may. The caller holds mu.
func (s *Switch) pass(from, to *Port, frame []byte) {
	if !s.attached(to) || !s.connects(from, to) {
		return
	}
	line := &to.cable.lines[In]
	switch due, fate := line.admit(); fate {
	case passes:
		to.send(frame)
	case isLate:
		s.hold(line, due, from, to, frame)
	}
}

func (s *Switch) detach(p *Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports[p.name] == p {
		delete(s.ports, p.name)
	}
	s.learned.Range(func(mac, port any) bool {
		if port == p {
			s.learned.Delete(mac)
		}
		return true
	})
}
