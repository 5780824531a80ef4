package power

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/stmcginnis/gofish"
)

// RedfishTimeout is how long one call to a BMC may take unless its Timeout
// says otherwise. A call is three or four requests, and a BMC is slow.
const RedfishTimeout = 30 * time.Second

// Redfish is a machine's BMC, spoken to over Redfish (DMTF DSP0266) with HTTP
// basic authentication.
//
// Every call connects anew, so a session never outlives its BMC. Proxies from
// the environment are not used: a BMC is on a management network, a proxy
// would see its password, and the switch has to work when little else does.
// Redirects are not followed, for a redirected POST turns into a GET and
// switches nothing.
type Redfish struct {
	// URL is the service's root without /redfish/v1, http or https.
	URL string
	// Username is "" for a service without authentication.
	Username string
	// Password is asked at every call and kept nowhere; nil is none.
	Password func() (string, error)
	// CAFile holds the certificates (PEM) that may sign the BMC's; "" means
	// those of the system.
	CAFile string
	// InsecureSkipVerify takes any certificate: whoever is in the path can
	// read the password.
	InsecureSkipVerify bool
	// SystemID is the Id of the computer system to switch; it may be "" where
	// the service has only one.
	SystemID string
	// Timeout limits each call; 0 means RedfishTimeout.
	Timeout time.Duration
}

var _ Switch = (*Redfish)(nil)

// State reads the system's power state; "" where the service does not tell it.
// Errors are of type *Error.
func (r *Redfish) State(ctx context.Context) (State, error) {
	ctx, cancel := r.limit(ctx)
	defer cancel()
	s, err := r.open(ctx)
	if err != nil {
		return "", r.failed("state", err)
	}
	return s.state(), nil
}

// Do sends action to the system. An action that the service does not offer is
// an error; it is never replaced by another. Where the request fails and the
// system is seen in the state that was asked for, that is success: some BMCs
// refuse to do what is done already.
func (r *Redfish) Do(ctx context.Context, action Action) error {
	ctx, cancel := r.limit(ctx)
	defer cancel()
	s, err := r.open(ctx)
	if err != nil {
		return r.failed(string(action), err)
	}
	want := goal(action)
	if want != "" && s.state() == want {
		return nil
	}
	if err := s.reset(action); err != nil && !r.reached(ctx, want) {
		return r.failed(string(action), err)
	}
	return nil
}

// reached says that the system is seen in state want; nothing is ever seen in
// the state "".
func (r *Redfish) reached(ctx context.Context, want State) bool {
	if want == "" {
		return false
	}
	s, err := r.open(ctx)
	return err == nil && s.state() == want
}

func (r *Redfish) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := r.Timeout
	if timeout == 0 {
		timeout = RedfishTimeout
	}
	return context.WithTimeout(ctx, timeout)
}

// open connects and finds the system.
func (r *Redfish) open(ctx context.Context) (*system, error) {
	password := ""
	if r.Password != nil {
		var err error
		if password, err = r.Password(); err != nil {
			return nil, err
		}
	}
	client, err := r.client()
	if err != nil {
		return nil, err
	}
	api, err := gofish.ConnectContext(ctx, gofish.ClientConfig{
		Endpoint: strings.TrimRight(r.URL, "/"),
		Username: r.Username, Password: password, BasicAuth: true,
		HTTPClient: client, NoModifyTransport: true,
	})
	if err != nil {
		return nil, err
	}
	return findSystem(api, r.SystemID)
}

func (r *Redfish) client() (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.InsecureSkipVerify}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", r.CAFile)
		}
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true},
		CheckRedirect: func(to *http.Request, _ []*http.Request) error {
			return &explained{
				reason: "the service redirects to " + to.URL.Redacted(),
				hint:   "name that address as the url of this power switch",
			}
		},
	}, nil
}

func (r *Redfish) failed(doing string, err error) error {
	hint, reason := explain(err)
	name := r.URL
	if u, err := url.Parse(r.URL); err == nil {
		name = u.Redacted() // somebody may have put a password there
	}
	return &Error{URL: name, Doing: doing, Err: reason, Remedy: hint}
}
