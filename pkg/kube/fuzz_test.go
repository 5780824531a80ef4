package kube

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// Whatever certificate a server shows, what is kept of it can be written, and read
// as the same.
func FuzzDescribe(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, end := range []time.Time{time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), NotAfter: end, DNSNames: []string{"cp-1", "\x1b[2J"},
			IPAddresses: []net.IP{net.ParseIP("10.5.0.2"), net.ParseIP("fd00::2"), net.ParseIP("::ffff:10.5.0.2")},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		first, err := json.Marshal(describe(cert))
		if err != nil {
			t.Fatalf("describe(%x) cannot be written: %v", der, err)
		}
		var again cluster.Certificate
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("describe(%x) = %s, which cannot be read: %v", der, first, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("describe(%x) = %s, and read again %s (%v)", der, first, second, err)
		}
	})
}
