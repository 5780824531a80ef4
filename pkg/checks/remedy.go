package checks

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// remedies say what to do about each kind of trouble, with commands that exist.
// NODE and VIP stand for those of the finding, and NODES for all control-plane
// nodes, with commas. Of two owners a reboot is for one only, so that there
// "talosctl -n NODE reboot" becomes a command for each, to choose from.
var remedies = map[vip.Trouble]string{
	vip.TwoOwners:         "vipctl owner --election shows whom etcd elected; a reboot takes the address off the other: " + reboot,
	vip.NoOwner:           "vipctl etcd shows whether there is a quorum to elect with; talosctl -n NODES logs controller-runtime tells what the VIP operator does",
	vip.ForeignHost:       "find the machine by its hardware address (ip neigh show VIP) and take VIP off it; a load balancer in front of VIP shows its own certificate",
	vip.LeftoverAddress:   "talosctl -n NODE reboot takes it off; until then clients may reach either node",
	vip.StaticAddress:     "talosctl -n NODE edit machineconfig: name VIP as vip.ip or in a Layer2VIPConfig only, not among the addresses of a link",
	vip.StaleARP:          "ip neigh flush to VIP on the machines that still send to NODE, the router first: Linux drops an entry that nobody answers for within a minute, a router may keep it for hours",
	vip.ProxyARP:          "talosctl -n NODE read /proc/sys/net/ipv4/conf/all/proxy_arp, and the same of each link and of arp_ignore, tells role os:admin what makes it answer for others",
	vip.AnsweredElsewhere: "ip neigh flush to VIP on this machine; where a load balancer or a route leads to VIP, look from the nodes' own segment",
	vip.OwnerWithoutKey:   "vipctl owner --election shows the queue, and vipctl etcd whether NODE is still a member; talosctl -n NODE reboot takes the address off it",
	vip.KeyWithoutOwner:   "vipctl owner --election shows what is left of its lease; talosctl -n NODE logs controller-runtime tells why it did not take VIP",
	vip.DuplicateAddress:  "find the other machine that has VIP (ip neigh show VIP) and take it off; then, where etcd has a quorum, talosctl -n NODE service kubelet restart lets another node take VIP",
	vip.Unreachable:       "vipctl owner from another machine tells whether it is the way from here; a switch or hypervisor that guards addresses (port security, IP source guard, ARP inspection) must let NODE send from VIP",
	vip.OwnerNotServing:   "talosctl -n NODE containers -k shows its kube-apiserver; talosctl -n NODE service kubelet restart hands VIP to the next node, but without quorum (vipctl etcd) to none",
	vip.Ghost:             "wait and look again: vipctl owner --election shows what is left of its lease; until that has run out it holds up whoever is behind it",
}

const reboot = "talosctl -n NODE reboot"

// Remedy is what to do about a finding of a verdict on the VIP addr. Nodes are named
// by their addresses where those are known, as talosctl takes them. Where the
// origin of their addresses, or the election, tells which of two owners is the
// wrong one, only that one is named: a reboot of the other takes a good owner away,
// and an address that the configuration gives outlasts one.
func Remedy(s *cluster.Snapshot, f vip.Finding, addr netip.Addr, v vip.Verdict) string {
	if f.Trouble == vip.TwoOwners {
		return splitBrainHint(s, addr, v)
	}
	return remedy(s, f, addr, v.Owners)
}

// remedy is that of one finding by itself. owners are those who have the VIP.
func remedy(s *cluster.Snapshot, f vip.Finding, addr netip.Addr, owners []string) string {
	text, node := remedies[f.Trouble], reached(s, f.Node)
	if node == "" { // the finding is on no single one
		var each, all []string
		for i := range s.Nodes {
			n := &s.Nodes[i]
			all = append(all, reached(s, n.Name))
			// Where only one of two is left in sight, the other is among the silent.
			if slices.Contains(owners, n.Name) || len(owners) < 2 && !n.Addresses.Known() {
				each = append(each, strings.ReplaceAll(reboot, "NODE", reached(s, n.Name)))
			}
		}
		node = strings.Join(all, ",")
		text = strings.ReplaceAll(text, reboot, strings.Join(each, " or "))
	}
	return strings.NewReplacer("NODES", node, "NODE", node,
		"VIP operator", "VIP operator", "Layer2VIPConfig", "Layer2VIPConfig", // no address in these
		"VIP", addr.String()).Replace(text)
}

// reached is how talosctl takes a node: by its address where that is known.
func reached(s *cluster.Snapshot, name string) string {
	if n := s.Node(name); n != nil && n.Addr.IsValid() {
		return n.Addr.String()
	}
	return name
}
