package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/vip"
)

var (
	theVIP  = netip.MustParseAddr("10.5.0.50")
	errDown = errors.New("no answer")
)

// change is one thing that differs from a healthy cluster.
type change func(*Snapshot)

// three is a cluster of cp-1, cp-2 and cp-3, with the VIP on cp-1 by election,
// whose witnesses nobody asked but the nodes.
func three(changes ...change) *Snapshot {
	s := &Snapshot{VIPs: []VIP{{Addr: netip.MustParseAddr("10.5.0.49")}, {Addr: theVIP}}}
	for i := 1; i <= 3; i++ {
		own := netip.AddrFrom4([4]byte{10, 5, 0, byte(i + 1)})
		s.Nodes = append(s.Nodes, Node{
			Name: fmt.Sprintf("cp-%d", i), Addr: own, Hostname: Got(fmt.Sprintf("cp-%d", i)),
			Addresses: Got([]Address{{Prefix: netip.PrefixFrom(own, 24), Link: "eth0"}}),
			Links:     Got([]Link{{Name: "lo"}, {Name: "eth0", HardwareAddr: fmt.Sprintf("02:00:00:00:00:%02x", i)}}),
			Layers:    Got([]Layered{{Prefix: netip.PrefixFrom(own, 24), Link: "eth0", Layer: "configuration"}}),
			Campaigns: Got([]string{"eth0"}),
			APIServer: Got(APIServer{Answered: true, Status: 401, Certificate: Certificate{Fingerprint: fmt.Sprintf("f%d", i)}}),
			Apid:      Got(Certificate{Fingerprint: fmt.Sprintf("a%d", i)}),
		})
	}
	on(1, carries("10.5.0.50/32", "eth0"), wants("10.5.0.50/32", "eth0", "operator"))(s)
	for _, c := range changes {
		c(s)
	}
	return s
}

func on(i int, changes ...func(*Node)) change {
	return func(s *Snapshot) {
		for _, c := range changes {
			c(&s.Nodes[i-1])
		}
	}
}

func carries(prefix, link string) func(*Node) {
	return func(n *Node) { n.Addresses = Got(append(n.Addresses.Value(), address(prefix, link))) }
}

func wants(prefix, link, layer string) func(*Node) {
	return func(n *Node) {
		n.Layers = Got(append(n.Layers.Value(), Layered{Prefix: netip.MustParsePrefix(prefix), Link: link, Layer: layer}))
	}
}

// theAddress changes what is known of the VIP.
func theAddress(c func(*VIP)) change { return func(s *Snapshot) { c(&s.VIPs[1]) } }

func shows(fingerprint string) change {
	return theAddress(func(v *VIP) {
		v.APIServer = Got(APIServer{Answered: true, Certificate: Certificate{Fingerprint: fingerprint}})
	})
}

func deaf(text string) change {
	return theAddress(func(v *VIP) { v.APIServer = Got(APIServer{Error: text}) })
}

func answeredBy(macs ...string) change {
	return theAddress(func(v *VIP) {
		replies := []ARPReply{}
		for _, m := range macs {
			replies = append(replies, ARPReply{HardwareAddr: m})
		}
		v.ARP = Got(replies)
	})
}

func neighbour(mac, state string) change {
	return theAddress(func(v *VIP) { v.Neighbour = Got(Neighbour{HardwareAddr: mac, State: state, Link: "eth1"}) })
}

func elected(hosts ...string) change {
	return theAddress(func(v *VIP) {
		e := Election{Revision: int64(100 + len(v.Elections)), Candidates: []Candidate{}}
		for i, host := range hosts {
			e.Candidates = append(e.Candidates, Candidate{Key: fmt.Sprintf("key-%d", i+1), Hostname: host, Lease: fmt.Sprintf("6400%d", i)})
		}
		v.Elections = append(v.Elections, ElectionView{Node: "cp-2", Election: Got(e)})
	})
}

// forwarded has nodes be reached through a proxy.
func forwarded(s *Snapshot) { s.Forwarded = true }

