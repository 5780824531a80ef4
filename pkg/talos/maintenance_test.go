package talos

import (
	"context"
	"net"
	"testing"
)

// A connection that comes when its time is over, or just then, is nobody's.
func TestInTimeClosesWhatComesLate(t *testing.T) {
	for range 100 { // whichever of the two is seen first
		ctx, cancel := context.WithCancel(t.Context())
		conn, other := net.Pipe()
		got, err := inTime(ctx, func(context.Context, string) (net.Conn, error) {
			cancel()
			return conn, nil
		}, "10.5.0.2:50000")
		if err == nil {
			_ = got.Close()
		}
		if n, err := other.Read(make([]byte, 1)); err == nil { // blocks until it is closed
			t.Fatalf("Read = %d; want the end of the connection", n)
		}
	}
}
