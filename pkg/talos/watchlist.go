package talos

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
)

// sightings are the addresses of a node as two sources tell them: a watch, which
// tells every change but may be late, and answers to questions, which are whole
// but were true at some time between question and answer. What one of them has
// told is not taken back by older news from the other.
//
// An address that goes and comes back is another resource under the same ID;
// when it was created tells them apart. The instants are the node's own, whose
// clock may be wrong, so they are compared for being the same only.
type sightings struct {
	present map[resource.ID]sighted
	// gone are resources that an answer has shown to be gone, and of which the
	// watch has not told the end yet.
	gone map[resource.ID]time.Time
	// stirred says that the watch has told a change since the last question.
	stirred bool
}

type sighted struct {
	prefix  netip.Prefix
	created time.Time
}

// maxSightings bounds what a node can make a watch of days remember. A node has
// thousands of addresses where kube-proxy uses IPVS.
const maxSightings = 1 << 15

var errTooMany = fmt.Errorf("the node has told of more than %d addresses", maxSightings)

// tooMany says whether it is time to begin anew.
func (s *sightings) tooMany() bool { return len(s.present)+len(s.gone) > maxSightings }

func newSightings() *sightings {
	return &sightings{present: map[resource.ID]sighted{}, gone: map[resource.ID]time.Time{}}
}

// apply takes what the watch told and says whether it changed the addresses.
func (s *sightings) apply(e state.Event) (bool, error) {
	switch e.Type {
	case state.Created, state.Updated:
		r, ok := e.Resource.(*network.AddressStatus)
		if !ok {
			return false, fmt.Errorf("the watch brought a %T", e.Resource)
		}
		if at, known := s.gone[r.Metadata().ID()]; known && at.Equal(r.Metadata().Created()) {
			return false, nil
		}
		return s.stir(s.add(r)), nil
	case state.Destroyed:
		if e.Resource == nil {
			return false, errors.New("the watch lost an address without a name")
		}
		return s.stir(s.remove(e.Resource.Metadata())), nil
	case state.Errored:
		return false, e.Error
	default: // bookmarks, and what a newer Talos may send
		return false, nil
	}
}

func (s *sightings) stir(changed bool) bool {
	s.stirred = s.stirred || changed
	return changed
}

func (s *sightings) add(r *network.AddressStatus) bool {
	id, now := r.Metadata().ID(), sighted{sound(r.TypedSpec().Address), r.Metadata().Created()}
	old, had := s.present[id]
	s.present[id] = now
	return !had || old.prefix != now.prefix
}

// remove is for the end of one resource; another of the same ID stays.
func (s *sightings) remove(md *resource.Metadata) bool {
	if at, known := s.gone[md.ID()]; known && at.Equal(md.Created()) {
		delete(s.gone, md.ID())
	}
	old, had := s.present[md.ID()]
	if !had || !old.created.Equal(md.Created()) {
		return false
	}
	delete(s.present, md.ID())
	return true
}

// asked notes that a question is on its way.
func (s *sightings) asked() { s.stirred = false }

// answered takes the answer to the last question and says whether it changed the
// addresses. Where the watch has told a change meanwhile, it is at work, and may
// know better than the answer.
func (s *sightings) answered(list []*network.AddressStatus) bool {
	if s.stirred {
		return false
	}
	changed, listed := false, map[resource.ID]bool{}
	for _, r := range list {
		listed[r.Metadata().ID()] = true
		changed = s.add(r) || changed
	}
	for id, old := range s.present {
		if !listed[id] {
			delete(s.present, id)
			s.gone[id] = old.created
			changed = true
		}
	}
	return changed
}

// prefixes are the addresses present, in order.
func (s *sightings) prefixes() []netip.Prefix {
	out := make([]netip.Prefix, 0, len(s.present))
	for _, one := range s.present {
		out = append(out, one.prefix)
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
