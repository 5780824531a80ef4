package checks

import (
	"errors"
	"testing"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

func TestSilenceOf(t *testing.T) {
	shown := func(s *cluster.Snapshot) {
		s.VIPs[0].APIServer = cluster.Got(cluster.APIServer{Certificate: cluster.Certificate{Fingerprint: "f9"}})
	}
	for _, tt := range []struct {
		name    string
		witness vip.Witness
		err     string
		edit    func(*cluster.Snapshot)
		want    Silence
	}{
		{"a claim", vip.Address, "", nil, ""},
		{"a node that does not answer", vip.Address, "no answer from 10.5.0.2:50000 within 5 s", nil, NoAnswer},
		{"a node that refuses", vip.Address, "not authorized", nil, NoAnswer},
		{"a node of which nobody wanted to know", vip.Address, "not asked", nil, NotAsked},
		{"a port that is closed", vip.Certificate, "connection refused", nil, NoAnswer},
		{"a certificate that may be a silent node's", vip.Certificate, "the certificate fits no node that answered, and may be that of cp-3", shown, Unclear},
		{"nobody on the wire", vip.ARP, "nobody answered on the wire", nil, NoAnswer},
		{"a listening cut short", vip.ARP, "no answer, and cut short after 12 ms: context canceled", nil, NoAnswer},
		{"no right to the wire", vip.ARP, "needs CAP_NET_RAW", nil, NotAsked},
		{"another segment", vip.ARP, "10.5.0.50 is not on a segment of this machine (it is reached through 10.6.0.1)", nil, NotAsked},
		{"no neighbour table", vip.Neighbour, "the neighbour table is read on Linux only, and this is darwin: unsupported operation", nil, NotAsked},
		{"etcd that is down", vip.Election, "etcd on cp-3 (10.5.0.4:2379): connection refused", nil, NoAnswer},
		{"no right to etcd's certificates", vip.Election, "the role of this talosconfig may not read etcd's certificates", nil, NotAsked},
		{"etcd that is behind", vip.Election, "another member told a newer queue, of revision 42", nil, Unclear},
	} {
		s := healthy(3, func(s *cluster.Snapshot) {
			s.VIPs[0] = cluster.VIP{Addr: testVIP, ARP: cluster.Missed[[]cluster.ARPReply](errors.New(tt.err))}
			if tt.edit != nil {
				tt.edit(s)
			}
		})
		if got := SilenceOf(s, testVIP, vip.Claim{Witness: tt.witness, From: "cp-3", Err: tt.err}); got != tt.want {
			t.Errorf("%s: SilenceOf(%q) = %q; want %q", tt.name, tt.err, got, tt.want)
		}
	}
}
