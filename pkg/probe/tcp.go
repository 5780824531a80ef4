package probe

import (
	"context"
	"net"
	"net/netip"

	"github.com/vipctl/vipctl/pkg/outage"
)

// TCP asks whether a port accepts a connection, and closes it at once. It does
// not know who answered.
type TCP struct {
	Addr netip.AddrPort
}

// Probe connects once. The name that it returns is always "".
func (p TCP) Probe(ctx context.Context) (outage.Result, string) {
	conn, err := dial(ctx, p.Addr)
	if err != nil {
		return classify(err), ""
	}
	_ = conn.Close() // nothing was sent that could be lost
	return outage.OK, ""
}

// dial opens a connection whose Close resets it, so that fifty a second leave
// neither side with ports in TIME_WAIT.
func dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it Close still closes, in the slow way
	}
	return conn, nil
}
