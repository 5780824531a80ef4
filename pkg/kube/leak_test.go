package kube

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A server that hangs is left alone when the time is up: no goroutine still
// dials it, or writes into what was returned.
func TestLookEndsWholly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	closed := make(chan struct{})
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer close(closed)
		hello := make([]byte, 1<<12)
		_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		for err == nil {
			_, err = conn.Read(hello)
		}
		if strings.Contains(err.Error(), "timeout") {
			t.Error("the connection is still open, long after the time was up")
		}
		_ = conn.Close()
	}()
	c, err := New(&Config{}, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Look(t.Context(), netip.MustParseAddrPort(l.Addr().String())); !strings.HasPrefix(got.Error, "no answer") {
		t.Errorf("Look = %+v; want no answer", got)
	}
	<-closed
}
