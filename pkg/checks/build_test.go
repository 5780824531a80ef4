package checks

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

var (
	testVIP  = netip.MustParseAddr("192.0.2.50")
	testVIP6 = netip.MustParseAddr("2001:db8::50")
	testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	errDown  = errors.New("context deadline exceeded")
	errRight = errors.New("rpc error: code = PermissionDenied desc = not authorized")
)

// change is one thing that differs from a healthy cluster.
type change func(*cluster.Snapshot)

// healthy is a cluster of n nodes, cp-1 and so on, at 192.0.2.1 and so on,
// with the VIP on cp-1, which also leads etcd.
func healthy(n int, changes ...change) *cluster.Snapshot {
	s := &cluster.Snapshot{
		APIVersion: cluster.APIVersion, Kind: cluster.Kind, TakenAt: testTime,
		VIPs: []cluster.VIP{{Addr: testVIP, APIServer: cluster.Got(apiServer(1, 401))}},
	}
	var members []cluster.Member
	for i := 1; i <= n; i++ {
		members = append(members, cluster.Member{
			ID: memberID(i), Hostname: nodeName(i),
			PeerURLs: []string{"https://" + netip.AddrPortFrom(nodeAddr(i), 2380).String()},
		})
		s.Endpoints = append(s.Endpoints, cluster.Endpoint{Name: nodeAddr(i).String(), Addresses: []netip.Addr{nodeAddr(i)}})
	}
	for i := 1; i <= n; i++ {
		s.Nodes = append(s.Nodes, healthyNode(i, members))
	}
	for _, c := range changes {
		c(s)
	}
	return s
}

func healthyNode(i int, members []cluster.Member) cluster.Node {
	addresses := []cluster.Address{{Prefix: netip.PrefixFrom(nodeAddr(i), 24), Link: "eth0"}}
	if i == 1 {
		addresses = append(addresses, cluster.Address{Prefix: netip.PrefixFrom(testVIP, 32), Link: "eth0"})
	}
	return cluster.Node{
		Name: nodeName(i), Addr: nodeAddr(i), Reachable: cluster.Got(true),
		Hostname: cluster.Got(nodeName(i)), Type: cluster.Got("controlplane"),
		Version:   cluster.Got(cluster.Version{Tag: "v1.13.9", Platform: "metal"}),
		Stage:     cluster.Got(cluster.Stage{Stage: "running", Ready: true}),
		BootTime:  cluster.Got(testTime.Add(-time.Hour)),
		Addresses: cluster.Got(addresses),
		Links:     cluster.Got([]cluster.Link{{Name: "eth0", State: "up"}}),
		VIPs:      cluster.Got([]netip.Addr{testVIP}),
		NodeIPs:   cluster.Got([]netip.Addr{nodeAddr(i)}),
		Services:  cluster.Got([]cluster.Service{{ID: "etcd", State: "Running", Healthy: true, HealthKnown: true}}),
		Campaigns: cluster.Got([]string{"eth0"}),
		Clock:     cluster.Got(cluster.Clock{Ahead: 0.01 * float64(i), Error: 0.02}),
		Members:   cluster.Got(members),
		Etcd:      cluster.Got(cluster.EtcdStatus{MemberID: memberID(i), Leader: memberID(1), Term: 3, Index: 900, AppliedIndex: 900}),
		Alarms:    cluster.Got([]cluster.Alarm{}),
		Advertise: cluster.Got([]netip.Addr{nodeAddr(i)}),
		APIServer: cluster.Got(apiServer(i, 401)),
		StaticPod: cluster.Got(cluster.APIServerPod{Phase: "Running", Ready: true}),
	}
}

func apiServer(i, status int) cluster.APIServer {
	return cluster.APIServer{Answered: true, Status: status, Certificate: cluster.Certificate{
		Fingerprint: fmt.Sprintf("f%d", i), Addresses: []netip.Addr{nodeAddr(i), testVIP},
		NotAfter: testTime.Add(300 * 24 * time.Hour),
	}}
}

func nodeName(i int) string     { return fmt.Sprintf("cp-%d", i) }
func nodeAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
func memberID(i int) string     { return fmt.Sprintf("%x", 0xa0+i) }

// node changes one node.
func node(i int, change func(*cluster.Node)) change {
	return func(s *cluster.Snapshot) { change(&s.Nodes[i-1]) }
}

// etcd changes what one member says of itself.
func etcd(i int, change func(*cluster.EtcdStatus)) change {
	return node(i, func(n *cluster.Node) {
		said := n.Etcd.Value()
		change(&said)
		n.Etcd = cluster.Got(said)
	})
}

// listed changes the members as one node lists them.
func listed(i int, change func([]cluster.Member) []cluster.Member) change {
	return node(i, func(n *cluster.Node) {
		n.Members = cluster.Got(change(append([]cluster.Member{}, n.Members.Value()...)))
	})
}

// everywhere makes a change on each node.
func everywhere(n int, one func(i int) change) change {
	return func(s *cluster.Snapshot) {
		for i := 1; i <= n; i++ {
			one(i)(s)
		}
	}
}

// unlistedAlarms is a node that cannot be asked for the list of alarms.
func unlistedAlarms(i int) change {
	return node(i, func(n *cluster.Node) { n.Alarms = cluster.Missed[[]cluster.Alarm](errRight) })
}

// down is a node that nothing on it answers.
func down(i int) change { return silentNode(i, errDown) }

// forbidden is a node that answers, and refuses to tell.
func forbidden(i int) change {
	return func(s *cluster.Snapshot) {
		reachable, server := s.Nodes[i-1].Reachable, s.Nodes[i-1].APIServer
		silentNode(i, errRight)(s)
		s.Nodes[i-1].Reachable, s.Nodes[i-1].APIServer = reachable, server
	}
}

