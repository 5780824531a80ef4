package pki

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"

	talosx509 "github.com/siderolabs/crypto/x509"
)

// directory writes files that only their owner may read, and remembers the
// first error.
type directory struct {
	path string
	err  error
}

func (d *directory) write(name string, data []byte) string {
	path := filepath.Join(d.path, name)
	if d.err == nil {
		d.err = os.MkdirAll(d.path, 0o700)
	}
	if d.err == nil {
		d.err = os.WriteFile(path, data, 0o600)
	}
	return path
}

func (d *directory) writePair(name string, pair *talosx509.KeyPair) (cert, key string) {
	return d.write(name+".crt", pair.CrtPEM), d.write(name+".key", pair.KeyPEM)
}

func clientTLS(ca, cert, key string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots, err := poolFrom(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ca, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: roots}, nil
}
