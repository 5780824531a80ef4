package talos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/cosi-project/runtime/pkg/state"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// UnreachableError says that no node of the cluster answered.
type UnreachableError struct {
	// Causes say why, each naming its endpoint, in the order asked.
	Causes []string
}

func (e *UnreachableError) Error() string {
	return "no Talos node answered: " + strings.Join(e.Causes, "; ")
}

// Hint names what to try.
func (e *UnreachableError) Hint() string {
	all := strings.Join(e.Causes, "\n")
	switch {
	case strings.Contains(all, ", through the proxy "):
		return "unset HTTPS_PROXY, or add the nodes' addresses or their network to NO_PROXY, where they are to be dialled directly"
	case strings.Contains(all, "unknown authority"), strings.Contains(all, "tls: bad certificate"), strings.Contains(all, "tls: unknown certificate"):
		return "these credentials are not this cluster's: choose another with --context or --talosconfig"
	case strings.Contains(all, notAccepted):
		return "sign in anew with talosctl and this context, or give the key of a service account: OMNI_SERVICE_ACCOUNT_KEY"
	case strings.Contains(all, errMaintenance.Error()):
		return "talosctl apply-config --insecure -n ADDRESS -f FILE gives a node its configuration back; name others with --endpoints, where there are any"
	case strings.Contains(all, "cannot be resolved"):
		return "name control-plane nodes by address with --endpoints"
	default:
		return "check --endpoints, and that port 50000 of the nodes can be reached from here; --timeout gives them longer"
	}
}

// RightsError says that nodes answered, and that none of them lets the role of
// the talosconfig read anything.
type RightsError struct{ Context string }

func (e *RightsError) Error() string {
	return fmt.Sprintf("not authorized: the role of context %q may read nothing from any node that answered", e.Context)
}

// Hint names the role that it takes.
func (e *RightsError) Hint() string {
	return "reading takes the role os:reader: talosctl config new --roles os:reader FILE makes such a talosconfig, for who is os:admin"
}

// denied says whether a node refused to answer for want of rights. It refuses a
// type that it does not know with the same code.
func denied(err error) bool {
	return status.Code(err) == codes.PermissionDenied && !strings.Contains(err.Error(), "is not supported")
}

func notAuthorized(text string) error {
	if more := strings.TrimLeft(strings.TrimPrefix(text, cluster.NotAuthorized), ": "); more != "" {
		return fmt.Errorf("%s: %s", cluster.NotAuthorized, more)
	}
	return errors.New(cluster.NotAuthorized)
}

// CallError is a refused or failed call to a node.
type CallError struct {
	Node string // as it was named
	Call string // what was asked, as in "reboot"
	Err  error
	// Unsure says that the node may have received the call and acted on it.
	Unsure bool
	hint   string
}

func (e *CallError) Error() string { return fmt.Sprintf("%s of %s: %v", e.Call, e.Node, e.Err) }
func (e *CallError) Unwrap() error { return e.Err }

// Hint names what to try, or is "".
func (e *CallError) Hint() string { return e.hint }

// answered says whether a node took part in the outcome of a call: a refusal is
// an answer, a broken connection is none.
func answered(err error) bool {
	if err == nil || state.IsNotFoundError(err) {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return false
	case codes.Unauthenticated: // a proxy's: no node has heard of it
		return false
	default:
		return !strings.Contains(err.Error(), "no request forwarding")
	}
}

// notAccepted is what a proxy's refusal of a signature is called.
const notAccepted = "the proxy does not accept these credentials"

// plain says in a person's words why a call to t failed, and through which proxy
// where nothing came of it. took is how long it was waited for.
func plain(err error, t target, took time.Duration) error {
	if err == nil {
		return nil
	}
	said := inWords(err, t, took)
	if proxy := throughProxy(t.addr); proxy != "" && !answered(err) && !errors.Is(err, errMaintenance) {
		return fmt.Errorf("%w, through %s", said, proxy)
	}
	return said
}

