package checks

import (
	"cmp"
	"strings"

	"github.com/vipctl/vipctl/pkg/vip"
)

// remedies say what to do about each kind of trouble, with commands that exist.
// NODE and VIP stand for those of the finding.
var remedies = map[vip.Trouble]string{
	vip.TwoOwners:         "vipctl owner --election shows whom etcd elected; talosctl -n NODE reboot on the other takes the address off it",
	vip.NoOwner:           "vipctl etcd shows whether there is a quorum to elect with; talosctl -n NODE logs controller-runtime tells what the VIP operator does",
	vip.ForeignHost:       "find the machine by its hardware address (ip neigh show VIP) and take VIP off it; a load balancer in front of VIP shows its own certificate",
	vip.LeftoverAddress:   "talosctl -n NODE reboot takes it off; until then clients may reach either node",
	vip.StaticAddress:     "talosctl -n NODE edit machineconfig: name VIP as vip.ip or in a Layer2VIPConfig only, not among the addresses of a link",
	vip.StaleARP:          "ip neigh flush to VIP on the machines that still send to NODE, the router first: Linux drops an entry that nobody answers for within a minute, a router may keep it for hours",
	vip.ProxyARP:          "talosctl -n NODE get sysctls shows what makes it answer for others: net.ipv4.conf.*.proxy_arp, arp_ignore",
	vip.AnsweredElsewhere: "ip neigh flush to VIP on this machine; where a load balancer or a route leads to VIP, look from the nodes' own segment",
	vip.OwnerWithoutKey:   "vipctl owner --election shows the queue, and vipctl etcd whether NODE is still a member; talosctl -n NODE reboot takes the address off it",
	vip.KeyWithoutOwner:   "vipctl owner --election shows what is left of its lease; talosctl -n NODE logs controller-runtime tells why it did not take VIP",
	vip.DuplicateAddress:  "find the other machine that has VIP (ip neigh show VIP) and take it off; then talosctl -n NODE service kubelet restart lets another node take VIP",
	vip.Unreachable:       "vipctl owner from another machine tells whether it is the way from here; a switch or hypervisor that guards addresses (port security, IP source guard, ARP inspection) must let NODE send from VIP",
	vip.OwnerNotServing:   "talosctl -n NODE containers -k shows its kube-apiserver; talosctl -n NODE service kubelet restart hands VIP to the next node",
	vip.Ghost:             "vipctl owner --election shows what is left of its lease: until that has run out it holds up whoever is behind it",
}

// Remedy is what to do about a finding on the VIP addr. The node is named by its
// address where that is known, as talosctl takes it, else by the finding's name.
func Remedy(f vip.Finding, node, addr string) string {
	return strings.NewReplacer("NODE", cmp.Or(node, f.Node, "NODE"), "VIP operator", "VIP operator", "Layer2VIPConfig", "Layer2VIPConfig",
		"VIP", addr).Replace(remedies[f.Trouble])
}
