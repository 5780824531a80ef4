package commands

import (
	"context"
	"sync"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/talos"
)

// sighting is a node gaining or losing the VIP, as its Talos API told it.
type sighting struct {
	Node  string
	At    time.Duration // on the run's clock
	Holds bool
}

// sightings are what the watches of all nodes saw of the VIP in one drill.
type sightings struct {
	mu   sync.Mutex // guards list
	list []sighting
	wg   sync.WaitGroup
}

// watch follows the addresses of every node until ctx ends.
func (r *failoverRun) watch(ctx context.Context, snap *cluster.Snapshot) *sightings {
	s := &sightings{}
	for _, n := range snap.Nodes {
		s.wg.Go(func() {
			holds, blind := n.Holds(r.vip).Value() != "", false
			_ = r.look.talos.WatchAddresses(ctx, n.Name, func(c talos.AddressChange) { // errs for an unknown node only
				wasBlind := blind
				if blind = c.Gap != nil; blind || c.Holds(r.vip) == holds {
					return
				}
				holds = !holds
				if holds || !wasBlind { // what went while nobody looked went at no known instant
					s.add(sighting{Node: n.Name, At: c.At.Sub(r.clock.Start), Holds: holds})
				}
			})
		})
	}
	return s
}

func (s *sightings) add(one sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, one)
}

func (s *sightings) wait() { s.wg.Wait() }

// lastGain is the node that gained the VIP last, "" where none did.
func (s *sightings) lastGain() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	node := ""
	for _, one := range s.list {
		if one.Holds {
			node = one.Node
		}
	}
	return node
}

// lost is when the node was first seen without the VIP from an instant on;
// gained is when any other node was first seen with it.
func (s *sightings) lost(node string, from time.Duration) (time.Duration, bool) {
	return s.first(func(one sighting) bool { return one.Node == node && !one.Holds && one.At >= from })
}

func (s *sightings) gained(notBy string, from time.Duration) (time.Duration, bool) {
	return s.first(func(one sighting) bool { return one.Node != notBy && one.Holds && one.At >= from })
}

func (s *sightings) first(match func(sighting) bool) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.list {
		if match(one) {
			return one.At, true
		}
	}
	return 0, false
}