// named has the certificates on the node's own address, and the VIP's if it is the
// same, be for its host name, as Talos's are.
func named(i int) change {
	return func(s *Snapshot) {
		server := s.Nodes[i-1].APIServer.Value()
		server.Certificate.DNSNames = []string{"kubernetes", fmt.Sprintf("CP-%d", i)}
		s.Nodes[i-1].APIServer = Got(server)
		apid := s.Nodes[i-1].Apid.Value()
		apid.DNSNames = server.Certificate.DNSNames
		s.Nodes[i-1].Apid = Got(apid)
		if v := &s.VIPs[1]; v.APIServer.Value().Certificate.Fingerprint == server.Certificate.Fingerprint {
			v.APIServer = Got(server)
		}
		if v := &s.VIPs[1]; v.Apid.Value().Fingerprint == apid.Fingerprint {
			v.Apid = Got(apid)
		}
	}
}

// unseen has nobody answer at the nodes' addresses from here.
func unseen(s *Snapshot) {
	for i := range s.Nodes {
		s.Nodes[i].APIServer, s.Nodes[i].Apid = Got(APIServer{Error: "no route to host"}), Missed[Certificate](errDown)
	}
}

// told writes claims down, without those of the nodes.
func told(claims []vip.Claim) string {
	var words []string
	for _, c := range claims {
		switch {
		case c.Witness == vip.Address:
		case c.Err != "":
			words = append(words, fmt.Sprintf("%s? %s", c.Witness, c.Err))
		case c.Stranger != "":
			words = append(words, strings.Join(append([]string{fmt.Sprintf("%s !%s", c.Witness, c.Stranger)}, c.Perhaps...), " or "))
		case c.Owner == "":
			words = append(words, c.Witness.String()+" nobody")
		default:
			words = append(words, c.Witness.String()+" "+c.Owner)
		}
	}
	return strings.Join(words, ", ")
}

