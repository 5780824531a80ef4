package talos

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// gRPC passes on as text why a connection failed.
func TestTimedOut(t *testing.T) {
	for _, tt := range []struct {
		text string
		want bool
	}{
		{`connection error: desc = "transport: authentication handshake failed: context deadline exceeded"`, true},
		{`connection error: desc = "transport: Error while dialing: dial tcp 10.5.0.2:50000: i/o timeout"`, true},
		{`connection error: desc = "error reading server preface: read tcp 10.5.0.1:41000->10.5.0.2:50000: use of closed network connection"`, true},
		{`connection error: desc = "error reading server preface: http2: frame too large"`, false},
		{`connection error: desc = "error reading server preface: EOF"`, false},
		{`connection error: desc = "transport: Error while dialing: dial tcp 10.5.0.2:50000: connect: connection refused"`, false},
	} {
		if got := timedOut(status.Error(codes.Unavailable, tt.text)); got != tt.want {
			t.Errorf("timedOut(%q) = %v; want %v", tt.text, got, tt.want)
		}
	}
}
