package vip

import (
	"fmt"
	"slices"
	"strings"
)

// Judge weighs what the witnesses said of one VIP at one moment.
//
// A node's own word on its addresses decides who holds the VIP: two holders
// are a split brain whatever else is said; one is the owner unless another
// witness names somebody else, or nobody; and where every node answered that
// it has not, nobody is. Silence proves nothing: it never makes a VIP unowned,
// and never takes an owner away. Where no node was asked at all, a node that
// answers for the address (by its certificate, or on the wire) owns it; a key
// in etcd alone does not show that anybody holds the address.
//
// Two holders at one moment may be a handover, see Confirm.
func Judge(claims []Claim) Verdict {
	h := hear(claims)
	v := Verdict{Owners: h.holders, Silent: h.silent}
	switch {
	case len(h.holders) > 1:
		v.Ownership, v.Reason = SplitBrain, list(h.holders)+" hold the address"
	case len(h.holders) == 1:
		v.Ownership, v.Reason = h.judgeHolder(h.holders[0])
	case h.asked:
		v.Ownership, v.Reason = h.judgeNoHolder()
	default:
		v.judgeOutside(h.others)
	}
	if len(h.silent) > 0 && v.Ownership != Unknown {
		v.Reason += "; silent: " + list(sources(h.silent))
	}
	return v
}

// hearing is the claims, sorted by what they can prove.
type hearing struct {
	// asked says that there is an address claim, be it silent.
	asked bool
	// holders hold the address by their own word, and free answered that they
	// do not; each once, in the order of the claims.
	holders, free []string
	// others are the answers of the other witnesses.
	others []Claim
	silent []Claim
}

func hear(claims []Claim) hearing {
	var h hearing
	for _, c := range claims {
		if _, known := witnessNames[c.Witness]; !known {
			continue
		}
		h.asked = h.asked || c.Witness == Address
		switch {
		case c.Err != "":
			h.silent = append(h.silent, c)
		case c.Witness != Address:
			h.others = append(h.others, c)
		case c.Owner == "":
			h.free = add(h.free, c.From)
		case c.Owner == c.From:
			h.holders = add(h.holders, c.From)
		default:
			c.Err = fmt.Sprintf("%s cannot speak for %s", c.From, c.Owner)
			h.silent = append(h.silent, c)
		}
	}
	return h
}

// judgeHolder is for one holder: does anybody contradict it?
func (h hearing) judgeHolder(holder string) (Ownership, string) {
	for _, c := range h.others {
		if c.Owner != holder {
			return Disputed, fmt.Sprintf("%s holds the address, but the %s names %s", holder, c.Witness, orNobody(c.Owner))
		}
	}
	return Owned, holder + " holds the address"
}

// judgeNoHolder is for nodes that were asked and of which none says that it
// holds the address. Who is silent may hold it; who denies it is contradicted
// by a witness that names him.
func (h hearing) judgeNoHolder() (Ownership, string) {
	mute := h.silentNodes()
	for _, c := range h.others {
		if c.Owner != "" && (len(mute) == 0 || slices.Contains(h.free, c.Owner)) {
			return Disputed, fmt.Sprintf("the %s names %s, which does not hold the address", c.Witness, c.Owner)
		}
	}
	if len(mute) == 0 {
		return Unowned, "every node answered and none holds the address"
	}
	reason := "nobody who answered holds the address, and " + list(mute) + " did not answer"
	for _, c := range h.others {
		if c.Owner != "" {
			reason += fmt.Sprintf("; the %s names %s", c.Witness, c.Owner)
		}
	}
	return Unknown, reason
}

func (h hearing) silentNodes() []string {
	var nodes []string
	for _, c := range h.silent {
		if c.Witness == Address {
			nodes = add(nodes, c.From)
		}
	}
	return nodes
}

// judgeOutside is for when no node was asked about its addresses.
func (v *Verdict) judgeOutside(others []Claim) {
	if len(others) == 0 {
		v.Ownership, v.Reason = Unknown, "no witness answered"
		return
	}
	named, direct := others[0].Owner, false
	for _, c := range others {
		if c.Owner != named {
			v.Ownership = Disputed
			v.Reason = fmt.Sprintf("the %s names %s, but the %s names %s",
				others[0].Witness, orNobody(named), c.Witness, orNobody(c.Owner))
			return
		}
		direct = direct || c.Witness != Election
	}
	switch {
	case named == "":
		v.Ownership, v.Reason = Unknown, "no witness names an owner, and no node was asked"
	case !direct:
		v.Ownership, v.Reason = Unknown, fmt.Sprintf("%s was elected, and no node was asked whether it holds the address", named)
	default:
		v.Ownership, v.Owners = Owned, []string{named}
		v.Reason = named + " answers for the address, and no node was asked whether it holds it"
	}
}

// sources names who was silent, for people.
func sources(claims []Claim) []string {
	var names []string
	for _, c := range claims {
		if c.Witness == Address {
			names = add(names, c.From)
		} else {
			names = add(names, "the "+c.Witness.String())
		}
	}
	return names
}

// add appends a name that is not there yet.
func add(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// list joins names: a, b and c.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func orNobody(owner string) string {
	if owner == "" {
		return "nobody"
	}
	return owner
}
