package pki_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

var nodeIPs = []netip.Addr{netip.MustParseAddr("10.5.0.2"), netip.MustParseAddr("10.5.0.50")}

func newCluster(t *testing.T) *pki.Cluster {
	t.Helper()
	cluster, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// handshake runs a TLS handshake over loopback and returns what each side made
// of it. In TLS 1.3 the server's verdict on the client comes last, so each side
// waits for a byte.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = conn.Write([]byte{1})
		done <- err
	}()
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, clientErr := tls.DialWithDialer(dialer, "tcp", listener.Addr().String(), client)
	if clientErr == nil {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, clientErr = io.ReadFull(conn, make([]byte, 1))
		_ = conn.Close()
	}
	return <-done, clientErr
}

// talosClient is the TLS configuration that a talosconfig's context makes.
func talosClient(t *testing.T, data []byte, serverName string) *tls.Config {
	t.Helper()
	cfg, err := clientconfig.FromBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	context := cfg.Contexts[cfg.Context]
	decode := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	pair, err := tls.X509KeyPair(decode(context.Crt), decode(context.Key))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(decode(context.CA))
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS12}
}

func TestTalosAPILetsInWhoTheTalosAuthorityVouchesFor(t *testing.T) {
	cluster, other := newCluster(t), newCluster(t)
	server, err := cluster.TalosServerTLS("cp-1", nodeIPs)
	if err != nil {
		t.Fatal(err)
	}
	config := func(c *pki.Cluster, role string, ttl time.Duration) []byte {
		data, err := c.Talosconfig("lab", []string{"10.5.0.2"}, nil, role, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	reader := talosClient(t, config(cluster, "os:reader", time.Hour), "10.5.0.2")
	stranger := talosClient(t, config(other, "os:admin", time.Hour), "10.5.0.2")
	stranger.RootCAs = reader.RootCAs
	nobody := reader.Clone()
	nobody.Certificates = nil
	old := reader.Clone()
	old.MaxVersion = tls.VersionTLS12
	misnamed := reader.Clone()
	misnamed.ServerName = "10.5.0.3"
	proxy, err := cluster.TalosProxyTLS()
	if err != nil {
		t.Fatal(err)
	}
	proxy.ServerName = "cp-1"
	alsoServer := reader.Clone()
	alsoServer.Certificates = server.Certificates // signed by the Talos authority, to serve

	for _, test := range []struct {
		client string
		config *tls.Config
		ok     bool
	}{
		{"a reader", reader, true},
		{"another node's proxy, by host name", proxy, true},
		{"an expired administrator", talosClient(t, config(cluster, "os:admin", -time.Minute), "10.5.0.2"), false},
		{"an administrator of another cluster", stranger, false},
		{"a client without certificate", nobody, false},
		{"a client with a server's certificate", alsoServer, false},
		{"a client that speaks TLS 1.2 only", old, false},
		{"a client that looks for another address", misnamed, false},
	} {
		serverErr, clientErr := handshake(t, server, test.config)
		if ok := serverErr == nil && clientErr == nil; ok != test.ok {
			t.Errorf("handshake of %s: server %v, client %v; want ok = %v", test.client, serverErr, clientErr, test.ok)
		}
	}
}

func TestTalosAPIRefusesACertificateThatMayAlsoServe(t *testing.T) {
	server, err := newCluster(t).TalosServerTLS("cp-1", nodeIPs)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		usage []x509.ExtKeyUsage
		ok    bool
	}{
		{[]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, true},
		{[]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, false},
		{nil, false},
	} {
		state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{{ExtKeyUsage: test.usage}}}
		if err := server.VerifyConnection(state); (err == nil) != test.ok {
			t.Errorf("VerifyConnection(usage %v) = %v; want ok = %v", test.usage, err, test.ok)
		}
	}
}

