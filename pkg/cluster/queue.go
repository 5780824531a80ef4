package cluster

import (
	"fmt"
	"net/netip"

	"github.com/vipctl/vipctl/pkg/vip"
)

// Queued is a key in the queue for a VIP, and what is known of whoever wrote it.
type Queued struct {
	Candidate
	// Node is the node whose host name it carries, "" where that fits none or
	// several.
	Node string
	// Ghost says why nobody campaigns with the key; "" where somebody may. A
	// ghost holds up all who queue behind it for as long as its lease lasts.
	Ghost string
}

// Queue returns the queue for the VIP as the view of the highest revision tells
// it, with its ghosts marked; nil where no view is known.
//
// The queue and the nodes were asked one after the other. A node that let go in
// between may look like a ghost: see vip.ResampleAfter.
func (s *Snapshot) Queue(addr netip.Addr) []Queued {
	election, ok := s.latestElection(addr)
	if !ok {
		return nil
	}
	queue := make([]Queued, 0, len(election.Candidates))
	keys := map[string]int{} // of each node
	for _, c := range election.Candidates {
		q := Queued{Candidate: c}
		claim := s.host(vip.Claim{}, c.Hostname)
		q.Node = claim.Owner
		if claim.Stranger != "" {
			q.Ghost = claim.Stranger + " is no node of the cluster"
		}
		keys[q.Node]++
		queue = append(queue, q)
	}
	nth := map[string]int{}
	for i := range queue {
		q := &queue[i]
		if n := s.Node(q.Node); n != nil {
			nth[q.Node]++
			q.Ghost = n.ghost(addr, nth[q.Node], keys[q.Node])
		}
	}
	return queue
}

// ghost says why the node's nth key of so many is a ghost. The node campaigns
// with the newest, unless it has the address: then it was elected with the
// oldest.
//
// A candidate has a finalizer on its KubeletLifecycle from before it writes its
// key until after that is deleted (Talos v1.13.9
// internal/app/machined/pkg/controllers/network/operator/vip.go).
func (n *Node) ghost(addr netip.Addr, nth, keys int) string {
	own := keys
	if n.Holds(addr).Value() != "" {
		own = 1
	}
	links, ok := n.Campaigns.Get()
	switch {
	case ok && len(links) == 0:
		return n.Name + " does not campaign"
	case nth != own:
		return fmt.Sprintf("%s has %d keys, and campaigns with another one", n.Name, keys)
	default:
		return ""
	}
}

func (s *Snapshot) latestElection(addr netip.Addr) (Election, bool) {
	var latest Election
	found := false
	if v := s.vip(addr); v != nil {
		for _, view := range v.Elections {
			if e, ok := view.Election.Get(); ok && (!found || e.Revision > latest.Revision) {
				latest, found = e, true
			}
		}
	}
	return latest, found
}

// Heir is who takes the VIP when the first in the queue is gone: the next that
// is no ghost, nil where there is none. ghosts are the keys between, or all that
// follow the first.
func Heir(queue []Queued) (heir *Queued, ghosts []Queued) {
	for i := 1; i < len(queue); i++ {
		if queue[i].Ghost == "" {
			return &queue[i], ghosts
		}
		ghosts = append(ghosts, queue[i])
	}
	return nil, ghosts
}