func TestWhomEachWitnessNames(t *testing.T) {
	blind := on(3, func(n *Node) {
		n.APIServer, n.Apid = Got(APIServer{Error: "refused"}), Missed[Certificate](errDown)
		n.Links, n.Hostname = Missed[[]Link](errDown), Missed[string](errDown)
	})
	ownerSilent := on(1, func(n *Node) { n.Addresses = Missed[[]Address](errDown) })
	ownerBlind := on(1, func(n *Node) { n.Links = Missed[[]Link](errDown) })
	for _, tt := range []struct {
		name string
		s    *Snapshot
		want string
	}{
		{"nobody was asked", three(), ""},

		{"the certificate is a node's", three(shows("f1")), "certificate cp-1"},
		{"and that of another is not known", three(shows("f1"), blind), "certificate cp-1"},
		{"the certificate is nobody's", three(shows("f9")), "certificate !f9"},
		{"the certificate is not the owner's, nor anybody's who answered", three(shows("f9"), blind), "certificate !f9 or cp-3"},
		{"the certificate is nobody's who answered, and the owner is not known", three(shows("f9"), blind, ownerSilent), "certificate? the certificate fits no node that answered, and may be that of cp-3"},
		{"two nodes show one certificate", three(shows("f1"), on(2, func(n *Node) { n.APIServer = three().Nodes[0].APIServer })), "certificate? the certificate is that of cp-1 and cp-2"},
		{"no node to compare with", &Snapshot{VIPs: three(shows("f1")).VIPs}, "certificate? there is no node to compare the certificate with"},
		{"nobody listens on the VIP", three(deaf("connection refused")), "certificate? connection refused"},
		{"the VIP could not be asked", three(theAddress(func(v *VIP) { v.APIServer = Missed[APIServer](errDown) })), "certificate? no answer"},
		{"it answered without a certificate", three(theAddress(func(v *VIP) { v.APIServer = Got(APIServer{}) })), "certificate? no certificate was shown"},

		{"apid shows whose it is where no apiserver does", three(deaf("refused"), theAddress(func(v *VIP) { v.Apid = Got(Certificate{Fingerprint: "a2"}) })), "certificate cp-2"},
		{"apid's is nobody's", three(deaf("refused"), theAddress(func(v *VIP) { v.Apid = Got(Certificate{Fingerprint: "f1"}) })), "certificate !f1"},
		{"apid's may be the owner's, whose own is not known", three(deaf("refused"), on(1, func(n *Node) { n.Apid = Missed[Certificate](errDown) }), theAddress(func(v *VIP) { v.Apid = Got(Certificate{Fingerprint: "f1"}) })),
			"certificate? apid's certificate fits no node that answered, and may be that of cp-1"},
		{"apid is deaf, too", three(deaf("refused"), theAddress(func(v *VIP) { v.Apid = Missed[Certificate](errDown) })), "certificate? refused"},
		{"apid alone was asked, and is deaf", three(theAddress(func(v *VIP) { v.Apid = Missed[Certificate](errDown) })), "certificate? no answer"},

		{"the wire answers with a node's hardware address", three(answeredBy("02:00:00:00:00:02")), "arp cp-2"},
		{"written large", three(answeredBy("02:00:00:00:0a:02"), on(2, func(n *Node) { n.Links = Got([]Link{{Name: "eth0", HardwareAddr: "02:00:00:00:0A:02"}}) })), "arp cp-2"},
		{"the wire answers with two", three(answeredBy("02:00:00:00:00:02", "02:00:00:00:00:99")), "arp cp-2, arp !02:00:00:00:00:99"},
		{"it is not the owner's, and may be that of a node whose links are not known", three(answeredBy("02:00:00:00:00:99"), blind), "arp !02:00:00:00:00:99 or cp-3"},
		{"it is that of a node whose links are not known, to which our frames go", three(answeredBy("02:00:00:00:00:99"), blind, on(3, func(n *Node) { n.Neighbour = Got(Neighbour{HardwareAddr: "02:00:00:00:00:99"}) })), "arp cp-3"},
		{"a node whose links are not known has another", three(answeredBy("02:00:00:00:00:99"), blind, on(3, func(n *Node) { n.Neighbour = Got(Neighbour{HardwareAddr: "02:00:00:00:00:03"}) })), "arp !02:00:00:00:00:99 or cp-3"},
		{"it may be the owner's, whose links are not known", three(answeredBy("02:00:00:00:00:99"), ownerBlind), "arp? hardware address 02:00:00:00:00:99 fits no node that answered, and may be that of cp-1"},
		{"it may be that of a node whose links are not known, and the owner is not known", three(answeredBy("02:00:00:00:00:99"), blind, ownerSilent), "arp? hardware address 02:00:00:00:00:99 fits no node that answered, and may be that of cp-3"},
		{"nobody answers on the wire, which proves nothing", three(answeredBy()), "arp? nobody answered on the wire"},
		{"the wire could not be asked", three(theAddress(func(v *VIP) { v.ARP = Missed[[]ARPReply](errDown) })), "arp? no answer"},

		{"an entry in use names a node", three(neighbour("02:00:00:00:00:03", "reachable")), "neighbour cp-3"},
		{"one in use names nobody's", three(neighbour("02:00:00:00:00:99", "permanent")), "neighbour !02:00:00:00:00:99"},
		{"a stale one says nothing", three(neighbour("02:00:00:00:00:03", "stale")), ""},
		{"a failed one says nothing", three(neighbour("", "failed")), ""},
		{"no entry says nothing", three(neighbour("", "")), ""},
		{"the table could not be read", three(theAddress(func(v *VIP) { v.Neighbour = Missed[Neighbour](errDown) })), "neighbour? no answer"},

		{"the first in the queue was elected", three(elected("cp-2", "cp-1")), "election cp-2"},
		{"nobody queues", three(elected()), "election nobody"},
		{"each member tells", three(elected("cp-1"), elected("cp-1")), "election cp-1, election cp-1"},
		{"a member lags behind a handover", three(elected("cp-1", "cp-2"), elected("cp-2")), "election? another member told a newer queue, of revision 101, election cp-2"},
		{"a member lags, and answered last", three(elected("cp-1", "cp-2"), elected("cp-2"), swapViews), "election cp-2, election? another member told a newer queue, of revision 101"},
		{"the last one has let go meanwhile", three(elected("cp-1"), elected()), "election? another member told a newer queue, of revision 101, election nobody"},
		{"one queued up meanwhile, behind the owner", three(elected("cp-1"), elected("cp-1", "cp-2")), "election cp-1, election cp-1"},
		{"two members tell two queues of one revision", three(elected("cp-1"), elected("cp-2"), theAddress(func(v *VIP) { v.Elections[1].Election.value.Revision = 100 })), "election cp-1, election cp-2"},
		{"a member failed", three(elected("cp-1"), failedView), "election cp-1, election? no answer"},
		{"a host that is no node", three(elected("old-cp")), "election !host old-cp"},
		{"an entry in use is of a silent node, which has the VIP or had it", three(neighbour("02:00:00:00:00:99", "reachable"), blind), "neighbour? hardware address 02:00:00:00:00:99 fits no node that answered, and may be that of cp-3"},
		{"a host that is not the owner, and may be a node", three(elected("old-cp"), blind), "election !host old-cp or cp-3"},
		{"a host that may be a node, and the owner is not known", three(elected("old-cp"), blind, ownerSilent), "election? host old-cp fits no node that answered, and may be that of cp-3"},
		{"a silent node, by what others call it", three(elected("cp-3"), blind), "election cp-3"},
		{"two nodes of one name", three(elected("cp-1"), on(2, func(n *Node) { n.Hostname = Got("cp-1") })), "election? host cp-1 is that of cp-1 and cp-2"},
		{"etcd could not be asked", three(theAddress(func(v *VIP) { v.Elections = []ElectionView{{Node: "cp-1", Election: Missed[Election](errDown)}} })), "election? no answer"},

		{"all of them", three(shows("f1"), answeredBy("02:00:00:00:00:01"), neighbour("02:00:00:00:00:01", "delay"), elected("cp-1")),
			"certificate cp-1, arp cp-1, neighbour cp-1, election cp-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := tt.s.Claims(theVIP)
			if got := told(claims); got != tt.want {
				t.Errorf("Claims(%s) tell %q; want %q", theVIP, got, tt.want)
			}
			for _, c := range claims {
				if c.From == "" || c.Err != "" && (c.Owner != "" || c.Stranger != "") {
					t.Errorf("the claim %+v comes from nowhere, or names somebody and is silent", c)
				}
			}
		})
	}
}

