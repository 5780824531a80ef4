package cluster

import (
	"fmt"
	"testing"
)

func TestIdle(t *testing.T) {
	silent := on(2, func(n *Node) { n.Campaigns = Seen[[]string]{} })
	rests := func(i int) change { return on(i, func(n *Node) { n.Campaigns = Got([]string{}) }) }
	for _, tt := range []struct {
		name string
		s    *Snapshot
		want string
	}{
		{"nobody asked etcd", three(rests(2)), "[]"},
		{"all campaign", three(elected("cp-1", "cp-2", "cp-3")), "[]"},
		{"one does not, and has a key", three(elected("cp-1", "cp-2"), rests(2)), "[{cp-2 key-2}]"},
		{"one does not, and has no key", three(elected("cp-1", "cp-2"), rests(3)), "[]"},
		{"one with two keys", three(elected("cp-1", "cp-2", "cp-2"), rests(2)), "[{cp-2 key-2} {cp-2 key-3}]"},
		{"one of which it is not known", three(elected("cp-1", "cp-2"), silent), "[]"},
		{"a host that is no node", three(elected("cp-1", "old")), "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := fmt.Sprint(tt.s.Idle()); got != tt.want {
				t.Errorf("Idle() = %s; want %s", got, tt.want)
			}
		})
	}
}

// TestRenew has a second queue in the place of the first.
func TestRenew(t *testing.T) {
	for _, tt := range []struct {
		name   string
		views  []ElectionView // told later of the VIP that was asked for
		whole  bool
		leader string
	}{
		{"a newer queue", []ElectionView{{Node: "cp-2", Election: Got(Election{Revision: 200, Candidates: []Candidate{{Hostname: "cp-3"}}})}}, true, "cp-3"},
		{"nobody answered", []ElectionView{{Node: "cp-2", Election: Missed[Election](errDown)}}, false, "cp-1"},
		{"nobody was asked", nil, false, "cp-1"},
		{"somebody else answered", []ElectionView{{Node: "cp-9", Election: Got(Election{Revision: 200})}}, false, "cp-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := three(elected("cp-1", "cp-2"), failedView)
			s.VIPs = s.VIPs[1:]
			if got := s.Renew(&Snapshot{VIPs: []VIP{{Addr: theVIP, Elections: tt.views}}}); got != tt.whole {
				t.Errorf("Renew = %t; want %t", got, tt.whole)
			}
			if got := s.Queue(theVIP)[0].Hostname; got != tt.leader || len(s.VIPs[0].Elections) != 2 {
				t.Errorf("the first is %s, of %d views; want %s of two", got, len(s.VIPs[0].Elections), tt.leader)
			}
		})
	}
	s := three(elected("cp-1"), failedView)
	if !s.ToldElection("cp-2") || s.ToldElection("cp-3") || s.ToldElection("cp-1") {
		t.Errorf("ToldElection: want that cp-2 did alone")
	}
}
