package talosapi

import (
	"net"
	"sync"
)

// latch is shut or open, and who waits at it is woken when it opens. Its zero
// value is open.
type latch struct {
	mu   sync.Mutex    // guards open
	open chan struct{} // closed when it opens; nil while it is open
}

// set shuts the latch, or opens it.
func (l *latch) set(shut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case shut && l.open == nil:
		l.open = make(chan struct{})
	case !shut && l.open != nil:
		close(l.open)
		l.open = nil
	}
}

// opened returns what is closed when the latch opens; nil when it is open.
func (l *latch) opened() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// hang makes connections hang while it is set, the open ones too: the kernel
// still accepts them, and nothing is read or written until they are let go.
// Its zero value hangs nothing.
type hang struct{ latch }

// conn returns the connection under h.
func (h *hang) conn(c net.Conn) net.Conn { return &hangConn{heldConn: newHeldConn(c), hang: h} }

type hangConn struct {
	heldConn
	hang *hang
}

// wait returns when nothing hangs any more, or the connection was closed.
func (c *hangConn) wait() {
	if let := c.hang.opened(); let != nil {
		select {
		case <-let:
		case <-c.closed:
		}
	}
}

// Read gives what arrived, unless it hangs.
func (c *hangConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wait()
	return n, err
}

// Write sends, unless it hangs.
func (c *hangConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

// heldConn is a connection whose users may be held up, and are released when
// it is closed.
type heldConn struct {
	net.Conn
	closed chan struct{}
	once   *sync.Once
}

func newHeldConn(c net.Conn) heldConn {
	return heldConn{Conn: c, closed: make(chan struct{}), once: &sync.Once{}}
}

// Close closes the connection and ends what is held up on it.
func (c heldConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
