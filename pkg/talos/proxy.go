package talos

import (
	"net/netip"
	"net/url"
	"os"

	"golang.org/x/net/http/httpproxy"
)

// throughProxy says through which proxy the environment leads to a node, "" where
// it is dialled as it is: "the proxy 10.0.0.1:3128 of HTTPS_PROXY". talosctl's
// dialer goes by the same variables, NO_PROXY included, so that vipctl reaches
// whom talosctl reaches (machinery v1.13.9 client/dialer/proxy.go).
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
