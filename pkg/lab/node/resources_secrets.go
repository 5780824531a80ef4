//go:build linux

package node

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"net/url"
	"os"
	"slices"

	"github.com/cosi-project/runtime/pkg/resource"
	talosx509 "github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/secrets"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

// publishSecrets publishes the cluster's authorities and the certificates that
// the node's own servers have in this boot: a client with them is as good as
// one on the node.
func (m *machine) publishSecrets(cfg config.Provider) {
	put(m, "secrets.RootOSController", secrets.NewOSRoot(secrets.OSRootID), func(r *secrets.OSRoot) {
		security := cfg.Machine().Security()
		*r.TypedSpec() = secrets.OSRootSpec{
			IssuingCA: security.IssuingCA(), AcceptedCAs: certificate(security.IssuingCA()), Token: security.Token(),
		}
		r.TypedSpec().CertSANIPs = m.cfg.AllVIPs
		if m.cfg.Worker { // it has no authority's key
			r.TypedSpec().IssuingCA, r.TypedSpec().CertSANIPs = nil, nil
		}
	})
	if err := m.publishCertSANs(); err != nil {
		m.log.Printf("publish the certificates' names: %v", err)
	}
	if m.cfg.Worker {
		return
	}
	put(m, "secrets.RootKubernetesController", secrets.NewKubernetesRoot(secrets.KubernetesRootID), func(r *secrets.KubernetesRoot) {
		*r.TypedSpec() = kubernetesRoot(cfg, m.cfg.kubeletServer())
	})
	put(m, "secrets.RootEtcdController", secrets.NewEtcdRoot(secrets.EtcdRootID), func(r *secrets.EtcdRoot) {
		r.TypedSpec().EtcdCA = cfg.Cluster().Etcd().CA()
	})
	if err := m.publishEtcdSecrets(); err != nil {
		m.log.Printf("publish etcd's certificates: %v", err)
	}
}

// kubernetesRoot is what the secrets of Kubernetes are made of. local is where the
// node itself finds the API.
func kubernetesRoot(cfg config.Provider, local string) secrets.KubernetesRootSpec {
	c := cfg.Cluster()
	ips, _ := c.Network().APIServerIPs() // of the generator's own subnet
	return secrets.KubernetesRootSpec{
		Name: c.Name(), Endpoint: c.Endpoint(), LocalEndpoint: &url.URL{Scheme: "https", Host: local},
		CertSANs: c.CertSANs(), APIServerIPs: ips, DNSDomain: cmp.Or(c.Network().DNSDomain(), constants.DefaultDNSDomain),
		IssuingCA: c.IssuingCA(), AcceptedCAs: certificate(c.IssuingCA()), ServiceAccount: c.ServiceAccount(), AggregatorCA: c.AggregatorCA(),
		AESCBCEncryptionSecret: c.AESCBCEncryptionSecret(), SecretboxEncryptionSecret: c.SecretboxEncryptionSecret(),
		BootstrapTokenID: c.Token().ID(), BootstrapTokenSecret: c.Token().Secret(),
	}
}

func certificate(pair *talosx509.PEMEncodedCertificateAndKey) []*talosx509.PEMEncodedCertificate {
	return []*talosx509.PEMEncodedCertificate{{Crt: pair.Crt}}
}

// publishEtcdSecrets publishes the very certificates on the node's disk. The
// lab's kube-apiserver asks etcd with those of the node's own clients.
func (m *machine) publishEtcdSecrets() error {
	files := m.secrets.etcd
	server, err := readPair(files.Cert, files.Key)
	if err != nil {
		return err
	}
	peer, err := readPair(files.PeerCert, files.PeerKey)
	if err != nil {
		return err
	}
	client, err := readPair(files.ClientCert, files.ClientKey)
	if err != nil {
		return err
	}
	put(m, "secrets.EtcdController", secrets.NewEtcd(), func(r *secrets.Etcd) {
		*r.TypedSpec() = secrets.EtcdCertsSpec{Etcd: server, EtcdPeer: peer, EtcdAdmin: client, EtcdAPIServer: client}
	})
	put(m, "etcd.PKIController", etcd.NewPKIStatus(etcd.NamespaceName, etcd.PKIID), func(r *etcd.PKIStatus) {
		*r.TypedSpec() = etcd.PKIStatusSpec{Ready: true, Version: "1"} // of the certificates, which stay for the boot
	})
	return nil
}

func readPair(cert, key string) (*talosx509.PEMEncodedCertificateAndKey, error) {
	crt, err := os.ReadFile(cert)
	if err != nil {
		return nil, err
	}
	k, err := os.ReadFile(key)
	return &talosx509.PEMEncodedCertificateAndKey{Crt: crt, Key: k}, err
}

// publishCertSANs publishes the names in the certificates of the Talos API and
// of the kube-apiserver.
func (m *machine) publishCertSANs() error {
	apid, err := x509.ParseCertificate(m.secrets.server.Certificates[0].Certificate[0])
	if err != nil {
		return err
	}
	m.putCertSAN("secrets.APICertSANsController", secrets.CertSANAPIID, apid, m.cfg.Name)
	if m.cfg.Worker {
		return nil
	}
	kube, err := apiserverCertificate(m.secrets.apiserver)
	if err != nil {
		return err
	}
	m.putCertSAN("secrets.KubernetesCertSANsController", secrets.CertSANKubernetesID, kube, "")
	return nil
}

func apiserverCertificate(files pki.APIServerFiles) (*x509.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(pair.Certificate[0])
}

func (m *machine) putCertSAN(owner string, id resource.ID, cert *x509.Certificate, fqdn string) {
	var ips []netip.Addr
	for _, ip := range cert.IPAddresses {
		ips = append(ips, toAddr(ip))
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	put(m, owner, secrets.NewCertSAN(secrets.NamespaceName, id), func(r *secrets.CertSAN) {
		*r.TypedSpec() = secrets.CertSANSpec{IPs: ips, DNSNames: slices.Sorted(slices.Values(cert.DNSNames)), FQDN: fqdn}
	})
}
