package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

// ask probes once, with a timeout that a busy machine keeps.
func ask(t *testing.T, p Prober, timeout time.Duration) (outage.Result, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return p.Probe(ctx)
}

func want(t *testing.T, p Prober, timeout time.Duration, result outage.Result, by string) {
	t.Helper()
	if got, who := ask(t, p, timeout); got != result || who != by {
		t.Errorf("%T.Probe = %v, %q; want %v, %q", p, got, who, result, by)
	}
}

// listen returns a listener on loopback whose connections f serves.
func listen(t *testing.T, f func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f(conn)
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// closedPort returns an address where nobody listens.
func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String())
}

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
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

// apiserver serves with a certificate of its own.
func apiserver(t testing.TB, cert tls.Certificate, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
}

func TestTCP(t *testing.T) {
	open := listen(t, func(c net.Conn) { _ = c.Close() })
	want(t, TCP{open}, 5*time.Second, outage.OK, "")
	want(t, TCP{closedPort(t)}, 5*time.Second, outage.Refused, "")
}

// Whoever is probed must not be left with connections in TIME_WAIT.
func TestTCPResetsTheConnection(t *testing.T) {
	ended := make(chan error, 1)
	addr := listen(t, func(c net.Conn) {
		_, err := c.Read(make([]byte, 1))
		ended <- err
		_ = c.Close()
	})
	want(t, TCP{addr}, 5*time.Second, outage.OK, "")
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw the connection end with %v; want a reset", err)
	}
}

func TestHTTPSJudgesTheStatus(t *testing.T) {
	cert := certificate(t)
	client := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	hosts := NewHosts(map[Fingerprint]string{FingerprintOf(cert.Leaf): "cp-1"})
	for _, tt := range []struct {
		name   string
		status int
		client *tls.Config
		want   outage.Result
	}{
		{"ready", 200, nil, outage.OK},
		{"ready, to a client with credentials", 200, client, outage.OK},
		{"anonymous requests are off: an apiserver is there", 401, nil, outage.OK},
		{"anonymous requests may not: an apiserver is there", 403, nil, outage.OK},
		{"credentials are refused", 401, client, outage.BadStatus},
		{"credentials do not suffice", 403, client, outage.BadStatus},
		{"not ready", 500, nil, outage.BadStatus},
		{"unavailable", 503, nil, outage.BadStatus},
		{"too busy", 429, nil, outage.BadStatus},
		{"moved", 302, nil, outage.BadStatus},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := apiserver(t, cert, status(tt.status))
			want(t, &HTTPS{Addr: addr, Hosts: hosts, TLS: tt.client, Authenticated: tt.client != nil}, 5*time.Second, tt.want, "cp-1")
		})
	}
}

func TestHTTPSAsksForReadyzOnANewConnection(t *testing.T) {
	type seen struct{ path, from, version string }
	requests := make(chan seen, 3)
	cert := certificate(t)
	addr := apiserver(t, cert, func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume || r.TLS.Version != tls.VersionTLS13 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		requests <- seen{r.Method + " " + r.URL.Path, r.RemoteAddr, r.Proto}
	})
	p := &HTTPS{Addr: addr}
	for range 2 {
		want(t, p, 5*time.Second, outage.OK, "")
	}
	want(t, &HTTPS{Addr: addr, Path: "/livez"}, 5*time.Second, outage.OK, "")
	a, b, c := <-requests, <-requests, <-requests
	if a.path != "GET /readyz" || c.path != "GET /livez" || a.version != "HTTP/1.1" {
		t.Errorf("requests %v and %v; want GET /readyz and GET /livez by HTTP/1.1", a, c)
	}
	if a.from == b.from {
		t.Errorf("two probes came over one connection, from %s", a.from)
	}
}

func TestHTTPSSaysWhoAnswered(t *testing.T) {
	known, foreign := certificate(t), certificate(t)
	hosts := NewHosts(map[Fingerprint]string{FingerprintOf(known.Leaf): "cp-1"})
	vip := func(cert tls.Certificate) Prober { return &HTTPS{Addr: apiserver(t, cert, status(200)), Hosts: hosts} }

	want(t, vip(known), 5*time.Second, outage.OK, "cp-1")
	want(t, vip(foreign), 5*time.Second, outage.WrongHost, "")

	// A node that booted has a new certificate; it is learned at its own address.
	own := &HTTPS{Addr: apiserver(t, foreign, status(200)), Hosts: hosts, Node: "cp-2"}
	want(t, own, 5*time.Second, outage.OK, "cp-2")
	want(t, vip(foreign), 5*time.Second, outage.OK, "cp-2")
	want(t, vip(known), 5*time.Second, outage.OK, "cp-1")
}

