package pki

import (
	"crypto/tls"
	"net/netip"
)

// EtcdFiles names the PEM files of a node's etcd. One authority signs them
// all.
type EtcdFiles struct {
	CA         string `json:"ca"`
	Cert       string `json:"cert"` // of the client port
	Key        string `json:"key"`
	PeerCert   string `json:"peerCert"` // both ends of a peer connection
	PeerKey    string `json:"peerKey"`
	ClientCert string `json:"clientCert"` // for clients on this node
	ClientKey  string `json:"clientKey"`
}

// EtcdFiles issues a node's etcd certificates and writes them to dir, which it
// makes if need be. ips are the node's own addresses: a member turns away
// peers that come from an address their certificate does not name.
func (c *Cluster) EtcdFiles(dir, hostname string, ips []netip.Addr) (EtcdFiles, error) {
	authority := c.bundle.Certs.Etcd
	hosts, addrs := local(hostname, ips)
	// The server certificate is for clients as well: etcd's own gateway
	// connects to the client port with it.
	server, err := issue(authority, leaf{commonName: hostname, hosts: hosts, ips: addrs, usage: bothAuth, ttl: year})
	if err != nil {
		return EtcdFiles{}, err
	}
	peer, err := issue(authority, leaf{commonName: hostname, hosts: hosts, ips: addrs, usage: bothAuth, ttl: year})
	if err != nil {
		return EtcdFiles{}, err
	}
	// No names: a client may come from anywhere.
	client, err := issue(authority, leaf{commonName: "talos", usage: clientAuth, ttl: year})
	if err != nil {
		return EtcdFiles{}, err
	}
	d := directory{path: dir}
	files := EtcdFiles{CA: d.write("ca.crt", authority.Crt)}
	files.Cert, files.Key = d.writePair("server", server)
	files.PeerCert, files.PeerKey = d.writePair("peer", peer)
	files.ClientCert, files.ClientKey = d.writePair("client", client)
	return files, d.err
}

// ClientTLS reads the files of a client.
func (f EtcdFiles) ClientTLS() (*tls.Config, error) {
	return clientTLS(f.CA, f.ClientCert, f.ClientKey)
}
