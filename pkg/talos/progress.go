package talos

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
)

// progress is how far a connection came, for the words about a node that does
// not answer: one that is off differs from one whose apid hangs.
type progress struct {
	taken atomic.Bool // TCP: a connection stood
	said  atomic.Bool // a byte came
	shown atomic.Bool // a certificate came, and is good
}

type dialFunc = func(ctx context.Context, addr string) (net.Conn, error)

// watching is dial, which notes what comes of it.
func (p *progress) watching(dial dialFunc) dialFunc {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		p.taken.Store(true)
		return &heardConn{Conn: conn, said: &p.said}, nil
	}
}

// secured is cfg, which notes that a certificate was shown.
func (p *progress) secured(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	cfg.VerifyConnection = func(tls.ConnectionState) error {
		p.shown.Store(true)
		return nil
	}
	return cfg
}

type heardConn struct {
	net.Conn
	said *atomic.Bool
}

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.said.Store(true)
	}
	return n, err
}

// silence says what a node did that gave no answer. connected says that gRPC
// got through to it.
func (p *progress) silence(connected bool) string {
	switch {
	case connected:
		return "it takes questions, and answers none"
	case p.shown.Load():
		return "it shows its certificate, and then says nothing more"
	case p.said.Load():
		return "it takes connections, and says too little"
	case p.taken.Load():
		return "it takes connections, and says nothing"
	default:
		return "no connection comes about"
	}
}
