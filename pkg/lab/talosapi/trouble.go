package talosapi

import (
	"crypto/tls"
	"net"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
)

// Stage says from when on a connection is in trouble.
type Stage int

// The stages of a connection.
const (
	FromAccept    Stage = iota // from the kernel's accept on: no TLS comes about
	FromHandshake              // TLS is established, and nothing good comes after it
	stages
)

// Trouble is what may be wrong with a node's API on the wire. Its zero value
// is an API that is well; a Server whose Config names none is. It is safe for
// concurrent use.
type Trouble struct {
	hang    [stages]hang
	drip    [stages]drip
	garbage [stages]atomic.Bool
	port    port
	huge    atomic.Bool
	shown   atomic.Pointer[tls.Certificate]
}

// Hang lets connections come to a halt from that stage on, the open ones too,
// or lets them go on from where they were.
func (t *Trouble) Hang(from Stage, on bool) { t.hang[from].set(on) }

// Drip lets the API send a few bytes a second from that stage on, on open
// connections too.
func (t *Trouble) Drip(from Stage, on bool) { t.drip[from].set(on) }

// Garbage lets the API answer with bytes that mean nothing: no TLS, or inside
// of TLS no HTTP/2. Connections that are open are reset when it begins and
// when it ends.
func (t *Trouble) Garbage(from Stage, on bool) {
	t.garbage[from].Store(on)
	t.port.reset()
}

// Refuse closes the API's port, with a reset for each open connection, or
// opens it again.
func (t *Trouble) Refuse(on bool) error { return t.port.refuse(on) }

// Oversize makes each answer 40 MiB long, which is more than the 32 MiB that
// clients of Talos take (constants.GRPCMaxMessageSize).
func (t *Trouble) Oversize(on bool) { t.huge.Store(on) }

// Present shows the certificate in every handshake from now on, in place of
// the API's own; nil shows its own again.
func (t *Trouble) Present(cert *tls.Certificate) { t.shown.Store(cert) }

// Presents reports whether another certificate than the API's own is shown.
func (t *Trouble) Presents() bool { return t.shown.Load() != nil }

// Listen opens the API's port, and opens it again whenever that is refused no
// more. A Trouble has one port at a time.
func (t *Trouble) Listen(open func() (net.Listener, error)) (net.Listener, error) {
	if err := t.port.listen(open); err != nil {
		return nil, err
	}
	return &troubledListener{trouble: t}, nil
}

type troubledListener struct{ trouble *Trouble }

// Accept returns the next connection that is not answered with garbage.
func (l *troubledListener) Accept() (net.Conn, error) {
	t := l.trouble
	for {
		conn, err := t.port.accept()
		if err != nil {
			return nil, err
		}
		if t.garbage[FromAccept].Load() {
			go babble(conn)
			continue
		}
		return t.held(conn, FromAccept), nil
	}
}

// Close closes the port.
func (l *troubledListener) Close() error { return l.trouble.port.close() }

// Addr returns the port's address; nil before it was ever open.
func (l *troubledListener) Addr() net.Addr { return l.trouble.port.address() }

// held puts a connection under the troubles that may begin at the stage.
func (t *Trouble) held(conn net.Conn, from Stage) net.Conn {
	return t.hang[from].conn(t.drip[from].conn(conn))
}

// credentials returns the front's TLS under t.
func (t *Trouble) credentials(cfg *tls.Config) credentials.TransportCredentials {
	if t == nil {
		return credentials.NewTLS(cfg)
	}
	cfg = cfg.Clone()
	own := cfg.Clone()
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		cert := t.shown.Load()
		if cert == nil {
			return nil, nil // its own
		}
		other := own.Clone()
		other.Certificates = []tls.Certificate{*cert}
		return other, nil
	}
	return &troubledTLS{TransportCredentials: credentials.NewTLS(cfg), trouble: t}
}

type troubledTLS struct {
	credentials.TransportCredentials
	trouble *Trouble
}

// ServerHandshake does the handshake, and then what is wrong inside of TLS.
func (c *troubledTLS) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	if c.trouble.garbage[FromHandshake].Load() {
		go babble(conn)
		return nil, nil, credentials.ErrConnDispatched // gRPC lets go of it
	}
	return c.trouble.held(conn, FromHandshake), info, nil
}

// Clone returns a copy under the same trouble.
func (c *troubledTLS) Clone() credentials.TransportCredentials {
	return &troubledTLS{TransportCredentials: c.TransportCredentials.Clone(), trouble: c.trouble}
}

// codec returns the front's codec under t.
func (t *Trouble) codec(c encoding.CodecV2) encoding.CodecV2 {
	if t == nil {
		return c
	}
	return &hugeCodec{CodecV2: c, on: &t.huge, page: make([]byte, hugePage)}
}
