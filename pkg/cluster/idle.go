package cluster

import (
	"cmp"
	"slices"
)

// Idle is a node that does not campaign, as it says, and the key that it has in
// a queue nevertheless: a ghost, unless the node came or went while it and etcd
// were asked.
type Idle struct{ Node, Key string }

// Idle returns them for all VIPs, in the order of their keys.
func (s *Snapshot) Idle() []Idle {
	var idle []Idle
	for _, v := range s.VIPs {
		for _, q := range s.Queue(v.Addr) {
			n := s.Node(q.Node)
			if n == nil {
				continue
			}
			if links, ok := n.Campaigns.Get(); ok && len(links) == 0 {
				idle = append(idle, Idle{n.Name, q.Key})
			}
		}
	}
	slices.SortFunc(idle, func(a, b Idle) int { return cmp.Compare(a.Key, b.Key) })
	return idle
}

// ToldElection says that etcd on the node told of any VIP's election.
func (s *Snapshot) ToldElection(node string) bool {
	return slices.ContainsFunc(s.VIPs, func(v VIP) bool {
		return slices.ContainsFunc(v.Elections, func(e ElectionView) bool { return e.Node == node && e.Election.Known() })
	})
}

// Renew puts the views of a later snapshot of the same VIPs in the place of its
// own, and says whether there was one of each VIP. A later view that failed does
// not take away what was known.
func (s *Snapshot) Renew(later *Snapshot) bool {
	whole := true
	for i := range s.VIPs {
		own, renewed := s.VIPs[i].Elections, false
		for _, view := range later.VIPs[i].Elections {
			j := slices.IndexFunc(own, func(e ElectionView) bool { return e.Node == view.Node })
			if j >= 0 && view.Election.Known() {
				own[j], renewed = view, true
			}
		}
		whole = whole && renewed
	}
	return whole
}
