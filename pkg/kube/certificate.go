package kube

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// TalosPort is the port of apid (constants.ApidPort, Talos v1.13.9).
const TalosPort = 50000

// Certificate does one TLS handshake to see which certificate the server
// presents, and ends. Any certificate will do. No certificate of ours is shown
// and no word is said, so it works where the server wants one, as apid does,
// and needs no rights.
//
// The server has proved that it has the key to the certificate.
func (c *Client) Certificate(ctx context.Context, at netip.AddrPort) (cluster.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	begun := time.Now()
	cert, err := c.handshake(ctx, at)
	switch {
	case err == nil:
		return describe(cert), nil
	case ctx.Err() != nil, ranOut(err):
		return cluster.Certificate{}, late(at, begun)
	default:
		return cluster.Certificate{}, errors.New(plain(err))
	}
}

// handshake returns the certificate also where the server ends the handshake
// for want of one of ours. It says that it wants one after it proved to have the
// key to its own: in TLS 1.2 after its signature, in TLS 1.3 after all of it.
func (c *Client) handshake(ctx context.Context, at netip.AddrPort) (*x509.Certificate, error) {
	var (
		seen   *x509.Certificate
		wanted bool
	)
	conn, err := (&tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // looked at, not trusted: see Certificate
		MinVersion:         tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error {
			seen = state.PeerCertificates[0]
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			wanted = true
			return &tls.Certificate{}, nil
		},
	}}).DialContext(ctx, "tcp", at.String())
	if err == nil {
		_ = conn.Close()
		return seen, nil
	}
	if wanted && seen != nil {
		return seen, nil
	}
	return nil, err
}

// ranOut says that the time was up. The network sees that by a clock of its own,
// which may strike a moment before the context's.
func ranOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// late is the error of a server that gave no answer in the time it had.
func late(at netip.AddrPort, begun time.Time) error {
	return fmt.Errorf("no answer from %s within %s", at, vip.Waited(time.Since(begun)))
}

// Fingerprint returns the SHA-256 of a certificate's DER form, in lower-case
// hexadecimal, as in cluster.Certificate.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

func describe(cert *x509.Certificate) cluster.Certificate {
	d := cluster.Certificate{Fingerprint: Fingerprint(cert), DNSNames: cert.DNSNames, NotAfter: cert.NotAfter}
	for _, ip := range cert.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			d.Addresses = append(d.Addresses, addr.Unmap())
		}
	}
	return d
}

// maxReason is how long a reason may be, in bytes: some quote what the server
// sent, which may be as long as maxAnswer.
const maxReason = 1 << 10

// plain strips what net wraps around the reason.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	text := strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "connect: ")
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
}
