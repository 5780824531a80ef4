package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/vip"
)

// here is where the questions were asked from that were not put to a node.
const here = "here"

// asked says whether anybody tried to learn the fact.
func asked[T any](fact Seen[T]) bool { return fact.known || fact.err != "" }

// holding names the nodes that have the address by their own word.
func (s *Snapshot) holding(addr netip.Addr) []string {
	var names []string
	for i := range s.Nodes {
		if s.Nodes[i].Holds(addr).Value() != "" {
			names = append(names, s.Nodes[i].Name)
		}
	}
	return names
}

// certificateClaims compares the certificate that the VIP shows with each
// node's own; where nobody speaks TLS on its port 6443, those of apid.
func (s *Snapshot) certificateClaims(v *VIP) []vip.Claim {
	if !asked(v.APIServer) && !asked(v.Apid) {
		return nil
	}
	claim := vip.Claim{Witness: vip.Certificate, From: here}
	server, apid := v.APIServer.Value().Certificate.Fingerprint, v.Apid.Value().Fingerprint
	holders := s.holding(v.Addr)
	switch {
	case server != "":
		claim = s.whose(claim, holders, "the certificate", server, func(n *Node) (bool, bool) {
			own := n.APIServer.Value().Certificate.Fingerprint
			return own == server && s.AnswersAs(n, v.APIServer.Value().Certificate), own != ""
		})
		claim = s.fromHere(v, claim)
	case apid != "":
		claim = s.whose(claim, holders, "apid's certificate", apid, func(n *Node) (bool, bool) {
			own := n.Apid.Value().Fingerprint
			return own == apid && s.AnswersAs(n, v.Apid.Value()), own != ""
		})
		claim = s.fromHere(v, claim)
	case asked(v.APIServer):
		claim.Err = cmp.Or(v.APIServer.Err(), v.APIServer.Value().Error, "no certificate was shown")
	default:
		claim.Err = cmp.Or(v.Apid.Err(), "no certificate was shown")
	}
	return []vip.Claim{claim}
}

// arpClaims are a claim for each hardware address that answered. That none did
// is silence: one lost frame proves nothing.
func (s *Snapshot) arpClaims(v *VIP) []vip.Claim {
	claim := vip.Claim{Witness: vip.ARP, From: here}
	replies, ok := v.ARP.Get()
	switch {
	case !asked(v.ARP):
		return nil
	case !ok:
		claim.Err = v.ARP.Err()
		return []vip.Claim{claim}
	case len(replies) == 0:
		claim.Err = "nobody answered on the wire"
		return []vip.Claim{claim}
	}
	claims, holders := make([]vip.Claim, 0, len(replies)), s.holding(v.Addr)
	for _, r := range replies {
		claims = append(claims, s.hardware(claim, holders, r.HardwareAddr))
	}
	return s.onWire(v, claims)
}

// neighbourClaims are none where the table says nothing, for on a healthy
// machine it seldom does: that is no witness that could not be asked.
func (s *Snapshot) neighbourClaims(v *VIP) []vip.Claim {
	claim := vip.Claim{Witness: vip.Neighbour, From: here}
	entry, ok := v.Neighbour.Get()
	switch {
	case !asked(v.Neighbour):
		return nil
	case !ok:
		claim.Err = v.Neighbour.Err()
		return []vip.Claim{claim}
	case !entry.InUse():
		return nil
	default:
		// A memory shows no second owner.
		return []vip.Claim{s.fromHere(v, s.hardware(claim, nil, entry.HardwareAddr))}
	}
}

// hardware names the node that has a hardware address on any link. One that does
// not tell its links is known by where this machine's frames for it go.
func (s *Snapshot) hardware(claim vip.Claim, holders []string, hw string) vip.Claim {
	return s.whose(claim, holders, "hardware address "+hw, hw, func(n *Node) (bool, bool) {
		links, ok := n.Links.Get()
		if !ok {
			return strings.EqualFold(n.Neighbour.Value().HardwareAddr, hw), false
		}
		return slices.ContainsFunc(links, func(l Link) bool { return strings.EqualFold(l.HardwareAddr, hw) }), true
	})
}

// electionClaims are what etcd on each node tells: the first in the queue was
// elected. The members answer one after the other, each from a quorum, so that
// in a handover one may tell what another no longer does: the newest revision
// speaks, and an older view that names somebody else is silent.
func (s *Snapshot) electionClaims(v *VIP) []vip.Claim {
	newest, _ := v.newestElection()
	claims, holders := make([]vip.Claim, 0, len(v.Elections)), s.holding(v.Addr)
	for _, view := range v.Elections {
		claim := vip.Claim{Witness: vip.Election, From: view.Node}
		election, ok := view.Election.Get()
		switch {
		case !ok:
			claim.Err = view.Election.Err()
		case election.Revision < newest.Revision && election.first() != newest.first():
			claim.Err = fmt.Sprintf("another member told a newer queue, of revision %d", newest.Revision)
		case len(election.Candidates) > 0:
			claim = s.host(claim, holders, election.Candidates[0].Hostname)
		}
		claims = append(claims, claim)
	}
	return claims
}

// newestElection is the view of the highest revision.
func (v *VIP) newestElection() (newest Election, ok bool) {
	for _, view := range v.Elections {
		if e, known := view.Election.Get(); known && (!ok || e.Revision > newest.Revision) {
			newest, ok = e, true
		}
	}
	return newest, ok
}

// first is the host name of whoever was elected, "" where nobody was.
func (e Election) first() string {
	if len(e.Candidates) == 0 {
		return ""
	}
	return e.Candidates[0].Hostname
}

// host names the node that has a host name.
func (s *Snapshot) host(claim vip.Claim, holders []string, name string) vip.Claim {
	return s.whose(claim, holders, "host "+name, "host "+name, func(n *Node) (bool, bool) {
		own, ok := n.Hostname.Get()
		return cmp.Or(own, n.Name) == name, ok
	})
}

// whose completes the claim of a witness who saw a thing by which a node is
// known: with the one node that it fits; with stranger where it fits none; or
// with an error where that cannot be told, because it fits several, or because
// of some node it is not known, be it one that nobody named. But where it fits none
// of the holders, of which all is known, it is somebody beside them, whoever that
// is: no silence may hide him.
func (s *Snapshot) whose(claim vip.Claim, holders []string, thing, stranger string, fits func(*Node) (fit, known bool)) vip.Claim {
	var bearers, blind []string
	for i := range s.Nodes {
		switch fit, known := fits(&s.Nodes[i]); {
		case fit:
			bearers = append(bearers, s.Nodes[i].Name)
		case !known:
			blind = append(blind, s.Nodes[i].Name)
		}
	}
	if whole, _ := s.Whole(); !whole {
		blind = append(blind, Others)
	}
	switch {
	case len(bearers) == 1:
		claim.Owner = bearers[0]
	case len(bearers) > 1:
		claim.Err = fmt.Sprintf("%s is that of %s", thing, strings.Join(bearers, " and "))
	case len(s.Nodes) == 0:
		claim.Err = fmt.Sprintf("there is no node to compare %s with", thing)
	case len(holders) > 0 && len(blind) > 0 && !slices.ContainsFunc(holders, func(name string) bool { return slices.Contains(blind, name) }):
		claim.Stranger, claim.Perhaps = stranger, blind
	case len(blind) > 0:
		claim.Err = fmt.Sprintf("%s fits no node that answered, and may be that of %s", thing, strings.Join(blind, " or "))
	default:
		claim.Stranger = stranger
	}
	return claim
}
