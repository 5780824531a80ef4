package kube

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
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
	cfg     *Config
	timeout time.Duration
	port    uint16
}

// New returns a client that gives each server so long to answer, connecting
// included. It dials nobody yet.
func New(cfg *Config, timeout time.Duration) (*Client, error) {
	if timeout <= 0 {
		return nil, fmt.Errorf("timeout %s is not positive", timeout)
	}
	return &Client{cfg: cfg, timeout: timeout, port: Port}, nil
}

// Collect asks the apiserver on every node's own address and on every VIP, all
// at the same time and each over a connection of its own, and fills in what
// they said.
func (c *Client) Collect(ctx context.Context, snap *cluster.Snapshot) {
	var wg sync.WaitGroup
	for i := range snap.Nodes {
		wg.Go(func() { snap.Nodes[i].APIServer = c.seen(ctx, snap.Nodes[i].Addr) })
	}
	for i := range snap.VIPs {
		wg.Go(func() { snap.VIPs[i].APIServer = c.seen(ctx, snap.VIPs[i].Addr) })
	}
	wg.Wait()
}

func (c *Client) seen(ctx context.Context, addr netip.Addr) cluster.Seen[cluster.APIServer] {
	if !addr.IsValid() {
		return cluster.Missed[cluster.APIServer](errors.New("its address is not known"))
	}
	return cluster.Got(c.Look(ctx, netip.AddrPortFrom(addr, c.port)))
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
	case ctx.Err() != nil:
		seen.Error = fmt.Sprintf("no answer from %s within %s s", at, strconv.FormatFloat(time.Since(begun).Round(100*time.Millisecond).Seconds(), 'f', -1, 64))
	default:
		seen.Error = plain(err)
	}
	return seen
}

func (c *Client) look(ctx context.Context, at netip.AddrPort, seen *cluster.APIServer) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		// A node is asked directly, never through a proxy of the environment.
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&tls.Dialer{Config: c.ProbeTLS()}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			seen.Certificate = describe(conn.(*tls.Conn).ConnectionState().PeerCertificates[0])
			return conn, nil
		},
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

// plain strips what net wraps around the reason.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	return strings.TrimPrefix(text, "connect: ")
}
