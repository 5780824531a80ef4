//go:build linux

package node

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// falling passes connections on to a server until it falls silent: those that
// are open then stay so, as those through a balancer to a machine without power.
type falling struct {
	net.Listener
	mu    sync.Mutex // guards conns
	conns []net.Conn
	up    []chan struct{} // closed when the connection of that number is silent
}

func (f *falling) silence() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, silent := range f.up {
		close(silent)
	}
	f.up = nil
}

func (f *falling) pass(server string) {
	for {
		client, err := f.Accept()
		if err != nil {
			return
		}
		behind, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		silent := make(chan struct{})
		f.mu.Lock()
		f.conns, f.up = append(f.conns, client, behind), append(f.up, silent)
		f.mu.Unlock()
		go func() { _, _ = io.Copy(client, behind) }()
		go func() {
			for buf := make([]byte, 1<<16); ; {
				n, err := client.Read(buf)
				if err != nil {
					return
				}
				select {
				case <-silent: // what comes is lost
				default:
					_, _ = behind.Write(buf[:n])
				}
			}
		}()
	}
}

func TestKubeClientLeavesAConnectionThatIsSilent(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	balancer := &falling{Listener: ln}
	t.Cleanup(func() {
		_ = ln.Close()
		balancer.mu.Lock()
		defer balancer.mu.Unlock()
		for _, c := range balancer.conns {
			_ = c.Close()
		}
	})
	go balancer.pass(server.Listener.Addr().String())
	c := newKubeClient(ln.Addr().String(), func() (*tls.Config, error) { return &tls.Config{InsecureSkipVerify: true}, nil })
	var answer struct{}
	ask := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return c.get(ctx, "/", &answer)
	}
	for range 2 { // the second over the connection of the first
		if err := ask(10 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	balancer.mu.Lock()
	if n := len(balancer.up); n != 1 {
		t.Errorf("two requests took %d connections; want one", n)
	}
	balancer.mu.Unlock()
	balancer.silence()
	if err := ask(200 * time.Millisecond); err == nil {
		t.Fatal("a request over a silent connection was answered")
	}
	if err := ask(10 * time.Second); err != nil {
		t.Errorf("the next request = %v; want an answer, over another connection", err)
	}
}
