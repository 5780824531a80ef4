package l2

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/netns"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// Faults name ports that need not be attached: they outlive the port, as a bad
// cable outlives the reboot of its host.

// cable is what lies between a host and its port.
type cable struct {
	lines     [2]line // by Way
	unplugged bool    // guarded by the switch's mu
}

// cable returns the cable of the port of that name. The caller holds mu alone.
func (s *Switch) cable(port string) *cable {
	c := s.cables[port]
	if c == nil {
		c = &cable{}
		s.cables[port] = c
	}
	return c
}

// Part drops frames from one port to another; the other way still passes. The
// ports need not be attached yet, and stay parted when they are attached anew.
func (s *Switch) Part(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parted[direction{from, to}] = struct{}{}
}

// Heal undoes Part, in the same direction only; nothing where it was not done.
func (s *Switch) Heal(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parted, direction{from, to})
}

// Impair makes one way of a port's cable a bad one, in place of what was wrong
// with it before. A sound Impairment lets frames pass at once again, after
// those that are still on the line.
func (s *Switch) Impair(port string, way Way, i Impairment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cable(port).lines[way].impair(i)
}

// LoseAnnouncements drops the gratuitous ARPs for the addresses that come in
// through the port, or through any port where it is "", and records each as
// truth.ARPLost. Without addresses none is dropped any more.
func (s *Switch) LoseAnnouncements(port string, addrs ...netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	assign(s.unannounced, port, addrs)
}

// assign replaces the port's addresses, and forgets the port where there are none.
func assign(to map[string][]netip.Addr, port string, addrs []netip.Addr) {
	if len(addrs) == 0 {
		delete(to, port)
		return
	}
	to[port] = slices.Clone(addrs)
}

// losesAnnouncement says whether the frame that came in through the port is an
// announcement to drop. The caller holds mu.
func (s *Switch) losesAnnouncement(port string, frame []byte) (netip.Addr, bool) {
	if len(s.unannounced) == 0 {
		return netip.Addr{}, false
	}
	addr, ok := announced(frame)
	return addr, ok && (slices.Contains(s.unannounced[port], addr) || slices.Contains(s.unannounced[""], addr))
}

// Refuse drops the frames that come in through the port and claim to be from
// one of the addresses, as a port does that is secured against forged ones. It
// replaces what was refused before; without addresses nothing is.
func (s *Switch) Refuse(port string, addrs ...netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	assign(s.refused, port, addrs)
}

// refuses says whether the frame that came in through the port is one to
// refuse. The caller holds mu.
func (s *Switch) refuses(port string, frame []byte) bool {
	if len(s.refused) == 0 {
		return false
	}
	from, alike := claimed(frame)
	return slices.Contains(s.refused[port], from) || slices.Contains(s.refused[port], alike)
}

// Unplug pulls the cable out of the port: first no frame passes any more, then
// the host's link loses its carrier. It must be called in the namespace in
// which the port was attached, and so must Plug.
func (s *Switch) Unplug(port string) error {
	s.mu.Lock()
	s.cable(port).unplugged = true
	p := s.ports[port]
	if p != nil {
		p.epoch++
	}
	s.mu.Unlock()
	s.truth.Record(truth.Event{Node: port, Kind: truth.LinkCut, Detail: "unplugged"})
	if p == nil {
		return nil
	}
	return netns.SetDown(p.link)
}

// Plug undoes Unplug, and must be called in the same namespace: the host's link
// gets its carrier back.
func (s *Switch) Plug(port string) error {
	s.mu.Lock()
	s.cable(port).unplugged = false
	p := s.ports[port]
	s.mu.Unlock()
	s.truth.Record(truth.Event{Node: port, Kind: truth.LinkRestored, Detail: "plugged in"})
	if p == nil {
		return nil
	}
	return netns.SetUp(p.link)
}

// hold puts a frame that is late aside. from and to are the ports that it must
// not survive the silence of; to is nil where it was not forwarded yet. The
// caller holds mu.
func (s *Switch) hold(l *line, due time.Time, from, to *Port, frame []byte) {
	frame = bytes.Clone(frame)
	sent, awaited := from.epoch, uint64(0)
	if to != nil {
		awaited = to.epoch
	}
	s.late.add(due, func() {
		s.mu.RLock()
		defer s.mu.RUnlock()
		defer l.left()
		switch {
		case !s.attached(from) || from.epoch != sent:
		case to == nil:
			s.spread(from, frame)
		case s.attached(to) && to.epoch == awaited && s.connects(from, to):
			to.send(frame)
		}
	})
}

// attached says whether the port is one and not silent. The caller holds mu.
func (s *Switch) attached(p *Port) bool {
	return s.ports[p.name] == p && !p.cut && !p.cable.unplugged
}

// connects says whether frames pass from one port to the other, both being
// attached. The caller holds mu.
func (s *Switch) connects(from, to *Port) bool {
	_, parted := s.parted[direction{from.name, to.name}]
	return !parted && from != to
}
