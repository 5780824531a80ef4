package cluster

import (
	"slices"
	"testing"

	"github.com/vipctl/vipctl/pkg/vip"
)

const elsewhere = "nodes are reached through a proxy; who answers at 10.5.0.50 here may be another network's"

// Where nodes are reached through a proxy, what this machine sees counts only
// where it names a node.
func TestWhomAWitnessNamesThroughAProxy(t *testing.T) {
	apid := func(fingerprint string) change {
		return theAddress(func(v *VIP) { v.Apid = Got(Certificate{Fingerprint: fingerprint}) })
	}
	for _, tt := range []struct {
		name string
		s    *Snapshot
		want string
	}{
		{"nobody was asked", three(forwarded), ""},
		{"the certificate is a node's, and for its name", three(forwarded, shows("f1"), named(1)), "certificate cp-1"},
		{"it is shown at the node's address as well, and not for its name: a stranger has both", three(forwarded, shows("f1")), "certificate? " + elsewhere},
		{"it is for another node's name", three(forwarded, shows("f1"), named(1), on(1, func(n *Node) { n.Hostname = Got("cp-9") })), "certificate? " + elsewhere},
		{"it is for a node whose name is not known", three(forwarded, shows("f1"), named(1), on(1, func(n *Node) { n.Hostname = Missed[string](errDown) })), "certificate? " + elsewhere},
		{"the certificate is nobody's", three(forwarded, shows("f9")), "certificate? " + elsewhere},
		{"and no node is seen from here", three(forwarded, shows("f9"), unseen), "certificate? " + elsewhere},
		{"nobody listens on the VIP here", three(forwarded, deaf("no route to host"), unseen), "certificate? no route to host"},
		{"apid's certificate is a node's", three(forwarded, deaf("refused"), apid("a2"), named(2)), "certificate cp-2"},
		{"apid's is shown at the node's address as well, and not for its name: a stranger has both", three(forwarded, deaf("refused"), apid("a2")), "certificate? " + elsewhere},
		{"apid's certificate is nobody's", three(forwarded, deaf("refused"), apid("a9")), "certificate? " + elsewhere},

		{"the wire answers with a node's hardware address", three(forwarded, answeredBy("02:00:00:00:00:02")), "arp cp-2"},
		{"it answers with another's", three(forwarded, answeredBy("02:00:00:00:00:99")), "arp? " + elsewhere},
		{"it answers with two of others", three(forwarded, answeredBy("02:00:00:00:00:98", "02:00:00:00:00:99")), "arp? " + elsewhere},
		{"a node answers, so it is their segment, and a stranger beside it", three(forwarded, answeredBy("02:00:00:00:00:99", "02:00:00:00:00:01")), "arp !02:00:00:00:00:99, arp cp-1"},
		{"nobody answers on the wire", three(forwarded, answeredBy()), "arp? nobody answered on the wire"},

		{"an entry in use names a node", three(forwarded, neighbour("02:00:00:00:00:03", "reachable")), "neighbour cp-3"},
		{"one in use names nobody's", three(forwarded, neighbour("02:00:00:00:00:99", "reachable")), "neighbour? " + elsewhere},
		{"one not in use says nothing", three(forwarded, neighbour("02:00:00:00:00:99", "stale")), ""},

		{"etcd's word is the cluster's own", three(forwarded, elected("cp-2")), "election cp-2"},
		{"and so is a host that is no node", three(forwarded, elected("old-cp")), "election !host old-cp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := told(tt.s.Claims(theVIP)); got != tt.want {
				t.Errorf("Claims(%s) tell %q; want %q", theVIP, got, tt.want)
			}
		})
	}
}

