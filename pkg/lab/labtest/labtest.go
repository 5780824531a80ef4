// Package labtest is what tests of the lab's parts have in common: namespaces
// to run in, and ports to listen on. Nothing but tests imports it.
package labtest

import (
	"net"
	"os"
	"testing"
)

// Unavailable is for a test that cannot run here, for the reason err: it is
// skipped, or fails where VIPCTL_LAB=required, as in CI. A suite that always
// skips looks as green as one that passes.
func Unavailable(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("VIPCTL_LAB") == "required" {
		t.Fatalf("VIPCTL_LAB=required, but the lab cannot run: %v", err)
	}
	t.Skipf("the lab cannot run here: %v", err)
}

// FreePort returns a TCP port of 127.0.0.1 that was free a moment ago.
func FreePort(t testing.TB) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}
