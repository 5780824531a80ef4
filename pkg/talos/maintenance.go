package talos

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"time"
)

var errMaintenance = errors.New("the node is in maintenance mode: it has no configuration, and belongs to no cluster")

// lookLimit bounds a look at why a certificate is not trusted.
const lookLimit = time.Second

// explained says more of a connection that failed because the certificate is of
// a stranger: a node in maintenance mode has made one for itself, and, unlike
// any other Talos, asks for none of ours (Talos v1.13.9).
func (c *Client) explained(ctx context.Context, t target, err error) error {
	if err == nil || !t.addr.IsValid() || !strings.Contains(err.Error(), "unknown authority") {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	if wanted, lookErr := c.wantsCertificate(ctx, t); lookErr != nil || wanted {
		return err
	}
	return errMaintenance
}

// wantsCertificate shakes hands only to see whether the other side asks who we
// are. It says nothing, believes nothing and sends nothing.
func (c *Client) wantsCertificate(ctx context.Context, t target) (wanted bool, err error) {
	dial := c.cfg.dialer
	if dial == nil {
		dial = dialByEnvironment
	}
	conn, err := dial(ctx, t.addr.String())
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	look := tls.Client(conn, &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // nothing is sent, and nothing believed but this
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			wanted = true
			return &tls.Certificate{}, nil
		},
	})
	err = look.HandshakeContext(ctx)
	return wanted, err
}
