package talos

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A node refuses by PermissionDenied; who has not accepted the caller at all
// speaks for no node.
func TestAProxysRefusalIsNoAnswer(t *testing.T) {
	refused := status.Error(codes.Unauthenticated, "invalid signature")
	if answered(refused) || !answered(status.Error(codes.PermissionDenied, "not authorized")) {
		t.Errorf("answered(%v) = %t; want that no node answered", refused, answered(refused))
	}
	reason := plain(refused, target{node: "10.5.0.2"}, 0).Error()
	if want := "the proxy does not accept these credentials: invalid signature"; reason != want {
		t.Errorf("plain(%v) = %q; want %q", refused, reason, want)
	}
	if hint := (&UnreachableError{Causes: []string{"10.5.0.2:50000: " + errMaintenance.Error()}}).Hint(); !strings.Contains(hint, "apply-config --insecure") || strings.Contains(hint, "can be reached") {
		t.Errorf("hint on a node in maintenance mode: %q; want how to configure it, and no doubt that it can be reached", hint)
	}
	if hint := (&UnreachableError{Causes: []string{"10.5.0.2: " + reason}}).Hint(); !strings.Contains(hint, "OMNI_SERVICE_ACCOUNT_KEY") {
		t.Errorf("hint %q; want what to sign with", hint)
	}
}

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

// Each cause names its endpoint, once.
func TestUnreachableNamesEachEndpointOnce(t *testing.T) {
	at := func(addr string, err error) *visit {
		v := &visit{target: target{addr: netip.MustParseAddrPort(addr)}, reply: &reply{}}
		v.reply.miss(err, nil)
		return v
	}
	dead := target{addr: netip.MustParseAddrPort("192.0.2.3:50000")}
	endpoints := parseAll([]string{"cp.example:50000", "192.0.2.2", "192.0.2.3"})
	endpoints[0].err = errors.New("cp.example cannot be resolved")
	err := (&Client{cfg: &Config{}}).unreachable(endpoints, []*visit{
		at("192.0.2.2:50000", errors.New("connection refused")),
		at("192.0.2.3:50000", plain(context.DeadlineExceeded, dead, time.Second)),
	})
	want := "no Talos node answered: cp.example cannot be resolved; 192.0.2.2:50000: connection refused; no answer from 192.0.2.3:50000 within 1 s"
	if err.Error() != want {
		t.Errorf("unreachable = %q; want %q", err, want)
	}
}

// A refusal is for want of rights only where others may: a node that does not know
// a resource refuses it to everybody.
func TestWhoRefuses(t *testing.T) {
	for _, tt := range []struct {
		name             string
		err              error
		answered, denied bool
	}{
		{"an answer", nil, true, false},
		{"a role that may not", status.Error(codes.PermissionDenied, "not authorized"), true, true},
		{"a resource that this Talos does not know", status.Error(codes.PermissionDenied, `resource type "X" is not supported`), true, false},
		{"a call that this Talos does not know", status.Error(codes.Unimplemented, "unknown method"), true, false},
		{"an endpoint that forwards nothing", status.Error(codes.PermissionDenied, "no request forwarding"), false, true},
		{"a node that is down", status.Error(codes.Unavailable, "connection refused"), false, false},
		{"a node that hangs", context.DeadlineExceeded, false, false},
	} {
		if got := answered(tt.err); got != tt.answered {
			t.Errorf("%s: answered(%v) = %t; want %t", tt.name, tt.err, got, tt.answered)
		}
		if got := denied(tt.err); got != tt.denied {
			t.Errorf("%s: denied(%v) = %t; want %t", tt.name, tt.err, got, tt.denied)
		}
	}
}
