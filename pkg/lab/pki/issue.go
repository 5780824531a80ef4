package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	talosx509 "github.com/siderolabs/crypto/x509"
)

// year is how long the nodes' own certificates are valid (Kubernetes' and
// Talos's default for theirs).
const year = 365 * 24 * time.Hour

// leaf is a certificate to be issued.
type leaf struct {
	commonName    string
	organizations []string
	hosts         []string
	ips           []netip.Addr
	usage         []x509.ExtKeyUsage
	ttl           time.Duration
}

// Certificates of servers, of clients, and of those that are both.
var (
	serverAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	clientAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	bothAuth   = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
)

// issue makes a key and has the authority sign a certificate for it. With a
// negative ttl the certificate was valid for an hour and expired ttl ago.
func issue(authority *talosx509.PEMEncodedCertificateAndKey, l leaf) (*talosx509.KeyPair, error) {
	ca, err := talosx509.NewCertificateAuthorityFromCertificateAndKey(authority)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	now := time.Now()
	from, until := now, now.Add(l.ttl)
	if !until.After(from) {
		from = until.Add(-time.Hour)
	}
	pair, err := talosx509.NewKeyPair(ca,
		talosx509.CommonName(l.commonName),
		talosx509.Organization(l.organizations...),
		talosx509.DNSNames(l.hosts),
		talosx509.IPAddresses(netIPs(l.ips)),
		talosx509.ExtKeyUsage(l.usage),
		talosx509.NotBefore(from),
		talosx509.NotAfter(until),
	)
	if err != nil {
		return nil, fmt.Errorf("issue certificate for %q: %w", l.commonName, err)
	}
	return pair, nil
}

func netIPs(addrs []netip.Addr) []net.IP {
	ips := make([]net.IP, 0, len(addrs))
	for _, addr := range addrs {
		ips = append(ips, net.IP(addr.AsSlice()))
	}
	return ips
}

// local are the names and addresses by which a node calls itself, beside the
// given ones.
func local(hostname string, ips []netip.Addr) ([]string, []netip.Addr) {
	hosts := []string{hostname, "localhost"}
	addrs := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	return hosts, append(addrs, ips...)
}

func pool(authority *talosx509.PEMEncodedCertificateAndKey) (*x509.CertPool, error) {
	return poolFrom(authority.Crt)
}

func poolFrom(pem []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in the authority's PEM")
	}
	return roots, nil
}

func certificates(pair *talosx509.KeyPair) []tls.Certificate {
	return []tls.Certificate{*pair.Certificate}
}
