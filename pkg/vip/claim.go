// Package vip is the domain of a Talos virtual (shared) IP: who owns it,
// judged from what each witness says, and how long a failover takes.
//
// It does no I/O. Witnesses are asked by the adapters; this package only
// weighs what they said.
package vip

import "fmt"

// Witness is a way of learning who has the VIP.
type Witness int

// The witnesses, from the most to the least direct. The zero value is no
// witness and is never counted.
const (
	_ Witness = iota
	// Address is a node's own list of addresses (Talos AddressStatus). Each
	// node speaks for itself only: it has the VIP, or it has not.
	Address
	// Certificate is the serving certificate that VIP:6443 presents, compared
	// with each node's own, or where nobody speaks there apid's on port 50000.
	// It names the node that answers from here.
	Certificate
	// ARP is a hardware address that answers for the VIP on the segment, by ARP
	// or NDP: a claim for each that answered.
	ARP
	// Neighbour is the entry of this machine's kernel for the VIP, where it is in
	// use. It may be older than the last move, so it contradicts an owner, and
	// shows none.
	Neighbour
	// Election is the key in etcd that the owner holds.
	Election
)

var witnessNames = map[Witness]string{
	Address: "address", Certificate: "certificate", ARP: "arp", Neighbour: "neighbour", Election: "election",
}

// String returns the word used in output and JSON, such as neighbour.
func (w Witness) String() string {
	if s, ok := witnessNames[w]; ok {
		return s
	}
	return fmt.Sprintf("witness(%d)", int(w))
}

// Claim is what one witness said about one VIP, or that it said nothing.
//
// For Address, From is the node that was asked, and Owner is From where it
// has the address and "" where it answered that it has not. For the other
// witnesses From says where the question was asked from, and Owner is the
// node named. An election may answer that nobody has it: then it is "". Where
// somebody is named who is no node of the cluster, Owner is "" and Stranger says
// who. That nobody answers for the VIP, on the wire or by a certificate, is
// silence: a lost frame proves nothing.
//
// Err is why the witness could not be asked. A claim with Err says nothing
// about ownership; its node may be the owner.
type Claim struct {
	Witness Witness
	From    string
	Owner   string
	// Stranger is a hardware address, the fingerprint of a certificate, or for an
	// election "host" and a host name, that no node of the cluster has; "" where
	// there is none.
	Stranger string
	// Perhaps are nodes that told too little of themselves, so that the stranger
	// may be one of them.
	Perhaps []string
	// By is how the address came onto its node, for Address only.
	By  Origin
	Err string
}

// Origin is how an address came onto a node. The zero value is that it is not
// known.
type Origin int

// The origins of an address.
const (
	OriginUnknown Origin = iota
	ByElection           // the VIP operator put it there
	ByConfig             // the machine configuration, or the kernel's command line
	ByNobody             // the kernel has it, and nothing of Talos wants it there: left over
)
