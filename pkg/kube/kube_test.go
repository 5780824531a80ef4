package kube

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newClient(t *testing.T, cfg *Config, timeout time.Duration) *Client {
	t.Helper()
	c, err := New(cfg, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serve(t *testing.T, handler http.HandlerFunc) (*httptest.Server, netip.AddrPort) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, netip.MustParseAddrPort(s.Listener.Addr().String())
}

func TestLookSeesStatusAndCertificate(t *testing.T) {
	for _, status := range []int{200, 401, 403, 500} {
		var path string
		s, at := serve(t, func(w http.ResponseWriter, r *http.Request) {
			path = r.URL.Path
			w.WriteHeader(status)
		})
		got := newClient(t, &Config{}, 5*time.Second).Look(t.Context(), at)
		if !got.Answered || got.Status != status || got.Error != "" {
			t.Errorf("Look of a server that says %d = %+v", status, got)
		}
		if path != "/readyz" {
			t.Errorf("Look asked for %s; want /readyz", path)
		}
		if want := Fingerprint(s.Certificate()); got.Certificate.Fingerprint != want {
			t.Errorf("fingerprint = %s; want %s", got.Certificate.Fingerprint, want)
		}
		if want := netip.MustParseAddr("127.0.0.1"); len(got.Certificate.Addresses) == 0 || got.Certificate.Addresses[0] != want {
			t.Errorf("addresses of the certificate = %v; want %s first", got.Certificate.Addresses, want)
		}
	}
}

func TestLookFollowsNoRedirect(t *testing.T) {
	_, at := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	if got := newClient(t, &Config{}, 5*time.Second).Look(t.Context(), at); got.Status != http.StatusFound {
		t.Errorf("Look of a server that redirects = %+v; want status 302", got)
	}
}

func TestLookBearsAnEndlessAnswer(t *testing.T) {
	_, at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	if got := newClient(t, &Config{}, 10*time.Second).Look(t.Context(), at); !got.Answered || got.Error != "" {
		t.Errorf("Look of a server that never stops talking = %+v; want an answer", got)
	}
}

// Headers that never end would fill the memory.
func TestLookBearsEndlessHeaders(t *testing.T) {
	_, at := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Large", strings.Repeat("x", 1<<20))
	})
	if got := newClient(t, &Config{}, 10*time.Second).Look(t.Context(), at); got.Answered || got.Error == "" {
		t.Errorf("Look of a server with a MiB of headers = %+v; want no answer, and why", got)
	}
}

// The certificate of the kubeconfig tells the server who asks for /readyz. Where
// only the server's own is looked at, nobody is shown any.
func TestWhomTheKubeconfigIsShown(t *testing.T) {
	shown := make(chan int, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, VerifyConnection: func(state tls.ConnectionState) error {
		shown <- len(state.PeerCertificates)
		return nil
	}}
	s.StartTLS()
	t.Cleanup(s.Close)
	at := netip.MustParseAddrPort(s.Listener.Addr().String())
	c := newClient(t, &Config{certificates: []tls.Certificate{mint(t)}}, 5*time.Second)
	if got := c.Look(t.Context(), at); !got.Answered || <-shown != 1 || !c.Authenticated() {
		t.Errorf("Look with a certificate = %+v; want an answer to who showed it", got)
	}
	if _, err := c.Certificate(t.Context(), at); err != nil || <-shown != 0 {
		t.Errorf("Certificate with a certificate of ours = %v; want that none was shown", err)
	}
}

// listen serves raw connections with talk.
func listen(t *testing.T, talk func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, talk)
	return netip.MustParseAddrPort(l.Addr().String())
}

func serveOn(t *testing.T, l net.Listener, talk func(net.Conn)) {
	t.Helper()
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go talk(conn)
		}
	}()
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

func TestLookSaysWhyThereIsNoAnswer(t *testing.T) {
	closed := closedPort(t)
	for _, tt := range []struct {
		name    string
		at      netip.AddrPort
		timeout time.Duration
		want    string
	}{
		{"nobody listens", closed, 5 * time.Second, "connection refused"},
		{"the handshake hangs", listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), 200 * time.Millisecond, "no answer from 127.0.0.1:"},
		{"garbage", listen(t, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n")); _ = c.Close() }), 5 * time.Second, "first record does not look like a TLS handshake"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newClient(t, &Config{}, tt.timeout).Look(t.Context(), tt.at)
			if got.Answered || !strings.Contains(got.Error, tt.want) {
				t.Errorf("Look = %+v; want no answer and %q", got, tt.want)
			}
		})
	}
}

// A server that is hostile can make no reason that fills the screen.
func TestReasonsAreShort(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 \x1b[2J"+strings.Repeat("x", maxAnswer/2)+"\r\n\r\n")
		_ = conn.Close()
	}))
	t.Cleanup(s.Close)
	got := newClient(t, &Config{}, 5*time.Second).Look(t.Context(), netip.MustParseAddrPort(s.Listener.Addr().String()))
	if got.Answered || !strings.Contains(got.Error, "malformed") || strings.Contains(got.Error, "\x1b") || len(got.Error) > maxReason {
		t.Errorf("Look = %v, %d bytes of %.80q; want no answer, and a short reason", got.Answered, len(got.Error), got.Error)
	}
}

func TestNewRefusesATimeoutOfNothing(t *testing.T) {
	for _, timeout := range []time.Duration{0, -time.Second} {
		if c, err := New(&Config{}, timeout); err == nil {
			t.Errorf("New(%s) = %v; want an error", timeout, c)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token := write("token", `{"current-context":"a","contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],"clusters":[{"name":"a","cluster":{"server":"https://127.0.0.1:6443"}}],"users":[{"name":"a","user":{"token":"secret"}}]}`)
	for _, tt := range []struct {
		name, flag, env string
		err             string
	}{
		{"neither named is anonymous", "", "", ""},
		{"a token is not used", token, "", ""},
		{"the environment names it", "", token, ""},
		{"of two that the environment names one is missing", "", filepath.Join(dir, "none") + string(os.PathListSeparator) + token, ""},
		{"a missing file", filepath.Join(dir, "none"), "", "none: file does not exist"},
		{"a missing file of the environment", "", filepath.Join(dir, "none"), "none: file does not exist"},
		{"a directory", "", dir, dir + ": is a directory"},
		{"a word", "", write("word", "cp-1"), "word: it is no kubeconfig"},
		{"the second of two is a directory", "", token + string(os.PathListSeparator) + dir, ": " + dir + ": is a directory"},
		{"a context that is not there", write("context", `{"current-context":"b"}`), "", "context"},
		{"a certificate whose file is missing", write("missing", `{"current-context":"a","contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],"clusters":[{"name":"a","cluster":{"server":"https://127.0.0.1:6443"}}],"users":[{"name":"a","user":{"client-certificate":"gone.crt","client-key":"gone.key"}}]}`), "", "gone.crt"},
		{"no kubeconfig", write("garbage", "\x00"), "", "garbage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.env)
			cfg, err := Load(tt.flag)
			if tt.err == "" {
				if err != nil || newClient(t, cfg, time.Second).Authenticated() {
					t.Errorf("Load(%q) = %+v, %v; want an anonymous config", tt.flag, cfg, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "Go value") {
				t.Errorf("Load(%q) = %v; want an error with %q, and no type of Go", tt.flag, err, tt.err)
			}
		})
	}
}