func TestHowAnAddressCame(t *testing.T) {
	second := func(changes ...func(*Node)) *Snapshot { return three(on(2, changes...)) }
	for _, tt := range []struct {
		name string
		s    *Snapshot
		want vip.Origin // of cp-2's
	}{
		{"by election", second(carries("10.5.0.50/32", "eth0"), wants("10.5.0.50/32", "eth0", "operator")), vip.ByElection},
		{"by election, on a VLAN", second(carries("10.5.0.50/32", "eth0.100"), wants("10.5.0.50/32", "eth0.100", "operator")), vip.ByElection},
		{"by the configuration", second(carries("10.5.0.50/24", "eth0"), wants("10.5.0.50/24", "eth0", "configuration")), vip.ByConfig},
		{"by the configuration, which won over the operator", second(carries("10.5.0.50/32", "eth0"), wants("10.5.0.50/32", "eth0", "configuration")), vip.ByConfig},
		{"by the platform", second(carries("10.5.0.50/32", "eth0"), wants("10.5.0.50/32", "eth0", "platform")), vip.ByConfig},
		{"by DHCP, which gives a network", second(carries("10.5.0.50/24", "eth0"), wants("10.5.0.50/24", "eth0", "operator")), vip.ByConfig},
		{"by election, and by the configuration as well", second(carries("10.5.0.50/32", "eth0"), wants("10.5.0.50/32", "eth0", "operator"),
			carries("10.5.0.50/24", "eth0"), wants("10.5.0.50/24", "eth0", "configuration")), vip.ByConfig},
		{"by the configuration, and by election as well", second(carries("10.5.0.50/24", "eth0"), wants("10.5.0.50/24", "eth0", "configuration"),
			carries("10.5.0.50/32", "eth0"), wants("10.5.0.50/32", "eth0", "operator")), vip.ByConfig},
		{"left over on one link, and by election on the next", second(carries("10.5.0.50/32", "lo"), carries("10.5.0.50/32", "eth0"), wants("10.5.0.50/32", "eth0", "operator")), vip.ByNobody},
		{"left over", second(carries("10.5.0.50/32", "eth0")), vip.ByNobody},
		{"left over on one link, and elected on another", second(carries("10.5.0.50/32", "lo"), wants("10.5.0.50/32", "eth0", "operator")), vip.ByNobody},
		{"left over with another length than is wanted", second(carries("10.5.0.50/24", "eth0"), wants("10.5.0.50/32", "eth0", "operator")), vip.ByNobody},
		{"wanted on the link by its other name", second(carries("10.5.0.50/32", "eth0"), wants("10.5.0.50/32", "enx020000000002", "operator")), vip.ByElection},
		{"who wants it is not known", second(carries("10.5.0.50/32", "eth0"), func(n *Node) { n.Layers = Missed[[]Layered](errDown) }), vip.OriginUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := vip.Claim{Witness: vip.Address, From: "cp-2", Owner: "cp-2", By: tt.want}
			if got := tt.s.Claims(theVIP)[1]; !reflect.DeepEqual(got, want) {
				t.Errorf("Claims(%s)[1] = %+v; want %+v", theVIP, got, want)
			}
		})
	}
}

