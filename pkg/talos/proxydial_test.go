package talos

import (
	"context"
	"net"
	"testing"
	"time"
)

// silentProxy takes connections and says nothing. It tells of each that is closed.
func silentProxy(t *testing.T) (addr string, closed <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ends := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close(); ends <- struct{}{} }()
				for err := error(nil); err == nil; {
					_, err = conn.Read(make([]byte, 1024))
				}
			}()
		}
	}()
	return l.Addr().String(), ends
}

// A proxy that says nothing costs no more than the time that there is.
func TestDialThroughASilentProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			addr, closed := silentProxy(t)
			for _, name := range []string{"https_proxy", "no_proxy", "NO_PROXY"} {
				t.Setenv(name, "")
			}
			t.Setenv("HTTPS_PROXY", scheme+"://me:secret@"+addr)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			dialled := make(chan error, 1)
			go func() {
				conn, err := dialByEnvironment(ctx, "10.5.0.2:50000")
				if err == nil {
					_ = conn.Close()
				}
				dialled <- err
			}()
			select {
			case err := <-dialled:
				if err == nil {
					t.Error("it dials 10.5.0.2 behind a proxy that says nothing; want an error")
				}
			case <-time.After(5 * time.Second):
				t.Fatal("it dials for ever; want 100 ms")
			}
			select {
			case <-closed:
			case <-time.After(5 * time.Second):
				t.Error("the connection to the proxy is left open")
			}
		})
	}
}
