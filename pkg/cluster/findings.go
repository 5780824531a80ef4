package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/vip"
)

// Findings returns what is wrong with the VIP beside the verdict on it, which
// stands: an owner whose kernel keeps the address off, or whose kube-apiserver
// does not serve; and ghosts in the queue. In the order of their weight, to be
// appended to the verdict's own.
func (s *Snapshot) Findings(addr netip.Addr, verdict vip.Verdict) []vip.Finding {
	var duplicate, serving []vip.Finding
	for _, name := range verdict.Owners {
		if n := s.Node(name); n != nil {
			duplicate = append(duplicate, n.duplicate(addr)...)
			serving = append(serving, n.notServing()...)
		}
	}
	return slices.Concat(duplicate, serving, s.ghosts(addr))
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

// notServing is for an owner whose kube-apiserver was asked and is not ready.
// Talos lets it keep the VIP.
func (n *Node) notServing() []vip.Finding {
	server, ok := n.APIServer.Get()
	var why string
	switch {
	case !ok, server.HandshakeOnly():
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
				Text: fmt.Sprintf("ghost in the queue: %s, and the key %s is there", q.Ghost, q.Key)})
		}
	}
	return found
}
