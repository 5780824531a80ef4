package talosapi

import (
	"net"
	"sync"
)

// Hang is a listener whose connections can be made to hang: the kernel still
// accepts them, and nothing is read or written until they are let go. Its
// zero value hangs nothing.
type Hang struct {
	mu  sync.Mutex    // guards let
	let chan struct{} // closed when let go; nil while nothing hangs
}

// Set makes connections hang, the open ones too, or lets them go.
func (h *Hang) Set(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case on && h.let == nil:
		h.let = make(chan struct{})
	case !on && h.let != nil:
		close(h.let)
		h.let = nil
	}
}

// Listener returns the listener with its connections under h.
func (h *Hang) Listener(ln net.Listener) net.Listener { return &hangListener{Listener: ln, hang: h} }

func (h *Hang) gate() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.let
}

type hangListener struct {
	net.Listener
	hang *Hang
}

// Accept returns the next connection.
func (l *hangListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &hangConn{Conn: conn, hang: l.hang, closed: make(chan struct{})}, nil
}

type hangConn struct {
	net.Conn
	hang   *Hang
	closed chan struct{}
	once   sync.Once
}

// wait returns when nothing hangs any more, or the connection was closed.
func (c *hangConn) wait() {
	if gate := c.hang.gate(); gate != nil {
		select {
		case <-gate:
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

// Close closes the connection and ends what hangs on it.
func (c *hangConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