func inWords(err error, t target, took time.Duration) error {
	text := message(err)
	switch {
	case errors.Is(err, errMaintenance):
		return errMaintenance
	case state.IsNotFoundError(err):
		return errors.New("the node does not publish it (yet)")
	case timedOut(err):
		return fmt.Errorf("%s from %s within %s", cluster.NoAnswer, t, vip.Waited(took))
	case errors.Is(err, context.Canceled), status.Code(err) == codes.Canceled:
		return fmt.Errorf("interrupted while waiting for %s", t)
	case status.Code(err) == codes.PermissionDenied && strings.Contains(text, "is not supported"):
		return fmt.Errorf("this version of Talos does not know it: %s", text)
	case status.Code(err) == codes.PermissionDenied:
		return notAuthorized(text)
	case status.Code(err) == codes.Unauthenticated:
		return fmt.Errorf("%s: %s", notAccepted, text)
	case status.Code(err) == codes.Unimplemented:
		return fmt.Errorf("not supported by this node: %s", text)
	case status.Code(err) == codes.ResourceExhausted && strings.Contains(text, "larger than max"):
		return fmt.Errorf("the answer is larger than %d MiB, and was not read", answerLimit>>20)
	default:
		return errors.New(stranger(text))
	}
}

// stranger says what is wrong where something answers that is not to be
// trusted. The library's words stay where they tell more.
func stranger(text string) string {
	text, _, _ = strings.Cut(text, " (possibly because of")
	for _, s := range []struct{ has, says string }{
		{"first record does not look like a TLS handshake", "what answers there does not speak TLS, and so is no Talos API"},
		{"server preface", "what answers there speaks TLS but not gRPC, and so is no Talos API"},
		{"signed by unknown authority", "another cluster's node answers there, or a stranger: " + text},
		{"certificate has expired or is not yet valid", outOfDate(text)},
		{"certificate is valid for", "its certificate is not for this address: " + text},
		{"cannot validate certificate for", "its certificate is not for this address: " + text},
	} {
		if strings.Contains(text, s.has) {
			return s.says
		}
	}
	return text
}

// outOfDate reads "... current time NOW is after THEN", or before it
// (crypto/x509 of go1.26).
func outOfDate(text string) string {
	_, times, _ := strings.Cut(text, "current time ")
	if now, end, ok := strings.Cut(times, " is after "); ok {
		return fmt.Sprintf("its certificate expired on %s, or a clock is wrong, its or ours: here it is %s", end, now)
	}
	if now, begin, ok := strings.Cut(times, " is before "); ok {
		return fmt.Sprintf("its certificate is not valid before %s, or a clock is wrong, its or ours: here it is %s", begin, now)
	}
	return "its certificate is out of date, or a clock is wrong, its or ours: " + text
}

// message strips what gRPC and net wrap around the reason.
func message(err error) string {
	text := err.Error()
	var wire interface{ GRPCStatus() *status.Status }
	if errors.As(err, &wire) {
		text = wire.GRPCStatus().Message()
	}
	for _, reason := range []string{"remote error: ", "x509: ", "tls: "} {
		if i := strings.Index(text, reason); i >= 0 {
			return tidy(text[i:])
		}
	}
	for _, wrap := range []string{": connect: ", "read: ", "write: ", "authentication handshake failed: ", "Error while dialing: ", "desc = "} {
		if i := strings.LastIndex(text, wrap); i >= 0 {
			return tidy(text[i+len(wrap):])
		}
	}
	return tidy(text)
}

// maxReason is how long a reason, or any text of a node, may be, in bytes: it may
// write what it likes.
const maxReason = 1 << 10

// tidy makes one line of it, and drops the quote that a wrapper left open.
func tidy(s string) string {
	s = line(s)
	if strings.HasSuffix(s, `"`) && strings.Count(s, `"`)%2 == 1 {
		s = strings.TrimSuffix(s, `"`)
	}
	return strings.TrimSuffix(s, `\`)
}

// line makes one line of it, not too long, that no terminal takes for commands.
func line(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxReason)], "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return '\uFFFD'
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// timedOut says whether the reason is silence. gRPC passes on the reason of a
// failed connection as text only.
func timedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded {
		return true
	}
	text := message(err)
	return status.Code(err) == codes.Unavailable &&
		(closedByUs(text) || strings.HasSuffix(text, context.DeadlineExceeded.Error()) || strings.HasSuffix(text, "i/o timeout") || strings.HasSuffix(text, "connection timed out"))
}

// closedByUs says whether the time was up between the TLS handshake and the
// first frame of HTTP/2: gRPC then closes the connection (grpc-go v1.81).
func closedByUs(text string) bool {
	return strings.Contains(text, "server preface") && strings.Contains(text, "use of closed network connection")
}