func TestTalosconfigNamesContextEndpointsNodesAndRole(t *testing.T) {
	data, err := newCluster(t).Talosconfig("lab", []string{"10.5.0.2", "10.5.0.3"}, []string{"10.5.0.4"}, "os:operator", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientconfig.FromBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	context := cfg.Contexts["lab"]
	if cfg.Context != "lab" || !slices.Equal(context.Endpoints, []string{"10.5.0.2", "10.5.0.3"}) || !slices.Equal(context.Nodes, []string{"10.5.0.4"}) {
		t.Errorf("Talosconfig = context %q, endpoints %v, nodes %v; want lab, both endpoints, one node", cfg.Context, context.Endpoints, context.Nodes)
	}
	leaf := talosClient(t, data, "").Certificates[0].Leaf
	if !slices.Equal(leaf.Subject.Organization, []string{"os:operator"}) {
		t.Errorf("certificate's organization = %v; want os:operator", leaf.Subject.Organization)
	}
	if _, err := newCluster(t).Talosconfig("lab", nil, nil, "os:king", time.Hour); err == nil {
		t.Error(`Talosconfig(role "os:king") = nil error; want one`)
	}
}

func TestSecretsSurviveTheFile(t *testing.T) {
	cluster := newCluster(t)
	path := filepath.Join(t.TempDir(), "secrets.yaml")
	if err := cluster.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("secrets file has mode %v, %v; want 0600", info.Mode(), err)
	}
	again, err := pki.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A server of the one and a client of the other know each other.
	server, err := again.TalosServerTLS("cp-1", nodeIPs)
	if err != nil {
		t.Fatal(err)
	}
	config, err := cluster.Talosconfig("lab", nil, nil, "os:admin", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if serverErr, clientErr := handshake(t, server, talosClient(t, config, "cp-1")); serverErr != nil || clientErr != nil {
		t.Errorf("handshake between the written and the read cluster: server %v, client %v", serverErr, clientErr)
	}
	if _, err := pki.ReadFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadFile(missing) = %v; want not exist", err)
	}
}

func TestNodeCertificatesNameTheirAddressesAndDifferByNode(t *testing.T) {
	cluster := newCluster(t)
	dir := t.TempDir()
	one, err := cluster.APIServerFiles(filepath.Join(dir, "1"), "cp-1", nodeIPs)
	if err != nil {
		t.Fatal(err)
	}
	two, err := cluster.APIServerFiles(filepath.Join(dir, "2"), "cp-2", nodeIPs)
	if err != nil {
		t.Fatal(err)
	}
	if read(t, one.Key) == read(t, two.Key) || read(t, one.Cert) == read(t, two.Cert) {
		t.Error("two nodes share a key or certificate")
	}
	if info, err := os.Stat(one.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file has mode %v, %v; want 0600", info.Mode(), err)
	}
	cert, _, err := one.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"cp-1", "10.5.0.2", "10.5.0.50", "kubernetes", "kubernetes.default.svc", "localhost", "127.0.0.1"} {
		if err := cert.Leaf.VerifyHostname(host); err != nil {
			t.Errorf("VerifyHostname(%q) = %v; want nil", host, err)
		}
	}
	if err := cert.Leaf.VerifyHostname("cp-2"); err == nil {
		t.Error(`VerifyHostname("cp-2") of cp-1's certificate = nil; want an error`)
	}
}

func TestKubeconfigIsAnAdministratorOfTheServer(t *testing.T) {
	cluster := newCluster(t)
	data, err := cluster.Kubeconfig("lab", "https://10.5.0.50:6443")
	if err != nil {
		t.Fatal(err)
	}
	rest, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	if rest.Host != "https://10.5.0.50:6443" {
		t.Errorf("kubeconfig's server = %q; want https://10.5.0.50:6443", rest.Host)
	}
	pair, err := tls.X509KeyPair(rest.CertData, rest.KeyData)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(pair.Leaf.Subject.Organization, "system:masters") {
		t.Errorf("kubeconfig's groups = %v; want system:masters", pair.Leaf.Subject.Organization)
	}
	files, err := cluster.APIServerFiles(t.TempDir(), "cp-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rest.CAData, []byte(read(t, files.CA))) || !strings.Contains(string(rest.CAData), "BEGIN CERTIFICATE") {
		t.Error("kubeconfig's authority is not the apiserver's")
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
