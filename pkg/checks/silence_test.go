package checks

import (
	"errors"
	"slices"
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
		{"a listening cut short", vip.ARP, "no answer, and cut short after 12 ms: context canceled", nil, NoAnswer},
		{"no right to the wire", vip.ARP, "needs CAP_NET_RAW", nil, NotAsked},
		{"another segment", vip.ARP, "10.5.0.50 is not on a segment of this machine (it is reached through 10.6.0.1)", nil, NotAsked},
		{"no neighbour table", vip.Neighbour, "the neighbour table is read on Linux only, and this is darwin: unsupported operation", nil, NotAsked},
		{"etcd that is down", vip.Election, "etcd on cp-3 (10.5.0.4:2379): connection refused", nil, NoAnswer},
		{"no right to etcd's certificates", vip.Election, "the role of this talosconfig may not read etcd's certificates", nil, NotAsked},
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

// What the snapshot itself says of a silence is told without its words.
func TestSilenceOfTheSnapshotsClaims(t *testing.T) {
	told := func(revision int64, host string) cluster.Seen[cluster.Election] {
		return cluster.Got(cluster.Election{Revision: revision, Candidates: []cluster.Candidate{{Hostname: host, Lease: "1"}}})
	}
	for _, tt := range []struct {
		name    string
		witness vip.Witness
		edit    func(*cluster.Snapshot)
		want    Silence
	}{
		{"nobody on the wire", vip.ARP, func(s *cluster.Snapshot) { s.VIPs[0].ARP = cluster.Got([]cluster.ARPReply{}) }, NoAnswer},
		{"etcd that is behind", vip.Election, func(s *cluster.Snapshot) {
			s.VIPs[0].Elections = []cluster.ElectionView{{Node: "cp-1", Election: told(42, "cp-1")}, {Node: "cp-2", Election: told(41, "cp-2")}}
		}, Unclear},
		{"a host name of two nodes", vip.Election, func(s *cluster.Snapshot) {
			s.VIPs[0].Elections = []cluster.ElectionView{{Node: "cp-1", Election: told(42, "cp-1")}}
			s.Nodes[1].Hostname = cluster.Got("cp-1")
		}, Unclear},
		{"nobody gave a certificate to ask etcd with", vip.Election, func(s *cluster.Snapshot) {
			s.VIPs[0].Elections = []cluster.ElectionView{{Node: "cp-1", Election: cluster.Missed[cluster.Election](errors.New("no node gave etcd's certificates"))}}
		}, NotAsked},
	} {
		s := healthy(3, func(s *cluster.Snapshot) { s.VIPs[0] = cluster.VIP{Addr: testVIP} }, tt.edit)
		silent := slices.DeleteFunc(s.Claims(testVIP), func(c vip.Claim) bool { return c.Witness != tt.witness || c.Err == "" })
		if len(silent) != 1 {
			t.Errorf("%s: silent claims are %v; want one", tt.name, silent)
			continue
		}
		if got := SilenceOf(s, testVIP, silent[0]); got != tt.want {
			t.Errorf("%s: SilenceOf(%q) = %q; want %q", tt.name, silent[0].Err, got, tt.want)
		}
	}
}
