package report

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// TestLackingRight: for which right the wire was not asked is said in one line,
// however many VIPs there are, also where all is well; that it is another segment is
// no news then.
func TestLackingRight(t *testing.T) {
	s := someCluster()
	s.Nodes = s.Nodes[:2]
	other := netip.MustParseAddr("2001:db8::50")
	s.VIPs = append(s.VIPs, cluster.VIP{Addr: other})
	document := func(verdict vip.Ownership, reason string) *Ownership {
		claims := append(s.Claims(someVIP), vip.Claim{Witness: vip.ARP, From: "here", Err: reason})
		v := vip.Verdict{Ownership: verdict, Owners: []string{"cp-1"}, Reason: "cp-1 holds the address"}
		return NewOwnership(s, Judged{VIP: someVIP, Claims: claims, Verdict: v}, Judged{VIP: other, Claims: claims, Verdict: v})
	}
	const lacking, elsewhere = "needs CAP_NET_RAW", "192.0.2.50 is not on a segment of this machine"
	for _, tt := range []struct {
		name     string
		doc      any
		format   string
		why      string
		mentions int
	}{
		{"all is well", document(vip.Owned, lacking), Table, lacking, 1},
		{"all is well, on another segment", document(vip.Owned, elsewhere), Table, elsewhere, 0},
		{"both are disputed", document(vip.Disputed, lacking), Table, lacking, 2},
		{"both are disputed, on another segment", document(vip.Disputed, elsewhere), Table, elsewhere, 2},
		{"each witness has a row of its own", document(vip.Owned, lacking), Wide, lacking, 2},
		{"several contexts, of which all are well", NewOwnershipList(someItems(document(vip.Owned, lacking))), Table, lacking, 0},
	} {
		table := written(t, Style{}, tt.format, tt.doc)
		if got := strings.Count(table, tt.why); got != tt.mentions || !strings.Contains(table, "arp 0/1") {
			t.Errorf("%s:\n%s; want arp 0/1, and %q %d times", tt.name, table, tt.why, tt.mentions)
		}
		if got := strings.Count(table, "not asked: arp from here: "+tt.why); tt.format == Table && got != tt.mentions {
			t.Errorf("%s:\n%s; want to read %d times that arp was not asked", tt.name, table, tt.mentions)
		}
	}
}

// TestLinkOfTheOnlyHolder: the link that carries the VIP is told whatever the verdict,
// where one node holds it; it makes nobody the owner.
func TestLinkOfTheOnlyHolder(t *testing.T) {
	s := someCluster()
	for _, tt := range []struct {
		verdict     vip.Ownership
		owners      []string
		owner, link string
	}{
		{vip.Owned, []string{"cp-1"}, "cp-1", "eth0"},
		{vip.Disputed, []string{"cp-1"}, "", "eth0"},
		{vip.Disputed, []string{"cp-2"}, "", ""}, // named by others, and does not have it itself
		{vip.SplitBrain, []string{"cp-1", "cp-2"}, "", ""},
		{vip.Unknown, nil, "", ""},
	} {
		v := NewOwnership(s, Judged{VIP: someVIP, Verdict: vip.Verdict{Ownership: tt.verdict, Owners: tt.owners}}).VIPs[0]
		if v.Owner != tt.owner || v.Link != tt.link {
			t.Errorf("%v by %q: owner %q on link %q; want %q on %q", tt.verdict, tt.owners, v.Owner, v.Link, tt.owner, tt.link)
		}
	}
}
