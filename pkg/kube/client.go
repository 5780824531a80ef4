package kube

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// Port is the port of a kube-apiserver on Talos
// (constants.DefaultControlPlanePort, Talos v1.13.9).
const Port = 6443

// maxAnswer is how much of an answer is read. What /readyz says is shorter.
const maxAnswer = 64 << 10

// Client asks kube-apiservers. It may be used by several goroutines.
type Client struct {
	cfg       *Config
	timeout   time.Duration
	port      uint16 // of kube-apiservers
	talosPort uint16
}

// New returns a client that gives each server so long to answer, connecting
// included. It dials nobody yet.
func New(cfg *Config, timeout time.Duration) (*Client, error) {
	if timeout <= 0 {
		return nil, fmt.Errorf("timeout %s is not positive", timeout)
	}
	return &Client{cfg: cfg, timeout: timeout, port: Port, talosPort: TalosPort}, nil
}

// Look asks one apiserver for its certificate and for /readyz. What went wrong
// is in Error.
func (c *Client) Look(ctx context.Context, at netip.AddrPort) cluster.APIServer {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	begun := time.Now()
	var seen cluster.APIServer
	err := c.look(ctx, at, &seen)
	switch {
	case err == nil:
	case ctx.Err() != nil, ranOut(err):
		seen.Error = late(at, begun).Error()
	default:
		seen.Error = plain(err)
	}
	return seen
}

// look makes the connection itself: a transport would go on dialling when the
// time is up, and would use a proxy of the environment.
func (c *Client) look(ctx context.Context, at netip.AddrPort, seen *cluster.APIServer) error {
	conn, err := (&tls.Dialer{Config: c.ProbeTLS()}).DialContext(ctx, "tcp", at.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	seen.Certificate = describe(conn.(*tls.Conn).ConnectionState().PeerCertificates[0])
	transport := &http.Transport{
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxAnswer,
		DialTLSContext:         func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+at.String()+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req) // without a client in front: redirects are not followed
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	seen.Answered, seen.Status = true, resp.StatusCode
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return err
}

// ProbeTLS returns the TLS configuration with which an apiserver is looked at:
// any certificate will do, for what it says is the finding, and the client's
// certificate of the kubeconfig is shown where there is one. A certificate can
// be shown to anybody; a token could be stolen by whoever answers on the VIP,
// so tokens are never sent.
func (c *Client) ProbeTLS() *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // looked at, not trusted: see above
		Certificates:       c.cfg.certificates,
		MinVersion:         tls.VersionTLS12,
	}
}

// Authenticated says whether the kubeconfig has a client certificate, so that
// /readyz is answered with the truth, and not with 401.
func (c *Client) Authenticated() bool { return len(c.cfg.certificates) > 0 }
