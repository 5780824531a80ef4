package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"

	talosx509 "github.com/siderolabs/crypto/x509"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// masters is the group that may do everything (Kubernetes RBAC).
const masters = "system:masters"

// APIServerFiles names the PEM files of a node's kube-apiserver.
type APIServerFiles struct {
	CA         string `json:"ca"` // of its clients, and of its own certificate
	Cert       string `json:"cert"`
	Key        string `json:"key"`
	ClientCert string `json:"clientCert"` // for probes by the node itself, group system:masters
	ClientKey  string `json:"clientKey"`
}

// APIServerFiles issues a node's kube-apiserver certificates and writes them
// to dir, which it makes if need be. The serving certificate names the host
// name, kubernetes, kubernetes.default, kubernetes.default.svc, localhost, the
// loopback addresses and ips: give the node's address and the VIPs.
func (c *Cluster) APIServerFiles(dir, hostname string, ips []netip.Addr) (APIServerFiles, error) {
	authority := c.bundle.Certs.K8s
	server, err := c.issueAPIServer(hostname, ips)
	if err != nil {
		return APIServerFiles{}, err
	}
	client, err := issue(authority, leaf{
		commonName: "apiserver-kubelet-client", organizations: []string{masters}, usage: clientAuth, ttl: year,
	})
	if err != nil {
		return APIServerFiles{}, err
	}
	d := directory{path: dir}
	files := APIServerFiles{CA: d.write("ca.crt", authority.Crt)}
	files.Cert, files.Key = d.writePair("apiserver", server)
	files.ClientCert, files.ClientKey = d.writePair("client", client)
	return files, d.err
}

// APIServerCertificate issues the certificate that APIServerFiles has for
// serving, and writes nothing.
func (c *Cluster) APIServerCertificate(hostname string, ips []netip.Addr) (tls.Certificate, error) {
	pair, err := c.issueAPIServer(hostname, ips)
	if err != nil {
		return tls.Certificate{}, err
	}
	return *pair.Certificate, nil
}

func (c *Cluster) issueAPIServer(hostname string, ips []netip.Addr) (*talosx509.KeyPair, error) {
	hosts, addrs := local(hostname, ips)
	hosts = append(hosts, "kubernetes", "kubernetes.default", "kubernetes.default.svc")
	return issue(c.bundle.Certs.K8s, leaf{
		commonName: "kube-apiserver", organizations: []string{"kube-master"},
		hosts: hosts, ips: addrs, usage: serverAuth, ttl: year,
	})
}

// KubeletFiles names the PEM files of a node's kubelet.
type KubeletFiles struct {
	CA   string `json:"ca"` // of the API server
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// KubeletFiles issues the certificate by which a node's kubelet is known to
// API servers, system:node:HOSTNAME in the group system:nodes, and writes it to
// dir, which it makes if need be.
func (c *Cluster) KubeletFiles(dir, hostname string) (KubeletFiles, error) {
	authority := c.bundle.Certs.K8s
	pair, err := issue(authority, leaf{
		commonName: "system:node:" + hostname, organizations: []string{"system:nodes"}, usage: clientAuth, ttl: year,
	})
	if err != nil {
		return KubeletFiles{}, err
	}
	d := directory{path: dir}
	files := KubeletFiles{CA: d.write("ca.crt", authority.Crt)}
	files.Cert, files.Key = d.writePair("kubelet", pair)
	return files, d.err
}

// ClientTLS reads the files: as the kubelet asks its node's API server.
func (f KubeletFiles) ClientTLS() (*tls.Config, error) { return clientTLS(f.CA, f.Cert, f.Key) }

// ServiceAccountFile writes the cluster's key for service account tokens to
// dir, which it makes if need be, and returns the file's path.
func (c *Cluster) ServiceAccountFile(dir string) (string, error) {
	d := directory{path: dir}
	path := d.write("service-account.key", c.bundle.Certs.K8sServiceAccount.Key)
	return path, d.err
}

// ServerTLS reads the serving certificate, and the pool of authorities that
// may vouch for clients.
func (f APIServerFiles) ServerTLS() (tls.Certificate, *x509.CertPool, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	ca, err := os.ReadFile(f.CA)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	clients, err := poolFrom(ca)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("%s: %w", f.CA, err)
	}
	return cert, clients, nil
}

// ClientTLS reads the files of the node's own probes.
func (f APIServerFiles) ClientTLS() (*tls.Config, error) {
	return clientTLS(f.CA, f.ClientCert, f.ClientKey)
}

// Kubeconfig returns a kubeconfig file for an administrator (group
// system:masters, valid for a year), with one context "admin@CLUSTER". server
// is a URL such as "https://10.5.0.50:6443".
func (c *Cluster) Kubeconfig(cluster, server string) ([]byte, error) {
	pair, err := issue(c.bundle.Certs.K8s, leaf{
		commonName: "admin", organizations: []string{masters}, usage: clientAuth, ttl: year,
	})
	if err != nil {
		return nil, err
	}
	name := "admin@" + cluster
	return clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			cluster: {Server: server, CertificateAuthorityData: c.bundle.Certs.K8s.Crt},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			name: {ClientCertificateData: pair.CrtPEM, ClientKeyData: pair.KeyPEM},
		},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: cluster, AuthInfo: name, Namespace: "default"}},
		CurrentContext: name,
	})
}