// dead is for a node that tells nothing.
func dead(n *Node) {
	n.Addresses, n.Links, n.Hostname = Missed[[]Address](errDown), Missed[[]Link](errDown), Missed[string](errDown)
}

// let takes the VIP off cp-1.
func let(s *Snapshot) { on(1, func(n *Node) { n.Addresses = Got(n.Addresses.Value()[:1]) })(s) }

// roll is what every node tells of etcd's members.
func roll(members Seen[[]Member]) change {
	return func(s *Snapshot) {
		for i := range s.Nodes {
			s.Nodes[i].Members = members
		}
	}
}

// discovers has cp-1 know so many control-plane nodes by discovery, and a worker.
func discovers(leaders int) change {
	return on(1, func(n *Node) {
		known := []PeerAddress{{Hostname: "worker-1"}}
		for i := range leaders {
			known = append(known, PeerAddress{Hostname: fmt.Sprintf("cp-%d", i+1), ControlPlane: true})
		}
		n.Discovery = Got(known)
	})
}

// What the whole leads to, where a lost frame or an old entry must not.
func TestClaimsLeadToAVerdict(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    *Snapshot
		want vip.Ownership
	}{
		{"all well", three(shows("f1"), answeredBy("02:00:00:00:00:01"), elected("cp-1")), vip.Owned},
		{"frames were lost", three(deaf("no answer"), answeredBy(), neighbour("", "failed")), vip.Owned},
		{"a member lags behind a handover", three(elected("cp-2"), elected("cp-1"), elected("cp-1")), vip.Owned},
		{"an old entry", three(neighbour("02:00:00:00:00:02", "stale")), vip.Owned},
		{"a strange certificate that a silent node may have", three(shows("f9"), on(3, func(n *Node) { n.APIServer = Seen[APIServer]{} })), vip.Disputed},
		{"somebody answers beside the owner, who may be a silent node", three(answeredBy("02:00:00:00:00:01", "02:00:00:00:00:99"), on(3, dead)), vip.Disputed},
		{"a silent node answers beside the owner, by where our frames for it go", three(answeredBy("02:00:00:00:00:01", "02:00:00:00:00:99"),
			on(3, dead, func(n *Node) { n.Neighbour = Got(Neighbour{HardwareAddr: "02:00:00:00:00:99"}) })), vip.SplitBrain},
		{"somebody answers, who may be the silent owner", three(answeredBy("02:00:00:00:00:99"), on(1, dead)), vip.Unknown},
		{"a foreign host", three(answeredBy("02:00:00:00:00:01", "02:00:00:00:00:99")), vip.Disputed},
		{"a silent node answers as well", three(answeredBy("02:00:00:00:00:02"), on(2, func(n *Node) { n.Addresses = Missed[[]Address](errDown) })), vip.SplitBrain},
		{"nobody has it, and etcd tells that these are all nodes", three(let, roll(Got([]Member{{ID: "a1", Hostname: "cp-1"}}))), vip.Unowned},
		{"nobody has it, and nobody tells which other nodes there are", three(let, roll(Missed[[]Member](errDown))), vip.Unknown},
		{"nobody has it, and etcd lists nobody", three(let, roll(Got([]Member{}))), vip.Unknown},
		{"nobody has it, etcd is deaf, and discovery knows the node alone", three(let, roll(Missed[[]Member](errDown)), discovers(1)), vip.Unknown},
		{"nobody has it, etcd is deaf, and discovery knows the others", three(let, roll(Missed[[]Member](errDown)), discovers(3)), vip.Unowned},
		{"one has it, and nobody tells which other nodes there are", three(roll(Missed[[]Member](errDown))), vip.Owned},
		{"nobody has it, and a strange certificate may be that of a node that nobody names", three(let, shows("f9"), roll(Missed[[]Member](errDown))), vip.Unknown},
		{"nobody has it, and who was elected may be a node that nobody names", three(let, elected("cp-9"), roll(Missed[[]Member](errDown))), vip.Unknown},
		{"no node tells anything, and a strange certificate may be that of another node", three(shows("f9"), roll(Missed[[]Member](errDown)), on(1, dead), on(2, dead), on(3, dead)), vip.Unknown},
		{"no node tells anything but who etcd's members are, and the certificate is none's", three(shows("f9"), roll(Got([]Member{{ID: "a1", Hostname: "cp-1"}})), on(1, dead), on(2, dead), on(3, dead)), vip.Disputed},
		{"somebody answers beside the owner, who may be a node that nobody names", three(answeredBy("02:00:00:00:00:01", "02:00:00:00:00:99"), roll(Missed[[]Member](errDown))), vip.Disputed},
		{"a VIP of which nothing is known", &Snapshot{Nodes: three().Nodes}, vip.Owned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := vip.Judge(tt.s.Claims(theVIP)); got.Ownership != tt.want {
				t.Errorf("Judge(Claims(%s)) = %+v; want %v", theVIP, got, tt.want)
			}
		})
	}
}

