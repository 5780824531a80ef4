package arp

import (
	"errors"
	"net/netip"
	"testing"
)

// Links of the scenes below.
const (
	lo = iota + 1
	eth0
	eth1
	wg0
	eth2
)

var testLinks = map[int]link{
	lo:   {lo, "lo", nil, "which is the loopback"},
	eth0: {eth0, "eth0", ourHW, ""},
	eth1: {eth1, "eth1", cp1HW, ""},
	wg0:  {wg0, "wg0", nil, "which has no hardware addresses"},
	eth2: {eth2, "eth2", cp2HW, "which is down"},
}

func has(link int, prefix string) address { return address{netip.MustParsePrefix(prefix), link} }
func to(prefix string, link int) route {
	return route{prefix: netip.MustParsePrefix(prefix), link: link}
}
func through(gateway, prefix string, link int) *route {
	r := to(prefix, link)
	r.gateway = gateway
	return &r
}

func TestFindSegment(t *testing.T) {
	from := func(r route, src string) route { r.src = netip.MustParseAddr(src); return r }
	metric := func(r route, m int) route { r.metric = m; return r }
	chosen := func(r route) *route { return &r }
	local := func(r route) *route { r.local = true; return &r }
	tests := map[string]struct {
		addr  string
		scene scene
		link  string
		src   string
		err   string // why not
	}{
		"on the segment of the only link": {"10.5.0.50",
			scene{[]address{has(eth0, "10.5.0.9/24")}, []route{to("10.5.0.0/24", eth0)}, chosen(to("10.5.0.0/24", eth0)), testLinks}, "eth0", "10.5.0.9", ""},
		"the address of that prefix asks, not the link's first": {"10.5.0.50",
			scene{[]address{has(eth0, "192.0.2.1/24"), has(eth0, "10.5.0.9/24")}, []route{from(to("10.5.0.0/24", eth0), "192.0.2.1")}, nil, testLinks}, "eth0", "10.5.0.9", ""},
		"the longer prefix wins": {"10.5.0.50",
			scene{[]address{has(eth0, "10.5.0.9/16"), has(eth1, "10.5.0.8/24")}, []route{to("10.5.0.0/16", eth0), to("10.5.0.0/24", eth1)}, nil, testLinks}, "eth1", "10.5.0.8", ""},
		"of two links on one segment the one with the lower metric": {"10.5.0.50",
			scene{[]address{has(eth0, "10.5.0.9/24"), has(eth1, "10.5.0.8/24")}, []route{metric(to("10.5.0.0/24", eth0), 600), metric(to("10.5.0.0/24", eth1), 100)}, nil, testLinks}, "eth1", "10.5.0.8", ""},
		"of two links on one segment the one that is up": {"10.5.0.50",
			scene{[]address{has(eth2, "10.5.0.8/24"), has(eth0, "10.5.0.9/24")}, []route{to("10.5.0.0/24", eth2), metric(to("10.5.0.0/24", eth0), 600)}, nil, testLinks}, "eth0", "10.5.0.9", ""},
		"a VPN captures the segment, which is there all the same": {"10.5.0.50",
			scene{[]address{has(eth0, "10.5.0.9/24"), has(wg0, "100.64.0.1/32")}, []route{to("10.5.0.0/24", eth0)}, chosen(to("10.5.0.0/24", wg0)), testLinks}, "eth0", "10.5.0.9", ""},
		"outside every subnet, on a link by a route of its own": {"198.51.100.7",
			scene{[]address{has(eth0, "10.5.0.9/24")}, nil, chosen(from(to("198.51.100.7/32", eth0), "10.5.0.9")), testLinks}, "eth0", "10.5.0.9", ""},
		"the link has the route only, the kernel says whose address": {"10.5.0.50",
			scene{[]address{has(eth1, "192.0.2.1/24")}, []route{from(to("10.5.0.0/24", eth0), "192.0.2.1")}, nil, testLinks}, "eth0", "192.0.2.1", ""},
		"IPv6: the link's /128 and a prefix that is on the link": {"fd00::50",
			scene{[]address{has(eth0, "fe80::1/64"), has(eth0, "fd00::9/128")}, []route{to("fd00::/64", eth0)}, nil, testLinks}, "eth0", "fe80::1", ""},

		"this machine has it": {"10.5.0.50",
			scene{[]address{has(eth0, "10.5.0.9/24"), has(eth0, "10.5.0.50/32")}, []route{to("10.5.0.0/24", eth0)}, nil, testLinks}, "", "",
			"this machine itself has 10.5.0.50, on eth0"},
		"this machine answers for the whole prefix": {"10.5.0.50",
			scene{nil, nil, local(to("10.5.0.0/24", lo)), testLinks}, "", "",
			"this machine itself has 10.5.0.50, on lo"},
		"behind a router": {"10.5.0.50",
			scene{[]address{has(eth0, "10.6.0.9/24")}, nil, through("10.6.0.1", "0.0.0.0/0", eth0), testLinks}, "", "",
			"10.5.0.50 is not on a segment of this machine (it is reached through 10.6.0.1)"},
		"no route": {"10.5.0.50",
			scene{[]address{has(eth0, "10.6.0.9/24")}, nil, nil, testLinks}, "", "",
			"10.5.0.50 is not on a segment of this machine (no route leads there)"},
		"over a tunnel": {"10.5.0.50",
			scene{[]address{has(wg0, "10.5.0.9/24")}, []route{to("10.5.0.0/24", wg0)}, nil, testLinks}, "", "",
			"10.5.0.50 is not on a segment of this machine (it is reached over wg0, which has no hardware addresses)"},
		"the cable is out": {"10.5.0.50",
			scene{[]address{has(eth2, "10.5.0.9/24")}, []route{to("10.5.0.0/24", eth2)}, nil, testLinks}, "", "",
			"10.5.0.50 is not on a segment of this machine (it is reached over eth2, which is down)"},
		"only a default route without a router": {"10.5.0.50",
			scene{[]address{has(eth0, "10.6.0.9/24")}, []route{to("0.0.0.0/0", eth0)}, chosen(to("0.0.0.0/0", eth0)), testLinks}, "", "",
			"10.5.0.50 is not on a segment of this machine (only the default route leads there, over eth0)"},
		"the link has no address": {"10.5.0.50",
			scene{nil, []route{to("10.5.0.0/24", eth0)}, nil, testLinks}, "", "",
			"10.5.0.50 is not on a segment of this machine (eth0 has no address to ask from)"},
	}
	for name, tt := range tests {
		got, err := tt.scene.find(netip.MustParseAddr(tt.addr))
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: find(%s) = %v, %v; want %s", name, tt.addr, got, err, tt.err)
			}
			continue
		}
		if err != nil || got.link.name != tt.link || got.src != netip.MustParseAddr(tt.src) {
			t.Errorf("%s: find(%s) = %s from %v, %v; want %s from %s", name, tt.addr, got.link.name, got.src, err, tt.link, tt.src)
		}
	}
}

func TestErrorsCanBeToldApart(t *testing.T) {
	err := error(&CapabilityError{errors.ErrUnsupported})
	if !errors.Is(err, errors.ErrUnsupported) || err.Error() != "needs CAP_NET_RAW" {
		t.Errorf("CapabilityError = %v; want its text, around its cause", err)
	}
}
