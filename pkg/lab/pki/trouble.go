package pki

import (
	"crypto/tls"
	"net/netip"
	"time"

	talosx509 "github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/constants"
)

// TalosServerCertificate returns a certificate of the Talos authority for a
// node's Talos API, valid for ttl from now. A negative ttl gives one that
// expired that long ago. Without a host name and ips it names no node at all.
func (c *Cluster) TalosServerCertificate(hostname string, ips []netip.Addr, ttl time.Duration) (tls.Certificate, error) {
	l := leaf{commonName: hostname, usage: serverAuth, ttl: ttl}
	if hostname != "" {
		l.hosts, l.ips = local(hostname, ips)
	} else {
		l.hosts = []string{"nobody.invalid"}
	}
	pair, err := issue(c.bundle.Certs.OS, l)
	if err != nil {
		return tls.Certificate{}, err
	}
	return *pair.Certificate, nil
}

// MaintenanceTLS returns the TLS configuration of the Talos API of a node that
// has no configuration: a certificate under an authority that the node made up
// for itself in this boot, and no question about the client (Talos v1.13.9
// internal/app/machined/pkg/controllers/secrets/{maintenance_root,api}.go).
func MaintenanceTLS(hostname string, ips []netip.Addr) (*tls.Config, error) {
	ca, err := talosx509.NewSelfSignedCertificateAuthority()
	if err != nil {
		return nil, err
	}
	hosts, addrs := local(hostname, ips)
	pair, err := issue(talosx509.NewCertificateAndKeyFromCertificateAuthority(ca),
		leaf{commonName: constants.MaintenanceServiceCommonName, hosts: hosts, ips: addrs, usage: serverAuth, ttl: year})
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: certificates(pair)}, nil
}
