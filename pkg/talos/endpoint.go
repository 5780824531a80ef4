package talos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// hostPort is an endpoint of a talosconfig, taken apart.
type hostPort struct {
	host string // an address without brackets, or a name
	port uint16
}

// parseEndpoint reads what talosctl accepts: an address or a name, either with
// a port (default 50000), or a URL (https: default 443).
func parseEndpoint(s string) (hostPort, error) {
	rest, port := strings.TrimSpace(s), uint16(constants.ApidPort)
	if u, err := url.Parse(rest); err == nil && u.Host != "" {
		rest = u.Host
		if u.Scheme == "https" {
			port = 443
		}
	}
	host := strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]")
	if h, p, err := net.SplitHostPort(rest); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return hostPort{}, fmt.Errorf("endpoint %q has no valid port", s)
		}
		host, port = h, uint16(n)
	}
	if _, err := netip.ParseAddr(host); err != nil && !isName(host) {
		return hostPort{}, fmt.Errorf("endpoint %q is neither an address nor a name", s)
	}
	return hostPort{host, port}, nil
}

func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// resolve returns the addresses of a host, at least one or an error, in an
// order that does not change from call to call.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsNotFound {
		return nil, fmt.Errorf("%s cannot be resolved: no name server answers", host)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be resolved", host)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortFunc(addrs, func(a, b netip.Addr) int {
		return cmp.Or(a.BitLen()-b.BitLen(), a.Compare(b)) // IPv4 first
	})
	return slices.Compact(addrs), nil
}

// endpoint is one of the talosconfig's endpoints, or nodes.
type endpoint struct {
	name      string
	at        hostPort
	addresses []netip.Addr
	err       error
	node      bool // one of the nodes
}

// parseAll takes the names apart; their addresses are for survey.resolve.
func parseAll(names []string) []endpoint {
	out := make([]endpoint, len(names))
	for i, name := range names {
		out[i].name = name
		out[i].at, out[i].err = parseEndpoint(name)
	}
	return out
}

// snapshotEndpoints are the endpoints, all of them, and the nodes that are called
// by a name.
func snapshotEndpoints(resolved []endpoint) (endpoints, named []cluster.Endpoint) {
	endpoints = []cluster.Endpoint{}
	for _, e := range resolved {
		out := cluster.Endpoint{Name: e.name, Addresses: e.addresses}
		if e.err != nil {
			out.Error = e.err.Error()
		}
		if !e.node {
			endpoints = append(endpoints, out)
		} else if _, err := netip.ParseAddr(e.at.host); err != nil {
			named = append(named, out)
		}
	}
	return endpoints, named
}