func TestHTTPSFailures(t *testing.T) {
	mute := listen(t, func(c net.Conn) { t.Cleanup(func() { _ = c.Close() }) })
	hangsUp := listen(t, func(c net.Conn) { _ = c.Close() })
	resets := listen(t, func(c net.Conn) {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	})
	plain := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = c.Write([]byte("220 mail.example.org ESMTP\r\n"))
		t.Cleanup(func() { _ = c.Close() })
	})
	release := make(chan struct{})
	cert := certificate(t)
	hangs := apiserver(t, cert, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) }) // before the server's own, which waits for the handler

	for _, tt := range []struct {
		name    string
		addr    netip.AddrPort
		timeout time.Duration
		want    outage.Result
	}{
		{"nobody listens", closedPort(t), 5 * time.Second, outage.Refused},
		{"no answer to the handshake", mute, 100 * ms, outage.Timeout},
		{"no answer to the request", hangs, 500 * ms, outage.Timeout},
		{"hangs up", hangsUp, 5 * time.Second, outage.Reset},
		{"resets", resets, 5 * time.Second, outage.Reset},
		{"speaks something else", plain, 5 * time.Second, outage.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want(t, &HTTPS{Addr: tt.addr}, tt.timeout, tt.want, "")
		})
	}
	want(t, &HTTPS{Addr: hangs, Path: "/\x00"}, 5*time.Second, outage.Failed, "")
}

func TestServingCertificate(t *testing.T) {
	cert := certificate(t)
	got, err := ServingCertificate(t.Context(), apiserver(t, cert, status(200)))
	if err != nil || FingerprintOf(got) != FingerprintOf(cert.Leaf) {
		t.Errorf("ServingCertificate = %v, %v; want the server's", got, err)
	}
	if _, err := ServingCertificate(t.Context(), closedPort(t)); classify(err) != outage.Refused {
		t.Errorf("ServingCertificate where nobody listens: %v; want refused", err)
	}
}

func TestClassify(t *testing.T) {
	connect := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
	}
	for _, tt := range []struct {
		err  error
		want outage.Result
	}{
		{nil, outage.OK},
		{context.DeadlineExceeded, outage.Timeout},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, outage.Timeout},
		{connect(syscall.ETIMEDOUT), outage.Timeout},
		{connect(syscall.ECONNREFUSED), outage.Refused},
		{connect(syscall.EHOSTUNREACH), outage.Unreachable},
		{connect(syscall.ENETUNREACH), outage.Unreachable},
		{connect(syscall.ECONNRESET), outage.Reset},
		{io.ErrUnexpectedEOF, outage.Reset},
		{connect(syscall.EACCES), outage.Failed},
		{connect(syscall.EMFILE), 0},
		{connect(syscall.EADDRNOTAVAIL), 0},
	} {
		if got := classify(tt.err); got != tt.want {
			t.Errorf("classify(%v) = %v; want %v", tt.err, got, tt.want)
		}
	}
}

// The whole of it against a real service that goes away and comes back.
func TestRunMeasuresARealOutage(t *testing.T) {
	cert := certificate(t)
	hosts := NewHosts(map[Fingerprint]string{FingerprintOf(cert.Leaf): "cp-1"})
	server := &http.Server{Handler: status(200), ErrorLog: log.New(io.Discard, "", 0)}
	t.Cleanup(func() { _ = server.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	serve := func(l net.Listener) {
		go func() {
			_ = server.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}))
		}()
	}
	serve(l)

	var recorder Recorder
	clock := NewClock()
	ctx, cancel := context.WithCancel(t.Context())
	finished := make(chan struct{})
	// The timeout is long, for a busy machine; a closed port refuses at once.
	pacer := Pacer{Interval: 10 * ms, Timeout: 2 * time.Second}
	go func() {
		defer close(finished)
		Run(ctx, clock, pacer, &HTTPS{Addr: netip.MustParseAddrPort(addr), Hosts: hosts}, recorder.Add)
	}()
	wait := func(good int, since time.Duration) {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * ms) {
			turns := outage.Turns(recorder.From(since))
			if len(turns) == 1 && turns[0].Samples >= good {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d good samples did not come", good)
			}
		}
	}
	wait(10, 0)
	fault := clock.Now()
	_ = l.Close()
	downBy := clock.Now()
	time.Sleep(300 * ms) // the outage itself
	upFrom := clock.Now()
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	upBy := clock.Now()
	serve(l)
	wait(20, upBy)
	cancel()
	<-finished

	m := outage.Measure(recorder.Samples(), outage.Config{Fault: fault, Interval: pacer.Interval, Timeout: pacer.Timeout})
	// A connection in the closed listener's queue is reset, so the true outage
	// may have begun a little before the listener closed.
	shortest, longest := upFrom-downBy, upBy-fault
	if m.State != outage.Closed || m.Outage.Lower > longest || m.Outage.Upper < shortest {
		t.Errorf("measured %+v; the outage was between %v and %v", m, shortest, longest)
	}
	if turns := outage.Turns(recorder.Samples()); len(turns) != 1 || turns[0].By != "cp-1" {
		t.Errorf("answered by %v; want cp-1 only", turns)
	}
}

func TestFingerprintIsReadAsWritten(t *testing.T) {
	f := FingerprintOf(certificate(t).Leaf)
	if got, ok := ParseFingerprint(f.String()); !ok || got != f {
		t.Errorf("ParseFingerprint(%s) = %s, %t", f, got, ok)
	}
	for _, bad := range []string{"", "zz", f.String()[2:], f.String() + "00"} {
		if _, ok := ParseFingerprint(bad); ok {
			t.Errorf("ParseFingerprint(%q) is taken for one", bad)
		}
	}
}
