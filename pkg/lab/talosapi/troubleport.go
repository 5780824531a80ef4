package talosapi

import (
	"net"
	"sync"
)

// port is a listening port that can be closed for a while without its server
// noticing. Its zero value is a port that was not opened yet.
type port struct {
	mu      sync.Mutex // guards what follows
	open    func() (net.Listener, error)
	ln      net.Listener // nil while refused or closed
	addr    net.Addr
	refused bool
	closed  bool
	changed chan struct{} // closed and replaced at each change
	conns   map[*portConn]struct{}
}

// listen opens the port, unless it is refused.
func (p *port) listen(open func() (net.Listener, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open, p.closed, p.conns = open, false, map[*portConn]struct{}{}
	p.changed = make(chan struct{})
	if p.refused {
		return nil
	}
	return p.reopen()
}

// reopen opens the port. The caller holds mu.
func (p *port) reopen() error {
	ln, err := p.open()
	if err != nil {
		return err
	}
	p.ln, p.addr = ln, ln.Addr()
	return nil
}

// signal wakes who waits for a change. The caller holds mu.
func (p *port) signal() {
	if p.changed != nil {
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// accept returns the next connection, which the port can reset. It waits while
// the port is refused.
func (p *port) accept() (net.Conn, error) {
	for {
		p.mu.Lock()
		ln, closed, changed := p.ln, p.closed, p.changed
		p.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case ln == nil:
			<-changed
			continue
		}
		conn, err := ln.Accept()
		if err != nil && p.uses(ln) {
			return nil, err
		}
		if err != nil {
			continue // refused or closed meanwhile
		}
		if c := p.keep(conn, ln); c != nil {
			return c, nil
		}
	}
}

func (p *port) uses(ln net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ln == ln
}

// keep notes the connection, or resets it when its port was closed meanwhile.
func (p *port) keep(conn net.Conn, ln net.Listener) net.Conn {
	c := &portConn{Conn: conn, port: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != ln {
		c.reset()
		return nil
	}
	p.conns[c] = struct{}{}
	return c
}

// refuse closes the port and resets its connections, or opens it again.
func (p *port) refuse(on bool) error {
	p.mu.Lock()
	was := p.refused
	p.refused = on
	var err error
	switch {
	case p.open == nil || p.closed || on == was: // nothing to close or to open
	case on:
		_ = p.ln.Close() // an error leaves nothing to be done
		p.ln = nil
	default:
		if err = p.reopen(); err != nil {
			p.refused = true
		}
	}
	p.signal()
	p.mu.Unlock()
	if on {
		p.reset()
	}
	return err
}

// reset ends every open connection by a TCP reset.
func (p *port) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.reset()
		delete(p.conns, c)
	}
}

func (p *port) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	ln := p.ln
	p.ln = nil
	p.signal()
	if ln == nil {
		return nil
	}
	return ln.Close()
}

func (p *port) address() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// portConn is a connection that its port knows while it is open.
type portConn struct {
	net.Conn
	port *port
}

// Close closes it.
func (c *portConn) Close() error {
	c.port.mu.Lock()
	delete(c.port.conns, c)
	c.port.mu.Unlock()
	return c.Conn.Close()
}

// reset closes the connection so that the kernel sends RST and no FIN.
func (c *portConn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it may be closed already
	}
	_ = c.Conn.Close()
}
