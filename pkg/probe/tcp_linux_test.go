package probe

import (
	"context"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

// On Linux a listener whose queue is full drops what comes: a black hole.
func TestTCPTimesOutInABlackHole(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(os.NewSyscallError("listen", err))
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	local := name.(*syscall.SockaddrInet4)
	addr := netip.AddrPortFrom(netip.AddrFrom4(local.Addr), uint16(local.Port))

	for range 5 { // the queue takes one or two
		conn, err := dial(shortly(t), addr)
		if err != nil {
			break
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	began := time.Now()
	want(t, TCP{addr}, 200*ms, outage.Timeout, "")
	want(t, &HTTPS{Addr: addr}, 200*ms, outage.Timeout, "")
	if took := time.Since(began); took < 400*ms {
		t.Errorf("two timeouts of 200ms took %v", took)
	}
}

// shortly is a context that ends soon.
func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*ms)
	t.Cleanup(cancel)
	return ctx
}
