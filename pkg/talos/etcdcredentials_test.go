package talos

import (
	stdx509 "crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/crypto/x509"
	secretsres "github.com/siderolabs/talos/pkg/machinery/resources/secrets"
	"go.yaml.in/yaml/v3"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// holdsEtcdSecrets publishes etcd's certificates on the node, as Talos does.
func (n *fakeNode) holdsEtcdSecrets() *x509.PEMEncodedCertificateAndKey {
	return n.holdsEtcdSecretsOf(n.world.bundle.Certs.Etcd)
}

// holdsEtcdSecretsOf publishes those of an authority.
func (n *fakeNode) holdsEtcdSecretsOf(authority *x509.PEMEncodedCertificateAndKey) *x509.PEMEncodedCertificateAndKey {
	t := n.world.t
	t.Helper()
	ca, err := x509.NewCertificateAuthorityFromCertificateAndKey(authority)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := x509.NewKeyPair(ca, x509.CommonName("talos"), x509.NotAfter(time.Now().Add(time.Hour)),
		x509.ExtKeyUsage([]stdx509.ExtKeyUsage{stdx509.ExtKeyUsageClientAuth}))
	if err != nil {
		t.Fatal(err)
	}
	admin := &x509.PEMEncodedCertificateAndKey{Crt: pair.CrtPEM, Key: pair.KeyPEM}
	root := secretsres.NewEtcdRoot(secretsres.EtcdRootID)
	root.TypedSpec().EtcdCA = authority
	own := secretsres.NewEtcd()
	own.TypedSpec().EtcdAdmin = admin
	n.put(root)
	n.put(own)
	return admin
}

// credentialsOf collects, and returns what was told of etcd's credentials, how
// often, and how long after the beginning.
func credentialsOf(t *testing.T, c *Client) (got *EtcdCredentials, after time.Duration, err error) {
	t.Helper()
	begun, times := time.Now(), 0
	_, _ = c.Collect(t.Context(), CollectOptions{Facts: Ownership, EtcdCredentials: func(g *EtcdCredentials, e error) {
		got, err, after = g, e, time.Since(begun)
		times++
	}})
	if times != 1 || (got == nil) == (err == nil) {
		t.Errorf("told %d times, the last time %v, %v; want it once, and one of both", times, got, err)
	}
	return got, after, err
}

func TestEtcdCredentials(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	c := w.client("10.5.0.2", "10.5.0.3", "10.5.0.4")
	if _, _, err := credentialsOf(t, c); err == nil || !strings.Contains(err.Error(), "the node does not publish it (yet)") {
		t.Errorf("EtcdCredentials of nodes that have none = %v; want that they do not publish it", err)
	}

	c.cfg.Timeout = 4 * time.Second
	nodes[0].hangAll.Store(true) // one that answers is enough
	nodes[1].denied.Store(true)
	admin := nodes[2].holdsEtcdSecrets()
	got, after, err := credentialsOf(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if limit := c.cfg.Timeout / 2; after > limit {
		t.Errorf("told after %s; want it before the node that hangs is given up, in less than %s", after, limit)
	}
	leaf, err := stdx509.ParseCertificate(got.TLS().Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(stdx509.VerifyOptions{Roots: got.TLS().RootCAs, KeyUsages: []stdx509.ExtKeyUsage{stdx509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("the client's certificate does not verify by the authority: %v", err)
	}
	keepsSecret(t, got, string(admin.Key))

	nodes[2].denied.Store(true)
	begun := time.Now()
	_, _, err = credentialsOf(t, c)
	if err == nil || err.Error() != "the role of this talosconfig may not read etcd's certificates" {
		t.Errorf("EtcdCredentials where it is refused = %v; want that the role may not", err)
	}
	if hinted, ok := err.(interface{ Hint() string }); !ok || !strings.Contains(hinted.Hint(), "os:admin") || time.Since(begun) > 2*c.cfg.Timeout {
		t.Errorf("refusal %v after %s; want a hint at os:admin, within the timeout", err, time.Since(begun))
	}

	if _, _, err := credentialsOf(t, w.client("10.5.0.99")); err == nil || err.Error() != "no node answered that has etcd's certificates" {
		t.Errorf("EtcdCredentials where nobody is = %v; want that no node answered", err)
	}
	nodes[0].hangAll.Store(false)
	nodes[1].denied.Store(false)
	c.cfg.forwarded, c.cfg.Nodes = true, []string{"10.5.0.3"}
	if _, _, err := credentialsOf(t, c); err == nil || !strings.Contains(err.Error(), "through a proxy only") {
		t.Errorf("EtcdCredentials through a proxy = %v; want that it is not possible", err)
	}
}

// A node is asked for its own, through another where it cannot be dialled.
func TestEtcdCredentialsOfANode(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[0].holdsEtcdSecrets()
	other, err := x509.NewSelfSignedCertificateAuthority(x509.Organization("etcd"), x509.NotAfter(time.Now().Add(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	nodes[1].holdsEtcdSecretsOf(&x509.PEMEncodedCertificateAndKey{Crt: other.CrtPEM, Key: other.KeyPEM}) // as of a cluster of its own
	w.hide("10.5.0.3:50000")
	c := w.client("10.5.0.2")
	snap, err := c.Collect(t.Context(), CollectOptions{Facts: Addresses})
	if err != nil || snap.Node("cp-2") == nil || snap.Node("cp-2").Via == "" {
		t.Fatalf("Collect = %s, %v; want cp-2 through another node", names(snap), err)
	}
	var got []*EtcdCredentials
	for _, name := range []string{"cp-1", "cp-2"} {
		own, err := c.EtcdCredentials(t.Context(), name, snap.Node(name).Via)
		if err != nil {
			t.Fatalf("EtcdCredentials(%s) = %v; want them", name, err)
		}
		got = append(got, own)
	}
	if got[0].TLS().RootCAs.Equal(got[1].TLS().RootCAs) {
		t.Error("EtcdCredentials(cp-2) are of cp-1's authority; want its own")
	}
	for name, want := range map[string]string{
		"cp-3": "etcd's certificates: the node does not publish it (yet)", "cp-9": `no control-plane node is called "cp-9"`,
	} {
		if _, err := c.EtcdCredentials(t.Context(), name, ""); err == nil || err.Error() != want {
			t.Errorf("EtcdCredentials(%s) = %v; want %s", name, err, want)
		}
	}
}

// keepsSecret prints and writes the credentials in every way there is.
func keepsSecret(t *testing.T, c *EtcdCredentials, key string) {
	t.Helper()
	var all []string
	for _, v := range []any{c, *c, struct{ C *EtcdCredentials }{c}, []EtcdCredentials{*c}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			all = append(all, fmt.Sprintf(verb, v))
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		y, err := yaml.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		all = append(all, string(j), string(y))
	}
	for _, text := range all {
		if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, key) || strings.Contains(text, "RootCAs") || strings.Contains(text, "Certificates") {
			t.Errorf("a printed form gives the secret away: %.200s", text)
		}
	}
	if !strings.Contains(all[0], "redacted") {
		t.Errorf("printed = %q; want it to say that something was left out", all[0])
	}
	if _, err := json.Marshal(cluster.Got(c)); err != nil {
		t.Error(err)
	}
}
