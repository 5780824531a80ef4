package talos

import (
	"cmp"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// throughProxy says through which proxy the environment leads to a node, "" where
// it is dialled as it is: "the proxy 10.0.0.1:3128 of HTTPS_PROXY". The client
// library's dialer goes by the same variables, NO_PROXY included, so that vipctl
// reaches whom talosctl reaches (machinery v1.13.9 client/dialer/proxy.go).
// Loopback addresses are never reached through one.
func throughProxy(addr netip.AddrPort) string {
	if !addr.IsValid() {
		return ""
	}
	proxy, err := httpproxy.FromEnvironment().ProxyFunc()(&url.URL{Scheme: "https", Host: addr.String()})
	name := "HTTPS_PROXY"
	if os.Getenv(name) == "" {
		name = "https_proxy"
	}
	switch {
	case err != nil: // it is no URL, and nobody is dialled; its text may hold a password
		return "the proxy of " + name
	case proxy == nil:
		return ""
	default:
		return "the proxy " + proxy.Host + " of " + name
	}
}

// refusedByProxy reads "failed to do connect handshake, response: "HTTP/1.1 403
// Forbidden\r\n..."" (the same dialer).
func refusedByProxy(text string) string {
	_, answer, _ := strings.Cut(text, `HTTP/1.`)
	answer, _, _ = strings.Cut(answer, `\`) // it was quoted, once or twice
	_, status, _ := strings.Cut(answer, " ")
	return "refused: HTTP " + cmp.Or(status, "without a status")
}
