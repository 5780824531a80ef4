package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vipctl/vipctl/pkg/vip"
)

// plain says in a person's words why a member told nothing, in the time that it
// had.
func plain(ctx context.Context, err error, waited time.Duration) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), context.Canceled):
		return errors.New("interrupted")
	case ctx.Err() != nil, status.Code(err) == codes.DeadlineExceeded:
		return fmt.Errorf("no answer within %s", vip.Waited(waited))
	default:
		return short(err)
	}
}

// reasons are what etcd says (api/v3rpc/rpctypes/error.go, etcd v3.6.12), and what
// it means for a person.
var reasons = []struct{ says, means string }{
	{"etcdserver: no leader", "it knows of no leader, so it has no quorum"},
	{"etcdserver: not primary", "it has just lost its leader"},
	{"etcdserver: leader changed", "its leader has just changed"},
	{"etcdserver: rpc not supported for learner", "it is a learner, which answers no such question"},
	{"etcdserver: permission denied", "its certificate may not read the election"},
	{"etcdserver: request timed out", "it found no quorum in time"},
	{"received message larger than max", "its answer is too large"},
	{"first record does not look like a TLS handshake", "what answers there is no etcd"},
	{"missing selected ALPN property", "what answers there is no etcd"},
	{"signed by unknown authority", otherAuthority},
	{"certificate required", refusesOurs},
	{"bad certificate", refusesOurs},
	{"expired certificate", refusesOurs},
	{"unknown certificate authority", refusesOurs}, // which Go says of its peer's alert
	{"connection refused", "connection refused: etcd does not run there"},
	// With TLS 1.3 a client has shaken hands before the server looks at its certificate:
	// what the server says of it may be lost with the connection.
	{"broken pipe", hungUp},
	{"connection reset by peer", hungUp},
	{"server preface: EOF", hungUp},
}

// Why a member and whoever asks it do not trust each other.
const (
	otherAuthority = "its certificate is of another authority"
	refusesOurs    = "it refuses our certificate"
	hungUp         = "it hung up: it may refuse our certificate"
)

// short drops what gRPC and net wrap around the reason.
func short(err error) error {
	text := err.Error()
	if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	for _, r := range reasons {
		if strings.Contains(text, r.says) {
			return errors.New(r.means)
		}
	}
	if status.Code(err) == codes.DeadlineExceeded {
		return errors.New("no answer in time")
	}
	for _, wrap := range []string{"x509: ", "authentication handshake failed: ", "error reading server preface: ", "Error while dialing: ", ": connect: ", "desc = "} {
		if i := strings.LastIndex(text, wrap); i >= 0 {
			text = text[i+len(wrap):]
		}
	}
	text = strings.Trim(printable([]byte(strings.Join(strings.Fields(text), " "))), `"`)
	return errors.New(text)
}
