package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"
)

// ServingCertificate returns the certificate that is served at addr. It is not
// verified against any authority, only that the server has its key.
func ServingCertificate(ctx context.Context, addr netip.AddrPort) (*x509.Certificate, error) {
	conn, hangUp, err := dialTLS(ctx, addr, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // it is this certificate that is asked for
	})
	if err != nil {
		return nil, fmt.Errorf("serving certificate of %s: %w", addr, err)
	}
	defer hangUp()
	chain := conn.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, fmt.Errorf("serving certificate of %s: none was presented", addr)
	}
	return chain[0], nil
}

// dialTLS opens a TLS connection on which nothing outlasts ctx. hangUp closes
// the connection beneath: nobody waits for a farewell, and the reset leaves
// nothing behind.
func dialTLS(ctx context.Context, addr netip.AddrPort, config *tls.Config) (conn *tls.Conn, hangUp func(), err error) {
	raw, err := dial(ctx, addr)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	hangUp = func() {
		stop()
		_ = raw.Close()
	}
	conn = tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		hangUp()
		return nil, nil, err
	}
	return conn, hangUp, nil
}