// An address is held on whatever link, so that nobody hides it by not naming one.
// That there may be other nodes counts only where none of those that are known has
// the VIP, and where some node answered that could have named them.
func TestWhoMayBeBesideTheKnownNodes(t *testing.T) {
	deafEtcd, silent := roll(Missed[[]Member](errDown)), func(s *Snapshot) {
		for i := range s.Nodes {
			s.Nodes[i].Addresses = Missed[[]Address](errDown)
		}
	}
	for _, tt := range []struct {
		name   string
		s      *Snapshot
		others bool
	}{
		{"nobody has the VIP, and nobody names the nodes", three(let, deafEtcd), true},
		{"one has the VIP", three(deafEtcd), false},
		{"etcd names the nodes", three(let, roll(Got([]Member{{ID: "a1", Hostname: "cp-1"}}))), false},
		{"nobody asked for the nodes", three(let), false},
		{"all are silent, each for itself", three(let, deafEtcd, silent), false},
	} {
		got := slices.ContainsFunc(tt.s.Claims(theVIP), func(c vip.Claim) bool { return c.From == Others })
		if got != tt.others {
			t.Errorf("%s: Claims(%s) = %v; want a claim of others: %t", tt.name, theVIP, tt.s.Claims(theVIP), tt.others)
		}
	}
}

func TestAnAddressOnALinkWithoutANameIsHeld(t *testing.T) {
	s := three(on(2, carries("10.5.0.50/32", "")))
	if got := vip.Judge(s.Claims(theVIP)); got.Ownership != vip.SplitBrain || s.Nodes[1].Holds(theVIP).Value() != UnnamedLink {
		t.Errorf("two nodes hold it, one of them on a link without a name: %v of %v; want a split brain", got.Ownership, got.Owners)
	}
}

func TestNeighbourInUse(t *testing.T) {
	for entry, want := range map[Neighbour]bool{
		{HardwareAddr: "02:00:00:00:00:01", State: "reachable"}: true,
		{HardwareAddr: "02:00:00:00:00:01", State: "PERMANENT"}: true,
		{HardwareAddr: "02:00:00:00:00:01", State: "stale"}:     false,
		{HardwareAddr: "02:00:00:00:00:01"}:                     false,
		{State: "reachable"}:                                    false,
	} {
		if got := entry.InUse(); got != want {
			t.Errorf("%+v.InUse() = %t; want %t", entry, got, want)
		}
	}
}

// Two sightings are weighed together, also of a VIP that somebody told of only the
// second time: nodes told their addresses before.
func TestJudgeWeighsTheEarlierSighting(t *testing.T) {
	two := func() *Snapshot { return three(on(2, carries("10.5.0.50/32", "eth0"))) }
	for _, tt := range []struct {
		name       string
		earlier, s *Snapshot
		want       vip.Ownership
	}{
		{"two owners, seen once", nil, two(), vip.SplitBrain},
		{"two owners, seen twice", two(), two(), vip.SplitBrain},
		{"two owners, seen the second time only", three(), two(), vip.Disputed},
		{"two owners, one of whom let go", two(), three(), vip.Owned},
		{"two owners, one of whom fell silent", two(), three(on(2, dead)), vip.Disputed},
		{"two owners of a VIP that was not known the first time, when one had it", &Snapshot{Nodes: three().Nodes}, two(), vip.Disputed},
		{"two owners of a VIP that was not known the first time, when both had it", &Snapshot{Nodes: two().Nodes}, two(), vip.SplitBrain},
		{"two owners, where nobody was seen the first time", &Snapshot{}, two(), vip.Disputed},
	} {
		tt.s.Earlier = tt.earlier
		if got := tt.s.Judge(theVIP); got.Ownership != tt.want {
			t.Errorf("%s: Judge = %v, %q; want %v", tt.name, got.Ownership, got.Reason, tt.want)
		}
	}
}
