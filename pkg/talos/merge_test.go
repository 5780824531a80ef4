package talos

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

func answering(addr, server, hostname, memberID string) *visit {
	at := netip.MustParseAddr(addr)
	v := &visit{at: at, target: target{addr: netip.AddrPortFrom(at, 50000), serverName: server}, reply: &reply{}}
	v.reply.node.Reachable = cluster.Got(true)
	v.reply.node.Type = cluster.Got("controlplane")
	v.reply.node.Hostname = cluster.Got(hostname)
	v.reply.memberID = cluster.Got(memberID)
	v.reply.node.NodeIPs = cluster.Got([]netip.Addr{netip.MustParseAddr("10.5.0.2")})
	return v
}

func refusing(addr, server string) *visit {
	at := netip.MustParseAddr(addr)
	t := target{addr: netip.AddrPortFrom(at, 50000), serverName: server}
	v := &visit{at: at, target: t, reply: &reply{}}
	v.reply.miss(plain(errors.New("connection refused"), t, time.Second), questions(Ownership, time.Second))
	return v
}

func TestMachinesOf(t *testing.T) {
	named := refusing("10.5.0.3", "cp.example.com")
	named.named = true
	for _, tt := range []struct {
		name   string
		visits []*visit
		want   string // addresses of the rows
	}{
		{"one member behind two addresses, the own one counts", []*visit{answering("192.0.2.1", "", "cp-1", "a1"), answering("10.5.0.2", "", "cp-1", "a1")}, "[10.5.0.2]"},
		{"two members of one name and one address list stay two", []*visit{answering("10.5.0.2", "", "cp-1", "a1"), answering("192.0.2.1", "", "cp-1", "a2")}, "[10.5.0.2 192.0.2.1]"},
		{"the other address of a name that was reached is nobody", []*visit{answering("127.0.0.1", "localhost", "cp-1", "a1"), refusing("::1", "localhost")}, "[127.0.0.1]"},
		{"but a node where another node says so", []*visit{answering("10.5.0.2", "cp.example.com", "cp-1", "a1"), named}, "[10.5.0.2 10.5.0.3]"},
		{"and a row where nobody of that name answers", []*visit{answering("10.5.0.2", "", "cp-1", "a1"), refusing("::1", "localhost")}, "[10.5.0.2 ::1]"},
		{"a silent VIP is nobody", []*visit{answering("10.5.0.2", "", "cp-1", "a1"), refusing("10.5.0.50", "")}, "[10.5.0.2]"},
	} {
		var got []netip.Addr
		for _, v := range machinesOf(tt.visits, []netip.Addr{vip50}) {
			got = append(got, v.at)
		}
		if addrs(got) != tt.want {
			t.Errorf("%s: machinesOf = %s; want %s", tt.name, addrs(got), tt.want)
		}
	}
}

func TestOverlap(t *testing.T) {
	from := func(first byte, n int) []netip.Addr {
		all := make([]netip.Addr, n)
		for i := range all {
			all[i] = netip.AddrFrom4([4]byte{first, byte(i >> 16), byte(i >> 8), byte(i)})
		}
		return all
	}
	const many = 200_000 // what a node can put into an answer
	for name, tt := range map[string]struct {
		a, b []netip.Addr
		want bool
	}{
		"none":                      {nil, nil, false},
		"none of few":               {from(1, 3), from(2, 3), false},
		"one of few":                {from(1, 3), append(from(2, 3), from(1, 1)...), true},
		"none of many":              {from(1, many), from(2, many), false},
		"one of many":               {from(1, many), append(from(2, many), from(1, 1)...), true},
		"a few and many":            {from(1, 2), append(from(2, many), from(1, 1)...), true},
		"many and a few of another": {from(1, many), from(2, 2), false},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			if got := overlap(tt.a, tt.b); got != tt.want {
				t.Errorf("overlap = %v; want %v", got, tt.want)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("overlap took %v; want it soon", took)
			}
		})
	}
}
