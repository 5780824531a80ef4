package talos

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// origin is why a target is asked, which decides what its silence means.
type origin int

const (
	fromEndpoint origin = iota // a control-plane node, says the talosconfig
	fromNodes                  // in the talosconfig's nodes: perhaps a worker
	fromMembers                // a control-plane node, says another one
)

// vips are the virtual IPs known by now: those given, and those that any node
// has configured.
func (s *survey) vips() []netip.Addr {
	all := slices.Clone(s.opts.VIPs)
	for _, v := range s.visits {
		if v.ok() {
			all = append(all, v.reply.node.VIPs.Value()...)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// learn starts a visit of every control-plane node that was named so far and is
// not being asked, and announces what is new.
func (s *survey) learn() {
	vips := s.vips()
	var teachers []*visit
	for _, v := range s.visits {
		if !v.ok() {
			continue
		}
		if own := ownAddrs(v, vips); !v.at.IsValid() && v.reply.heard&ofNodeIPs != 0 && len(own) > 0 {
			v.at = own[len(own)-1] // the kubelet's: it comes last
		}
		if s.mayTeach(v) {
			teachers = append(teachers, v)
		}
	}
	if s.membersAwaited() {
		s.announce(vips)
		return
	}
	// Etcd's word comes before discovery's, whoever gave it: its URLs hold the
	// address that matters.
	for _, named := range []func(*cluster.Node) []machine{etcdMachines, discoveredMachines} {
		for _, v := range teachers {
			for _, m := range named(&v.reply.node) {
				s.meet(m, vips)
			}
		}
	}
	for _, v := range teachers {
		s.meetHost(v, vips)
	}
	s.announce(vips)
}

// mayTeach says whether what v told is enough to learn from: without the VIPs
// one would be taken for a node, and without discovery one would be asked at
// another of its addresses as well. Where that is slow, etcd's members must do.
func (s *survey) mayTeach(v *visit) bool {
	open := v.reply.asked &^ v.reply.heard &^ ofMembers
	if s.hasty {
		open &^= ofDiscovery
	}
	return open == 0
}

// membersAwaited says that etcd's members may be known soon. Until they are, a
// node would be asked at any of its addresses.
func (s *survey) membersAwaited() bool {
	if s.trusting || s.hasty {
		return false
	}
	open := false
	for _, v := range s.visits {
		for _, a := range []*attempt{v.direct, v.relayed} {
			switch {
			case a == nil:
			case a.reply.node.Members.Known() && s.mayTeach(v):
				return false
			case a.reply.node.Members.Known():
				open = true
			case !a.done:
				open = open || a.reply.asked&^a.reply.heard&ofMembers != 0
			}
		}
	}
	return open
}

// meetHost meets a node at an address of its own. Where it was reached at the
// VIP, or behind a load balancer, it is asked there who it was.
func (s *survey) meetHost(v *visit, vips []netip.Addr) {
	if !slices.Contains(ownAddrs(v, vips), v.at) {
		s.meet(machine{hostname: v.reply.node.Hostname.Value(), addrs: v.reply.node.NodeIPs.Value()}, vips)
	}
}

// announce tells of the VIPs and nodes that were not known before.
func (s *survey) announce(vips []netip.Addr) {
	if s.opts.Learned == nil {
		return
	}
	var news Learned
	tell := func(list *[]netip.Addr, told map[netip.Addr]bool, addr netip.Addr) {
		if !told[addr] {
			told[addr] = true
			*list = append(*list, addr)
		}
	}
	for _, addr := range vips {
		tell(&news.VIPs, s.toldVIPs, addr)
	}
	for _, v := range s.visits {
		if !slices.Contains(vips, v.at) && (v.named || atHome(v, vips)) {
			tell(&news.Nodes, s.toldNodes, v.at)
		}
	}
	if len(news.VIPs)+len(news.Nodes) > 0 {
		s.opts.Learned(news)
	}
}

// atHome says whether a control-plane node was reached at an address of its own.
// Until it has told of the VIPs, one that it has looks like an address of its own.
func atHome(v *visit, vips []netip.Addr) bool {
	return v.ok() && v.reply.heard&ofVIPs != 0 && provenControlPlane(v) && slices.Contains(ownAddrs(v, vips), v.at)
}

// maxVisits keeps nodes that name thousands from sending us to all of them. It
// is more than two that lie can name between them (maxMachines).
const maxVisits = 5 * maxMachines

// meet starts a visit of the machine at its first address that can be its own,
// unless one of its addresses is asked already; another node's word that it is
// somebody else's does not count.
func (s *survey) meet(m machine, vips []netip.Addr) {
	addrs := usable(m.addrs, vips)
	if len(addrs) == 0 {
		addrs = usable(m.addrs, nil) // a VIP, says somebody; nowhere else is it to be found
	}
	if len(addrs) == 0 {
		return
	}
	for _, v := range s.visits {
		if v.at == addrs[0] || slices.Contains(addrs, v.at) && (!v.learned || alike(v.hostname, m.hostname)) {
			v.hostname = cmp.Or(v.hostname, m.hostname)
			v.named = true
			if v.origin == fromNodes {
				v.origin = fromMembers
			}
			return
		}
	}
	if len(s.visits) >= maxVisits {
		return
	}
	s.start(&visit{
		origin: fromMembers, hostname: m.hostname, named: true, learned: true,
		at: addrs[0], target: s.client.targetOf(addrs[0]),
	})
}

// targetOf is where the Talos API of the node with that address is asked.
func (c *Client) targetOf(addr netip.Addr) target {
	if c.cfg.forwarded {
		return target{addr: netip.AddrPort{}, node: addr.String()}
	}
	return target{addr: netip.AddrPortFrom(addr, constants.ApidPort)}
}

// machine is a control-plane node as others name it.
type machine struct {
	hostname string
	addrs    []netip.Addr
}

// machines are the control-plane nodes that a node knows of: etcd's members,
// then discovery's.
func machines(n *cluster.Node) []machine {
	return append(etcdMachines(n), discoveredMachines(n)...)
}

// etcdMachines are etcd's members. A member without a name was added and never
// started: nobody may be at its address, and without an etcd a node cannot win a
// VIP. A machine that is there is named otherwise too.
func etcdMachines(n *cluster.Node) []machine {
	var out []machine
	for _, m := range n.Members.Value() {
		if m.Hostname != "" {
			out = append(out, machine{m.Hostname, append(hosts(m), discovered(n, m.Hostname)...)})
		}
	}
	return out
}

func discoveredMachines(n *cluster.Node) []machine {
	var out []machine
	for _, p := range n.Discovery.Value() {
		if p.ControlPlane {
			name, _, _ := strings.Cut(p.Hostname, ".") // as etcd and the kernel have it, whoever tells of it first
			out = append(out, machine{name, p.Addresses})
		}
	}
	return out
}

// discovered are the addresses that discovery has for a host name. Where two
// machines share the name it says nothing, lest the two become one.
func discovered(n *cluster.Node, hostname string) []netip.Addr {
	var addrs []netip.Addr
	found := 0
	for _, p := range n.Discovery.Value() {
		if p.ControlPlane && p.Hostname == hostname {
			addrs = append(addrs, p.Addresses...)
			found++
		}
	}
	for _, m := range n.Members.Value() {
		if m.Hostname == hostname {
			found++
		}
	}
	if hostname == "" || found != 2 {
		return nil
	}
	return addrs
}

// usable drops what cannot be one machine's own address on the network.
func usable(addrs, vips []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool {
		return !unicast(a) || a.IsLinkLocalUnicast() || slices.Contains(vips, a)
	})
}

// unicast says whether it can be the address of a machine other than this one.
func unicast(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a != broadcast && a.Zone() == ""
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// ownAddrs are the addresses that the visited node says it has, without VIPs.
func ownAddrs(v *visit, vips []netip.Addr) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range v.reply.node.Addresses.Value() {
		addrs = append(addrs, a.Prefix.Addr())
	}
	return usable(append(addrs, v.reply.node.NodeIPs.Value()...), vips)
}
