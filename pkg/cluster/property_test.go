package cluster

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/vipctl/vipctl/pkg/vip"
)

// TestNoSilenceOfFactsMisleads: whatever facts of whichever nodes could not be
// learned, it makes no VIP unowned, and hides no second holder.
func TestNoSilenceOfFactsMisleads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := three(let, shows("f1"), answeredBy("02:00:00:00:00:02", "02:00:00:00:00:99"), neighbour("02:00:00:00:00:03", "reachable"), elected("cp-3"))
		v := &s.VIPs[1]
		perhaps := func(what string, lose func()) bool {
			lost := rapid.IntRange(0, 2).Draw(t, what) == 0
			if lost {
				lose()
			}
			return lost
		}
		if rapid.Bool().Draw(t, "nobody else was asked") {
			*v = VIP{Addr: theVIP, Elections: []ElectionView{{Node: "cp-1"}}}
		}
		anybody, listing := rapid.Bool().Draw(t, "anybody holds"), rapid.Bool().Draw(t, "anybody lists")
		holders, mute, listed := 0, false, false
		for i := range s.Nodes {
			n := &s.Nodes[i]
			holds := anybody && rapid.Bool().Draw(t, n.Name+" holds")
			if holds {
				carries("10.5.0.50/32", "eth0")(n)
			}
			n.Members = Got([]Member{{ID: "a1", Hostname: "cp-1"}})
			if perhaps(n.Name+" addresses", func() { n.Addresses = Missed[[]Address](errDown) }) {
				mute = true
			} else if holds {
				holders++
			}
			perhaps(n.Name+" links", func() { n.Links = Missed[[]Link](errDown) })
			perhaps(n.Name+" host name", func() { n.Hostname = Missed[string](errDown) })
			perhaps(n.Name+" layers", func() { n.Layers = Missed[[]Layered](errDown) })
			perhaps(n.Name+" server", func() { n.APIServer = Missed[APIServer](errDown) })
			if !listing || !rapid.Bool().Draw(t, n.Name+" lists") {
				n.Members = Missed[[]Member](errDown)
			}
			listed = listed || n.Members.Known()
		}
		perhaps("certificate", func() { v.APIServer = Missed[APIServer](errDown) })
		perhaps("arp", func() { v.ARP = Missed[[]ARPReply](errDown) })
		perhaps("neighbour", func() { v.Neighbour = Missed[Neighbour](errDown) })
		perhaps("election", func() { v.Elections[0].Election = Missed[Election](errDown) })
		got := s.Judge(theVIP)
		switch {
		case holders > 1 && got.Ownership != vip.SplitBrain:
			t.Fatalf("%d nodes hold it: %+v", holders, got)
		case got.Ownership == vip.Unowned && (holders > 0 || mute || !listed):
			t.Fatalf("unowned, with %d holders, a silent node %t, the members listed %t: %+v", holders, mute, listed, got)
		case got.Ownership == vip.Owned && holders != 1:
			t.Fatalf("owned, with %d holders: %+v", holders, got)
		}
	})
}
