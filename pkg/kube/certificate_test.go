package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mint makes a certificate of its own for a test's server.
func mint(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// present serves TLS on the address, and returns where.
func present(t *testing.T, address string, cfg *tls.Config) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("no listening on %s: %v", address, err)
	}
	serveOn(t, l, func(c net.Conn) {
		server := tls.Server(c, cfg)
		defer func() { _ = server.Close() }()
		if server.Handshake() != nil {
			return
		}
		if n, _ := server.Read(make([]byte, 1)); n > 0 {
			t.Error("the client said something; want a handshake only")
		}
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestCertificateIsThatOfTheServer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		listen string
		cfg    *tls.Config
	}{
		{"a server that asks for nothing", "127.0.0.1:0", &tls.Config{}},
		{"one on IPv6", "[::1]:0", &tls.Config{}},
		{"one that wants a certificate of ours, as apid does", "127.0.0.1:0", &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}},
		{"one that wants it in TLS 1.2", "127.0.0.1:0", &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: tls.VersionTLS12}},
		{"one that takes what is offered, as kube-apiserver does", "127.0.0.1:0", &tls.Config{ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shown := make(chan int, 9)
			tt.cfg.VerifyConnection = func(s tls.ConnectionState) error {
				shown <- len(s.PeerCertificates)
				return nil
			}
			cert := mint(t)
			tt.cfg.Certificates = []tls.Certificate{cert}
			at, want := present(t, tt.listen, tt.cfg), Fingerprint(cert.Leaf)
			begun := time.Now()
			got, err := newClient(t, &Config{}, 5*time.Second).Certificate(t.Context(), at)
			if err != nil || got.Fingerprint != want || got.NotAfter.IsZero() {
				t.Errorf("Certificate(%s) = %+v, %v; want the fingerprint %s", at, got, err, want)
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("Certificate(%s) took %s; want an end right after the handshake", at, took)
			}
			select {
			case n := <-shown:
				if n != 0 {
					t.Errorf("%d certificates were shown to the server; want none", n)
				}
			default: // TLS 1.2 ends before
			}
		})
	}
}

func TestCertificateSaysWhyThereIsNone(t *testing.T) {
	closed := closedPort(t)
	for _, tt := range []struct {
		name    string
		at      netip.AddrPort
		timeout time.Duration
		want    string
	}{
		{"nobody listens", closed, 5 * time.Second, "connection refused"},
		{"a server that never speaks", listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), 200 * time.Millisecond, "within 0."},
		{"one that drips", listen(t, drip), 300 * time.Millisecond, "within 0.3 s"},
		{"garbage", listen(t, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n")); _ = c.Close() }), 5 * time.Second, "first record does not look like a TLS handshake"},
		{"one that hangs up", listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.Close() }), 5 * time.Second, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begun := time.Now()
			got, err := newClient(t, &Config{}, tt.timeout).Certificate(t.Context(), tt.at)
			if err == nil || got.Fingerprint != "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Certificate = %+v, %v; want an error with %q", got, err, tt.want)
			}
			if took := time.Since(begun); took > tt.timeout+time.Second {
				t.Errorf("it took %s with a timeout of %s", took, tt.timeout)
			}
		})
	}
}

// drip begins a TLS record and never ends it.
func drip(c net.Conn) {
	defer func() { _ = c.Close() }()
	_, _ = c.Write([]byte{22, 3, 3, 0, 200})
	for {
		if _, err := c.Write([]byte{2}); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Without the key, a certificate that was copied from its owner proves nothing.
func TestCertificateMustBeProved(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		stolen := mint(t)
		stolen.PrivateKey = mint(t).PrivateKey
		at := present(t, "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{stolen}, MaxVersion: version, ClientAuth: tls.RequireAnyClientCert})
		if got, err := newClient(t, &Config{}, 5*time.Second).Certificate(t.Context(), at); err == nil {
			t.Errorf("Certificate of a server without the key, in TLS %#x = %+v; want an error", version, got)
		}
	}
}

// TestRanOut: the dialer's own clock and the socket's may strike before the
// context's.
func TestRanOut(t *testing.T) {
	_, dialing := (&net.Dialer{Deadline: time.Now().Add(-time.Second)}).Dial("tcp", "127.0.0.1:9")
	here, there := net.Pipe()
	defer func() { _, _ = here.Close(), there.Close() }()
	_ = here.SetReadDeadline(time.Now().Add(-time.Second))
	_, reading := here.Read(make([]byte, 1))
	for _, tt := range []struct {
		err  error
		want bool
	}{{dialing, true}, {reading, true}, {io.EOF, false}, {syscall.ECONNREFUSED, false}, {nil, false}} {
		if got := ranOut(tt.err); got != tt.want {
			t.Errorf("ranOut(%v) = %v; want %v", tt.err, got, tt.want)
		}
	}
}
