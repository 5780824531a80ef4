package vip

import (
	"cmp"
	"fmt"
	"slices"
)

// Trouble is the kind of a finding. They are in the order of their weight, the
// gravest first. The zero value is none.
type Trouble int

// The kinds of trouble. Judge finds those down to KeyWithoutOwner in the claims;
// the others need more than claims, and change no verdict.
const (
	_                 Trouble = iota
	TwoOwners                 // two nodes hold the address
	NoOwner                   // every node answered, and none holds it
	ForeignHost               // somebody who is no node of the cluster answers for it
	LeftoverAddress           // a node holds it that nothing of Talos gave it to
	StaticAddress             // a node holds it by its configuration, whoever is elected
	StaleARP                  // the segment, or this machine, still sends to a node that let go
	ProxyARP                  // a node without it answers for it, beside the owner
	AnsweredElsewhere         // connections from here end at a node that is not the owner
	OwnerWithoutKey           // the owner is not the one who was elected
	KeyWithoutOwner           // somebody was elected, and does not hold it
	DuplicateAddress          // the owner's kernel found the address in use, and keeps it off
	Unreachable               // the owner has it, and nobody answers on it from here
	OwnerNotServing           // the owner's kube-apiserver does not serve
	Ghost                     // a key in the queue with which nobody campaigns
)

var troubleNames = map[Trouble]string{
	TwoOwners: "twoOwners", NoOwner: "noOwner", ForeignHost: "foreignHost",
	LeftoverAddress: "leftoverAddress", StaticAddress: "staticAddress",
	StaleARP: "staleARP", ProxyARP: "proxyARP", AnsweredElsewhere: "answeredElsewhere",
	OwnerWithoutKey: "ownerWithoutKey", KeyWithoutOwner: "keyWithoutOwner",
	DuplicateAddress: "duplicateAddress", Unreachable: "unreachable", OwnerNotServing: "ownerNotServing", Ghost: "ghost",
}

// String returns the word used in output and JSON, such as staleARP.
func (t Trouble) String() string {
	if s, ok := troubleNames[t]; ok {
		return s
	}
	return fmt.Sprintf("trouble(%d)", int(t))
}

// Troubles returns every kind of trouble, the gravest first.
func Troubles() []Trouble {
	list := make([]Trouble, 0, len(troubleNames))
	for t := TwoOwners; t <= Ghost; t++ {
		list = append(list, t)
	}
	return list
}

// Finding is something wrong that the cluster shows. What could not be asked is
// none: see Verdict.Silent.
type Finding struct {
	Trouble Trouble
	// Node is the node to look at, "" where it is no single one.
	Node string
	// Text is a sentence for people, lower case, without a full stop.
	Text string
}

// tidy puts findings into the order of their weight, each once, so that the
// order of the claims does not show.
func tidy(findings []Finding) []Finding {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Trouble, b.Trouble), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(findings)
}
