//go:build linux

package operator

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/mdlayher/packet"
)

// sink is a packet socket that keeps what was written to it.
type sink struct {
	net.PacketConn
	frames [][]byte
	to     []net.Addr
}

func (s *sink) WriteTo(frame []byte, to net.Addr) (int, error) {
	s.frames, s.to = append(s.frames, bytes.Clone(frame)), append(s.to, to)
	return len(frame), nil
}

func TestGratuitousARPIsTalosFrame(t *testing.T) {
	hw, _ := net.ParseMAC("02:00:0a:05:00:02")
	conn := &sink{}
	if err := gratuitousARP(conn, hw, netip.MustParseAddr("10.5.0.50")); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"ffffffffffff", "02000a050002", "0806", // ethernet
		"0001", "0800", "06", "04", "0001", // a request
		"02000a050002", "0a050032", "02000a050002", "0a050032",
		strings.Repeat("00", 18), // to ethernet's least length
	}, "")
	if len(conn.frames) != 1 || hex.EncodeToString(conn.frames[0]) != want {
		t.Fatalf("gratuitousARP wrote %x; want one frame %s", conn.frames, want)
	}
	if to, ok := conn.to[0].(*packet.Addr); !ok || to.HardwareAddr.String() != "ff:ff:ff:ff:ff:ff" {
		t.Errorf("gratuitousARP wrote to %v; want broadcast", conn.to[0])
	}
	if err := gratuitousARP(conn, hw, netip.MustParseAddr("fd00::50")); err == nil {
		t.Error("gratuitousARP of an IPv6 address = nil; want an error")
	}
}
