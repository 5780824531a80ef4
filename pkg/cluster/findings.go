package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/vip"
)

// Findings returns what is wrong with the VIP beside the verdict on it, which
// stands: an owner whose kernel keeps the address off, whom nobody here reaches by
// it, or whose kube-apiserver does not serve; and ghosts in the queue. They come in
// the order of their weight, to be appended to the verdict's own. Where nodes are
// reached through a proxy, that nobody answers here is no finding.
func (s *Snapshot) Findings(addr netip.Addr, verdict vip.Verdict) []vip.Finding {
	var duplicate, unreachable, serving []vip.Finding
	for _, name := range verdict.Owners {
		if n := s.Node(name); n != nil {
			duplicate = append(duplicate, n.duplicate(addr)...)
			if server := n.APIServer.Value(); s.AnswersAs(n, server.Certificate) {
				serving = append(serving, n.notServing()...)
			}
			if v := s.vip(addr); v != nil && verdict.Ownership == vip.Owned && !s.Forwarded {
				unreachable = append(unreachable, n.unreachable(v)...)
			}
		}
	}
	return slices.Concat(duplicate, unreachable, serving, s.ghosts(addr))
}

// duplicate is for an IPv6 address that the kernel has on a link and does not
// use, because another machine answered when it looked for duplicates.
func (n *Node) duplicate(addr netip.Addr) []vip.Finding {
	for _, a := range n.Addresses.Value() {
		if a.Prefix.Addr() == addr && strings.Contains(a.Flags, "dadfailed") {
			return []vip.Finding{{Trouble: vip.DuplicateAddress, Node: n.Name,
				Text: fmt.Sprintf("duplicate address: %s has the address on %s, and its kernel does not use it, for another machine has it too", n.Name, a.Link)}}
		}
	}
	return nil
}

// unreachable is for an owner on whose VIP nobody answers from here, neither
// kube-apiserver nor apid, while one of them answers on the node's own address,
// or while other nodes reach it.
func (n *Node) unreachable(v *VIP) []vip.Finding {
	shown := func(server Seen[APIServer], apid Seen[Certificate]) bool {
		return server.Value().Certificate.Fingerprint != "" || apid.Value().Fingerprint != ""
	}
	var how string
	switch {
	case !asked(v.APIServer), shown(v.APIServer, v.Apid):
		return nil
	case shown(n.APIServer, n.Apid):
		how = "answers on its own"
	case n.ViaReason != "":
		how = "is reached by other nodes"
	default:
		return nil
	}
	text := fmt.Sprintf("unreachable: %s has the address and %s, but nobody answers on %s from here", n.Name, how, v.Addr)
	if n.outside(v.Addr) {
		text += ": it has no other address in that subnet, which vipctl doctor judges"
	}
	return []vip.Finding{{Trouble: vip.Unreachable, Node: n.Name, Text: text}}
}

// outside says that no other address of the node has the VIP in its subnet, as
// where the node is behind a router. An IPv6 subnet may be known from router
// advertisements alone.
func (n *Node) outside(addr netip.Addr) bool {
	addresses, ok := n.Addresses.Get()
	return ok && addr.Is4() && !slices.ContainsFunc(addresses, func(a Address) bool {
		return a.Prefix.Addr() != addr && !a.Prefix.IsSingleIP() && a.Prefix.Contains(addr)
	})
}

// notServing is for an owner whose kube-apiserver was asked and is not ready.
// Talos lets it keep the VIP. Where the node itself was not reached from here,
// the silence of its server tells nothing.
func (n *Node) notServing() []vip.Finding {
	server, ok := n.APIServer.Get()
	var why string
	switch {
	case !ok, server.HandshakeOnly(), !server.Answered && n.Via != "":
		return nil
	case !server.Answered && server.Error != "":
		why = "does not answer: " + server.Error
	case !server.Answered:
		why = "does not answer"
	case server.Status >= 500:
		why = fmt.Sprintf("is not ready: HTTP %d", server.Status)
	default:
		return nil
	}
	return []vip.Finding{{Trouble: vip.OwnerNotServing, Node: n.Name,
		Text: fmt.Sprintf("owner not serving: %s has the address, and its kube-apiserver %s", n.Name, why)}}
}

func (s *Snapshot) ghosts(addr netip.Addr) []vip.Finding {
	var found []vip.Finding
	for _, q := range s.Queue(addr) {
		if q.Ghost != "" {
			found = append(found, vip.Finding{Trouble: vip.Ghost, Node: q.Node,
				Text: fmt.Sprintf("ghost in the queue: %s, and the key %s is there%s", q.Ghost, q.Key, q.passes())})
		}
	}
	return found
}
