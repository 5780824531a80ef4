package talos

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/resources/secrets"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// EtcdCredentials are what a client needs to speak to the cluster's etcd. They
// hold a private key, so whatever way they are printed or written, they say
// only that they are there.
type EtcdCredentials struct{ config *tls.Config }

// TLS returns the configuration of a client of etcd: it has the certificate of
// Talos's own clients, and trusts the cluster's authority for etcd alone. It
// must not be written or printed.
func (c EtcdCredentials) TLS() *tls.Config { return c.config.Clone() }

const redacted = "etcd credentials (redacted)"

func (EtcdCredentials) String() string { return redacted }

// GoString keeps the key out of %#v.
func (EtcdCredentials) GoString() string { return redacted }

// Format keeps the key out of every verb.
func (EtcdCredentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON writes a string that says that there was something.
func (EtcdCredentials) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML writes the same.
func (EtcdCredentials) MarshalYAML() (any, error) { return redacted, nil }

// EtcdAccessError says why etcd's own API cannot be asked.
type EtcdAccessError struct {
	Err  error
	hint string
}

func (e *EtcdAccessError) Error() string { return e.Err.Error() }
func (e *EtcdAccessError) Unwrap() error { return e.Err }

// Hint names what to try, or is "".
func (e *EtcdAccessError) Hint() string { return e.hint }

// gathering is what a survey does to get the certificate of etcd's clients.
// Every node is asked as soon as it can be; the first answer counts, for as a rule
// all give certificates of one authority. Where they do not, each can be asked for
// its own.
type gathering struct {
	told    bool // whoever wants it has it, or knows why not
	calls   []context.CancelFunc
	refusal error
}

// tellCredentials ends it, and whoever is slower is not waited for.
func (s *survey) tellCredentials(got *EtcdCredentials, err error) {
	if s.opts.EtcdCredentials == nil || s.credentials.told {
		return
	}
	s.credentials.told = true
	for _, cancel := range s.credentials.calls {
		cancel()
	}
	s.opts.EtcdCredentials(got, err)
}

// errNoWayToEtcd is why no node is asked for them behind a proxy: what answers on
// port 2379 of a node's address here may be no node of this cluster.
var errNoWayToEtcd = &EtcdAccessError{
	Err:  errors.New("this context reaches the nodes through a proxy only, and etcd must be dialled directly"),
	hint: "give a talosconfig of the cluster's own with the role os:admin, on a network that reaches port 2379 of the nodes",
}

// askCredentials asks one node.
func (s *survey) askCredentials(a *attempt) {
	if s.opts.EtcdCredentials == nil || s.credentials.told {
		return
	}
	ctx, cancel := context.WithCancel(a.ctx)
	s.credentials.calls = append(s.credentials.calls, cancel)
	s.work(func() func() {
		got, err := s.client.etcdCredentialsOf(ctx, a.target)
		return func() {
			if err == nil {
				s.tellCredentials(got, nil)
			} else {
				s.credentials.refusal = moreTelling(s.credentials.refusal, err)
			}
		}
	})
}

// missCredentials says why nobody gave them, if nobody did.
func (s *survey) missCredentials() {
	if s.credentials.refusal == nil {
		s.credentials.refusal = &EtcdAccessError{Err: errors.New("no node answered that has etcd's certificates")}
	}
	s.tellCredentials(nil, s.credentials.refusal)
}

// moreTelling prefers a node that refused to one that did not answer.
func moreTelling(a, b error) error {
	var access *EtcdAccessError
	if a == nil || errors.As(b, &access) && access.hint != "" {
		return b
	}
	return a
}

// EtcdCredentials asks a node that Collect saw for its own. via is the endpoint that
// it was read through, "" where it was dialled.
func (c *Client) EtcdCredentials(ctx context.Context, node, via string) (*EtcdCredentials, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	t, err := c.watched(node, via)
	if err != nil {
		return nil, err
	}
	return c.etcdCredentialsOf(nodeContext(ctx, t), t)
}

func (c *Client) etcdCredentialsOf(ctx context.Context, t target) (*EtcdCredentials, error) {
	begun := time.Now()
	got, err := c.readEtcdCredentials(ctx, t)
	switch {
	case err == nil:
		return got, nil
	case status.Code(err) == codes.PermissionDenied && !strings.Contains(err.Error(), "is not supported"):
		return nil, &EtcdAccessError{
			Err:  errors.New("the role of this talosconfig may not read etcd's certificates"),
			hint: "this needs the role os:admin: talosctl config new --roles os:admin, and --talosconfig",
		}
	default:
		return nil, &EtcdAccessError{Err: fmt.Errorf("etcd's certificates: %w", plain(err, t, time.Since(begun)))}
	}
}

// readEtcdCredentials reads the two resources. The authority's comes with its
// private key, which is dropped here.
func (c *Client) readEtcdCredentials(ctx context.Context, t target) (*EtcdCredentials, error) {
	l, _, err := c.link(t)
	if err != nil {
		return nil, err
	}
	root, err := get[*secrets.EtcdRoot](ctx, l.api, secrets.NamespaceName, secrets.EtcdRootType, secrets.EtcdRootID)
	if err != nil {
		return nil, err
	}
	own, err := get[*secrets.Etcd](ctx, l.api, secrets.NamespaceName, secrets.EtcdType, secrets.EtcdID)
	if err != nil {
		return nil, err
	}
	ca, admin := root.TypedSpec().EtcdCA, own.TypedSpec().EtcdAdmin
	if ca == nil || admin == nil {
		return nil, errEmpty
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca.Crt) {
		return nil, errors.New("the certificate of its authority cannot be read")
	}
	pair, err := tls.X509KeyPair(admin.Crt, admin.Key)
	if err != nil {
		return nil, errors.New("the certificate and the key of etcd's clients do not fit") // the reason might quote them
	}
	return &EtcdCredentials{&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}, nil
}