// deadAddress is an endpoint that no node is at.
func deadAddress(s *cluster.Snapshot) {
	at := len(s.Nodes) + 1
	s.Nodes = append(s.Nodes, cluster.Node{Name: "192.0.2.9", Addr: nodeAddr(9)})
	silentNode(at, errDown)(s)
}

func silentNode(i int, err error) change {
	return node(i, func(n *cluster.Node) {
		*n = cluster.Node{
			Name: n.Name, Addr: n.Addr, Reachable: cluster.Missed[bool](err),
			Hostname: cluster.Missed[string](err), Type: cluster.Missed[string](err),
			Version: cluster.Missed[cluster.Version](err), Stage: cluster.Missed[cluster.Stage](err),
			BootTime: cluster.Missed[time.Time](err), Addresses: cluster.Missed[[]cluster.Address](err),
			Links: cluster.Missed[[]cluster.Link](err), VIPs: cluster.Missed[[]netip.Addr](err),
			Services: cluster.Missed[[]cluster.Service](err), Members: cluster.Missed[[]cluster.Member](err),
			Etcd: cluster.Missed[cluster.EtcdStatus](err), Alarms: cluster.Missed[[]cluster.Alarm](err),
			Advertise: cluster.Missed[[]netip.Addr](err), APIServer: cluster.Missed[cluster.APIServer](err),
			StaticPod: cluster.Missed[cluster.APIServerPod](err), NodeIPs: cluster.Missed[[]netip.Addr](err),
			Campaigns: cluster.Missed[[]string](err), Clock: cluster.Missed[cluster.Clock](err),
		}
	})
}

// carries puts the address on a node's link; moved leaves it on that alone.
func carries(i int, prefix, link string) change {
	return node(i, func(n *cluster.Node) {
		n.Addresses = cluster.Got(append([]cluster.Address{{Prefix: netip.MustParsePrefix(prefix), Link: link}}, n.Addresses.Value()...))
	})
}

func onlyCarries(i int, prefix, link string) change {
	return node(i, func(n *cluster.Node) {
		n.Addresses = cluster.Got([]cluster.Address{{Prefix: netip.MustParsePrefix(prefix), Link: link}})
	})
}

// ownerless takes the VIP from cp-1, and nobody answers on it.
func ownerless() change {
	return func(s *cluster.Snapshot) {
		onlyCarries(1, "192.0.2.1/24", "eth0")(s)
		onVIP(cluster.Got(cluster.APIServer{Error: "no route to host"}))(s)
	}
}

// moved gives the VIP of cp-1 to another node.
func moved(i int) change {
	return func(s *cluster.Snapshot) {
		onlyCarries(1, "192.0.2.1/24", "eth0")(s)
		carries(i, "192.0.2.50/32", "eth0")(s)
		onVIP(cluster.Got(apiServer(i, 401)))(s)
	}
}

func server(i int, s cluster.APIServer) change {
	return node(i, func(n *cluster.Node) { n.APIServer = cluster.Got(s) })
}

func onVIP(fact cluster.Seen[cluster.APIServer]) change {
	return func(s *cluster.Snapshot) { s.VIPs[0].APIServer = fact }
}

// campaigns leaves the node campaigning on those links.
func campaigns(i int, links ...string) change {
	return node(i, func(n *cluster.Node) { n.Campaigns = cluster.Got(links) })
}

// clock puts a node's clock ahead of ours by so many seconds.
func clock(i int, ahead, err float64) change {
	return node(i, func(n *cluster.Node) { n.Clock = cluster.Got(cluster.Clock{Ahead: ahead, Error: err}) })
}

// expires has the node's serving certificate end so long after testTime.
func expires(i int, after time.Duration) change {
	return node(i, func(n *cluster.Node) {
		s := n.APIServer.Value()
		s.Certificate.NotAfter = testTime.Add(after)
		n.APIServer = cluster.Got(s)
	})
}

// wired gives the nodes hardware addresses 02:00:00:00:00:01 and so on, and lets
// those answer for the VIP on the wire.
func wired(answers ...string) change {
	return func(s *cluster.Snapshot) {
		for i := range s.Nodes {
			s.Nodes[i].Links = cluster.Got([]cluster.Link{{Name: "eth0", State: "up", HardwareAddr: fmt.Sprintf("02:00:00:00:00:%02x", i+1)}})
		}
		var replies []cluster.ARPReply
		for _, hw := range answers {
			replies = append(replies, cluster.ARPReply{HardwareAddr: hw})
		}
		s.VIPs[0].ARP = cluster.Got(replies)
	}
}

// wants says that something of Talos wants the VIP on the node's link.
func wants(i int, layer string) change {
	return node(i, func(n *cluster.Node) {
		n.Layers = cluster.Got([]cluster.Layered{{Prefix: netip.PrefixFrom(testVIP, 32), Link: "eth0", Layer: layer}})
	})
}

// runs has the node run that version.
func runs(i int, tag string) change {
	return node(i, func(n *cluster.Node) { n.Version = cluster.Got(cluster.Version{Tag: tag, Platform: "metal"}) })
}

// unreadKubeconfig is of one whose $KUBECONFIG cannot be read.
func unreadKubeconfig(s *cluster.Snapshot) { s.NoKubeconfig = "kubeconfig /50%: permission denied" }

// broadcastOf gives an address of cp-1 that broadcast address.
func broadcastOf(addr netip.Addr, broadcast string) change {
	return node(1, func(n *cluster.Node) {
		for i, a := range n.Addresses.Value() {
			if a.Prefix.Addr() == addr {
				n.Addresses.Value()[i].Broadcast = netip.MustParseAddr(broadcast)
			}
		}
	})
}
