package l2

import (
	"net/netip"
	"sync"
)

// answers remembers which port last answered for each watched address, to
// tell the first answer of a new owner from all that follow.
type answers struct {
	mu   sync.Mutex // guards last
	last map[netip.AddrPort]string
}

func newAnswers(watch []netip.AddrPort) *answers {
	a := &answers{last: make(map[netip.AddrPort]string, len(watch))}
	for _, w := range watch {
		a.last[w] = ""
	}
	return a
}

// first says whether an answer for addr through port is news: the address is
// watched, and the last answer came through another port or is forgotten.
func (a *answers) first(addr netip.AddrPort, port string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, watched := a.last[addr]
	if !watched || last == port {
		return false
	}
	a.last[addr] = port
	return true
}

// forget makes the next answer of port news again.
func (a *answers) forget(port string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for addr, last := range a.last {
		if last == port {
			a.last[addr] = ""
		}
	}
}
