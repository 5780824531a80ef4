//go:build linux

package node

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

func TestListeningIsAwaitedWhileTheServerRuns(t *testing.T) {
	m, d, _ := newFake(t, func(c *Config) { c.Addr = netip.MustParsePrefix("127.0.77.1/8") })
	addr := netip.AddrPortFrom(m.cfg.Addr.Addr(), apiserver.Port).String()
	up, down := m.listenings(t.Context())
	up()
	down(true) // it died before it listened
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	if err := ln.(*net.TCPListener).SetDeadline(time.Now().Add(10 * listenPoll)); err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("somebody asks whether a server listens that does not run")
	}
	up()
	eventually(t, "it is noted that the server listens", func() bool { return d.has(string(truth.Listening) + " " + addr) })
}
