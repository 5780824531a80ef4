package probe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/vipctl/vipctl/pkg/outage"
)

// HTTPS asks a kube-apiserver whether it is ready, and who it is. Use it by
// pointer, and do not change it once it is in use.
//
// Each probe is a new connection with a whole TLS 1.3 handshake and one GET.
// Sessions are not resumed, for what is resumed is what a server said earlier,
// and only a handshake proves that the one who answers now has the key of the
// certificate. That certificate is compared with those of the nodes; its chain
// and names are not checked.
type HTTPS struct {
	Addr netip.AddrPort
	// Path is asked for; "" means /readyz.
	Path string
	// Hosts names who answered. An answer with a certificate that it does not
	// know is WrongHost. Without Hosts any certificate will do, and By is Node.
	Hosts *Hosts
	// Node says that Addr is this node's own: whoever answers there is it, and
	// Hosts learns its certificate. It is empty for a VIP.
	Node string
	// TLS holds the client's certificate, if any; nil is none. What matters for
	// measuring (version, key exchange, resumption, verification) is overruled.
	TLS *tls.Config
	// Authenticated says that TLS holds credentials that /readyz takes, so that
	// 401 and 403 are failures. Without it they mean that an apiserver answered,
	// which is good; Talos turns anonymous requests off.
	Authenticated bool

	// What all probes share, and the error of making it; prepared guards them.
	prepared sync.Once
	config   *tls.Config
	request  []byte
	err      error
}

// Probe does the handshake and asks for Path, once. The name that it returns is
// the node's whose certificate was shown, also where the answer was no good;
// "" where there was none, or one that Hosts does not know.
func (p *HTTPS) Probe(ctx context.Context) (outage.Result, string) {
	if p.prepared.Do(p.prepare); p.err != nil {
		return outage.Failed, ""
	}
	conn, hangUp, err := dialTLS(ctx, p.Addr, p.config)
	if err != nil {
		return classify(err), ""
	}
	defer hangUp()
	node, known := p.identify(conn.ConnectionState().PeerCertificates)
	if !known {
		return outage.WrongHost, ""
	}
	status, err := p.get(conn)
	if err != nil {
		return classify(err), node
	}
	return p.judge(status), node
}

// get sends the request and returns the answer's status.
func (p *HTTPS) get(conn net.Conn) (int, error) {
	if _, err := conn.Write(p.request); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// judge says what an HTTP status means.
func (p *HTTPS) judge(status int) outage.Result {
	switch status {
	case http.StatusOK:
		return outage.OK
	case http.StatusUnauthorized, http.StatusForbidden:
		if !p.Authenticated {
			return outage.OK
		}
	}
	return outage.BadStatus
}

// prepare makes what all probes share.
func (p *HTTPS) prepare() {
	p.config = p.TLS.Clone()
	if p.config == nil {
		p.config = &tls.Config{}
	}
	p.config.MinVersion, p.config.MaxVersion = tls.VersionTLS13, 0
	// The certificate is compared by its fingerprint instead, which is
	// stricter. The handshake proves the key all the same.
	p.config.InsecureSkipVerify = true
	// One cheap key exchange: the default one with ML-KEM costs a multiple, on
	// both sides, and nothing here needs to stay secret for decades.
	p.config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	p.config.SessionTicketsDisabled, p.config.ClientSessionCache = true, nil
	p.config.NextProtos = nil // HTTP/1.1, which the request is written in

	var text bytes.Buffer
	req, err := http.NewRequest(http.MethodGet, "https://"+p.Addr.String()+cmp.Or(p.Path, "/readyz"), nil)
	if err == nil {
		req.Close = true
		req.Header.Set("User-Agent", "vipctl")
		err = req.Write(&text)
	}
	p.request, p.err = text.Bytes(), err
}

// identify returns the node that a certificate belongs to.
func (p *HTTPS) identify(chain []*x509.Certificate) (string, bool) {
	switch {
	case p.Hosts == nil:
		return p.Node, true
	case len(chain) == 0:
		return "", false
	case p.Node != "":
		p.Hosts.Learn(FingerprintOf(chain[0]), p.Node)
		return p.Node, true
	default:
		return p.Hosts.Name(FingerprintOf(chain[0]))
	}
}