func TestFindingsThroughAProxy(t *testing.T) {
	strangers := []change{forwarded, shows("f9"), answeredBy("02:00:00:00:00:99"), neighbour("02:00:00:00:00:99", "reachable")}
	owner := func(server APIServer) change { return on(1, func(n *Node) { n.APIServer = Got(server) }) }
	failing := APIServer{Answered: true, Status: 500, Certificate: Certificate{Fingerprint: "f1"}}
	for _, tt := range []struct {
		name string
		s    *Snapshot
		want vip.Ownership
		said []vip.Trouble
	}{
		{"nobody answers here", three(forwarded, deaf("no route to host"), answeredBy(), unseen), vip.Owned, nil},
		{"strangers answer for the VIP", three(strangers...), vip.Owned, nil},
		{"the same without a proxy is a foreign host", three(append(strangers, func(s *Snapshot) { s.Forwarded = false })...), vip.Disputed, []vip.Trouble{vip.ForeignHost, vip.ForeignHost, vip.ForeignHost}},
		{"somebody answers at the owner's address, and nobody on the VIP", three(forwarded, named(1), deaf("no route to host"), theAddress(func(v *VIP) { v.Apid = Missed[Certificate](errDown) })), vip.Owned, nil},
		{"the same without a proxy is unreachable", three(named(1), deaf("no route to host"), theAddress(func(v *VIP) { v.Apid = Missed[Certificate](errDown) })), vip.Owned, []vip.Trouble{vip.Unreachable}},
		{"a stranger at the owner's address is not ready", three(forwarded, owner(failing)), vip.Owned, nil},
		{"the owner itself is not ready", three(forwarded, owner(failing), named(1)), vip.Owned, []vip.Trouble{vip.OwnerNotServing}},
		{"the owner refuses, or somebody does", three(forwarded, owner(APIServer{Error: "connection refused"})), vip.Owned, nil},
		{"another node answers here, surely", three(forwarded, shows("f2"), named(2)), vip.Disputed, []vip.Trouble{vip.AnsweredElsewhere}},
		{"the address is left over on a second node", three(append(strangers, on(2, carries("10.5.0.50/32", "eth0")))...), vip.SplitBrain, []vip.Trouble{vip.TwoOwners, vip.LeftoverAddress}},
		{"a silent node answers on the wire", three(forwarded, answeredBy("02:00:00:00:00:02", "02:00:00:00:00:99"), on(2, func(n *Node) { n.Addresses = Missed[[]Address](errDown) })), vip.SplitBrain, []vip.Trouble{vip.TwoOwners, vip.ForeignHost}},
		{"nobody has it, and a stranger answers here", three(append(strangers, on(1, func(n *Node) { n.Addresses = three().Nodes[1].Addresses }))...), vip.Unowned, []vip.Trouble{vip.NoOwner}},
		{"a node is silent, and a stranger answers here", three(append(strangers, on(1, func(n *Node) { n.Addresses = Missed[[]Address](errDown) }))...), vip.Unknown, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			verdict := tt.s.Judge(theVIP)
			var said []vip.Trouble
			for _, f := range append(verdict.Findings, tt.s.Findings(theVIP, verdict)...) {
				said = append(said, f.Trouble)
			}
			if verdict.Ownership != tt.want || !slices.Equal(said, tt.said) {
				t.Errorf("Judge = %v (%s), findings %v; want %v, %v", verdict.Ownership, verdict.Reason, said, tt.want, tt.said)
			}
		})
	}
}

// A proxy never hides a holder: whatever this machine sees or does not, the
// nodes that hold the address by their own word, or answer on the wire, are owners
// just as they are without one.
func TestAProxyHidesNoOwner(t *testing.T) {
	silent := func(n *Node) { n.Addresses = Missed[[]Address](errDown) }
	nodes := [][]change{{}, {on(2, carries("10.5.0.50/32", "eth0"))}, {on(2, silent)}, {on(1, silent)}, {on(1, silent), on(2, silent)}, {unseen}}
	certs := []change{shows("f1"), shows("f2"), shows("f9"), deaf("refused")}
	wires := []change{answeredBy(), answeredBy("02:00:00:00:00:01"), answeredBy("02:00:00:00:00:02"), answeredBy("02:00:00:00:00:01", "02:00:00:00:00:02"), answeredBy("02:00:00:00:00:99")}
	for _, n := range nodes {
		for _, c := range certs {
			for _, w := range wires {
				s := three(append(append([]change{}, n...), c, w)...)
				direct := vip.Judge(s.Claims(theVIP))
				s.Forwarded = true
				through := vip.Judge(s.Claims(theVIP))
				if direct.Ownership == vip.SplitBrain && through.Ownership != vip.SplitBrain {
					t.Errorf("a split brain is %v (%s) through a proxy; its owners are %v", through.Ownership, through.Reason, direct.Owners)
				}
				if through.Ownership == vip.Unowned && direct.Ownership != vip.Unowned && direct.Ownership != vip.Disputed {
					t.Errorf("%v (%s) is unowned through a proxy", direct.Ownership, direct.Reason)
				}
			}
		}
	}
}
