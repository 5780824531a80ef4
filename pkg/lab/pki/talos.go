package pki

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	talosx509 "github.com/siderolabs/crypto/x509"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/role"
)

// Talosconfig returns a talosconfig file with one context, which is also the
// current one. The role is one of Talos's ("os:admin", "os:operator",
// "os:reader", ...); its certificate is valid for ttl from now. A negative ttl
// gives one that expired that long ago. nodes may be empty.
func (c *Cluster) Talosconfig(context string, endpoints, nodes []string, roleName string, ttl time.Duration) ([]byte, error) {
	roles, unknown := role.Parse([]string{roleName})
	if len(unknown) > 0 || roleName == "" {
		return nil, fmt.Errorf("unknown talos role %q", roleName)
	}
	pair, err := issue(c.bundle.Certs.OS, leaf{organizations: roles.Strings(), usage: clientAuth, ttl: ttl})
	if err != nil {
		return nil, err
	}
	cfg := clientconfig.NewConfig(context, endpoints, c.bundle.Certs.OS.Crt, talosx509.NewCertificateAndKeyFromKeyPair(pair))
	cfg.Contexts[context].Nodes = nodes
	return cfg.Bytes()
}

// TalosServerTLS returns the TLS configuration of a node's Talos API: TLS 1.3,
// a new certificate for the host name, localhost and ips, and clients that
// carry a certificate of the Talos authority which serves nothing but
// authenticating clients. Their roles are the Organization of that
// certificate.
func (c *Cluster) TalosServerTLS(hostname string, ips []netip.Addr) (*tls.Config, error) {
	hosts, addrs := local(hostname, ips)
	pair, err := issue(c.bundle.Certs.OS, leaf{commonName: hostname, hosts: hosts, ips: addrs, usage: serverAuth, ttl: year})
	if err != nil {
		return nil, err
	}
	clients, err := pool(c.bundle.Certs.OS)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:       tls.VersionTLS13,
		Certificates:     certificates(pair),
		ClientAuth:       tls.RequireAndVerifyClientCert,
		ClientCAs:        clients,
		VerifyConnection: onlyClientAuth,
	}, nil
}

// errNotOnlyClientAuth is why Talos since 1.12 turns a client away whose
// certificate could serve as well.
var errNotOnlyClientAuth = errors.New("client certificate must have the extended key usage clientAuth and no other")

func onlyClientAuth(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errNotOnlyClientAuth
	}
	cert := state.PeerCertificates[0]
	if !slices.Equal(cert.ExtKeyUsage, clientAuth) || len(cert.UnknownExtKeyUsage) > 0 {
		return errNotOnlyClientAuth
	}
	return nil
}

// TalosProxyTLS returns the TLS configuration with which one node's Talos API
// asks another's on behalf of a client: the role os:impersonator. The dialer
// sets ServerName.
func (c *Cluster) TalosProxyTLS() (*tls.Config, error) {
	pair, err := issue(c.bundle.Certs.OS, leaf{
		organizations: []string{string(role.Impersonator)}, usage: clientAuth, ttl: year,
	})
	if err != nil {
		return nil, err
	}
	roots, err := pool(c.bundle.Certs.OS)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: certificates(pair), RootCAs: roots}, nil
}
