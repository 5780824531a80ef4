package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

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
// The queue and the nodes were asked side by side. A node that joined or let go
// meanwhile looks like a ghost, unless those that do were asked again: see Idle.
func (s *Snapshot) Queue(addr netip.Addr) []Queued {
	v := s.vip(addr)
	if v == nil {
		return nil
	}
	election, ok := v.newestElection()
	if !ok {
		return nil
	}
	queue := make([]Queued, len(election.Candidates))
	keys := map[string][]int{} // where in the queue each node's keys are
	for i, c := range election.Candidates {
		claim := s.host(vip.Claim{}, nil, c.Hostname)
		queue[i] = Queued{Candidate: c, Node: claim.Owner}
		switch {
		case c.Lease == "0":
			queue[i].Ghost = "it has no lease, so nobody keeps it"
		case claim.Stranger != "":
			queue[i].Ghost = claim.Stranger + " is no node of the cluster"
		}
		keys[claim.Owner] = append(keys[claim.Owner], i)
	}
	for name, places := range keys {
		if n := s.Node(name); n != nil {
			s.markGhosts(queue, n, addr, places)
		}
	}
	return queue
}

// markGhosts finds the ghosts among the keys of one node. A candidate has a
// finalizer on its KubeletLifecycle from before it writes its key until after
// that is deleted (Talos v1.13.9
// internal/app/machined/pkg/controllers/network/operator/vip.go).
func (s *Snapshot) markGhosts(queue []Queued, n *Node, addr netip.Addr, places []int) {
	why := ""
	switch links, ok := n.Campaigns.Get(); {
	case ok && len(links) == 0:
		why = n.Name + " does not campaign"
	case s.noMember(n):
		why = n.Name + " is no member of etcd"
	}
	own := ownKey(n, addr, places)
	for _, i := range places {
		other := ""
		if i != own {
			other = fmt.Sprintf("%s has %d keys, and campaigns with another one", n.Name, len(places))
		}
		queue[i].Ghost = cmp.Or(queue[i].Ghost, why, other)
	}
}

// ownKey is the place of the key that the node campaigns with: it queues up at
// the end, so the last; but the first of the queue, where it has the address,
// for by that it was elected.
func ownKey(n *Node, addr netip.Addr, places []int) int {
	if places[0] == 0 && n.Holds(addr).Value() != "" {
		return 0
	}
	return places[len(places)-1]
}

// noMember says that another node knows etcd's members, and none that does
// counts this one among them. Its own word does not matter: a member that was
// removed, or that was bootstrapped into a cluster of its own, has a list that it
// is in. Without a member of its own a node cannot keep its lease alive, for
// Talos asks the etcd on the node itself.
func (s *Snapshot) noMember(n *Node) bool {
	host := "//" + strings.TrimSuffix(netip.AddrPortFrom(n.Addr, 0).String(), "0") // 10.5.0.2 is no part of 10.5.0.20
	is := func(m Member) bool {
		return m.ID == n.Etcd.Value().MemberID || m.Hostname == n.Name || m.Hostname == n.Hostname.Value() ||
			slices.ContainsFunc(slices.Concat(m.PeerURLs, m.ClientURLs), func(u string) bool { return strings.Contains(u, host) })
	}
	listed := false
	for i := range s.Nodes {
		members := s.Nodes[i].Members.Value()
		if s.Nodes[i].Name == n.Name || len(members) == 0 {
			continue
		}
		if slices.ContainsFunc(members, is) {
			return false
		}
		listed = true
	}
	return listed
}

// passes says that a ghost goes by itself, and when, as far as that is known. Talos
// keeps a lease alive each third of its time (clientv3 of etcd v3.6.12, lease.go), so
// that one with less than two thirds of it left, and two seconds for what is rounded
// and late, is kept by nobody.
func (q *Queued) passes() string {
	left, knowsLeft := q.Remaining.Get()
	ttl, knowsTTL := q.TTL.Get()
	switch {
	case q.Lease == "0":
		return ""
	case !knowsLeft || !knowsTTL:
		return "; it passes when its lease has run out"
	case left < ttl*2/3-2:
		return fmt.Sprintf("; it passes by itself in %.0f s, when its lease has run out", left)
	default:
		return fmt.Sprintf("; it passes by itself in %.0f s, when its lease has run out, unless somebody keeps that alive", left)
	}
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
