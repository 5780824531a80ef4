package vip

import "slices"

// Judge weighs what the witnesses said of one VIP at one moment.
//
// A node's own word on its addresses decides who holds the VIP. A node that is
// silent about itself, and answers for the address on the wire, counts beside
// the holders, so that no silence hides a second owner. Two are a split brain
// whatever else is said; one is the owner unless another witness contradicts;
// and where every node answered that it has not, nobody is.
//
// Silence proves nothing: it never makes a VIP unowned, and never takes an
// owner away. Where somebody is silent and nobody holds the address by his own
// word, the verdict is Unknown even if other witnesses agree on the silent one;
// the reason names whom. Only where no node was asked at all does a node own
// the address by answering for it, by its certificate or on the wire.
//
// Two holders, or a contradiction, at one moment may be a handover: see
// NeedsSecondLook and Confirm.
func Judge(claims []Claim) Verdict {
	h := hear(claims)
	owners := h.owners()
	v := Verdict{Owners: h.holders, Silent: h.silent, Findings: h.findings(owners)}
	switch {
	case len(owners) > 1:
		v.Ownership, v.Owners, v.Reason = SplitBrain, owners, h.standing(owners)
	case len(v.Findings) > 0:
		v.Ownership, v.Reason = Disputed, v.Findings[0].Text
		if v.Remembered = h.remembered(owners); v.Remembered {
			v.Reason += "; " + owners[0] + " answers on the wire, which corrects this entry, but not those of other machines"
		}
	case len(h.holders) == 1:
		v.Ownership, v.Reason = Owned, h.standing(owners)
	case h.allFree():
		v.Ownership, v.Reason = Unowned, "every node answered and none holds the address"
		v.Findings = []Finding{{Trouble: NoOwner, Text: v.Reason}}
	case !h.asked() && len(owners) == 1:
		v.Ownership, v.Owners = Owned, owners
		v.Reason = h.standing(owners) + ", and no node was asked whether it holds it"
	default:
		v.Ownership, v.Reason = Unknown, h.unknown()
	}
	if len(h.mute) > 0 && v.Ownership != Unknown {
		v.Reason += "; silent: " + list(h.mute)
	}
	return v
}

// hearing is the claims, sorted by what they can prove. A node that was asked
// twice may be in two of the lists.
type hearing struct {
	// holders hold the address by their own word, free answered that they do
	// not, mute did not answer; each once, in the order of the claims.
	holders, free, mute []string
	// by is how each holder came to it.
	by map[string]Origin
	// others are the answers of the other witnesses.
	others []Claim
	silent []Claim
}

func hear(claims []Claim) hearing {
	h := hearing{by: map[string]Origin{}}
	for _, c := range claims {
		switch {
		case witnessNames[c.Witness] == "": // no witness
		case c.Witness == Address:
			h.hearNode(c)
		case c.Err != "":
			h.silent = append(h.silent, c)
		case c.Owner == "" && c.Stranger == "" && c.Witness != Election:
			c.Err = "nobody answered"
			h.silent = append(h.silent, c)
		default:
			h.others = append(h.others, c)
		}
	}
	return h
}

// hearNode hears what a node says of its own addresses; none can speak for
// another.
func (h *hearing) hearNode(c Claim) {
	switch {
	case c.Err == "" && c.Owner == "":
		h.free = add(h.free, c.From)
		return
	case c.Err == "" && c.Owner == c.From:
		h.holders = add(h.holders, c.From)
		h.by[c.From] = max(h.by[c.From], c.By)
		return
	case c.Err == "":
		c.Err = c.From + " cannot speak for " + c.Owner
	}
	h.mute = add(h.mute, c.From)
	h.silent = append(h.silent, c)
}

// owners are the holders, and the nodes that answer on the wire and said
// nothing of themselves. Where there is none, it is the node whose certificate
// is shown, if it said nothing either. The kernel's memory and a key in etcd do
// not show that anybody holds the address.
func (h hearing) owners() []string {
	owners := slices.Clone(h.holders)
	for _, c := range h.others {
		if c.Witness == ARP && h.unheard(c.Owner) {
			owners = add(owners, c.Owner)
		}
	}
	for _, c := range h.others {
		if len(owners) == 0 && c.Witness == Certificate && h.unheard(c.Owner) {
			owners = add(owners, c.Owner)
		}
	}
	return owners
}

// unheard says that the node did not say whether it holds the address.
func (h hearing) unheard(node string) bool {
	return node != "" && !slices.Contains(h.holders, node) && !slices.Contains(h.free, node)
}

// asked says that any node was asked for its addresses.
func (h hearing) asked() bool { return len(h.holders)+len(h.free)+len(h.mute) > 0 }

// allFree says that every node that was asked does not hold the address.
func (h hearing) allFree() bool { return len(h.free) > 0 && len(h.holders)+len(h.mute) == 0 }

// standing says how those who have the address have it, for people.
func (h hearing) standing(owners []string) string {
	var hold, answer []string
	for _, owner := range owners {
		if slices.Contains(h.holders, owner) {
			hold = append(hold, owner)
		} else {
			answer = append(answer, owner)
		}
	}
	switch {
	case len(owners) == 0:
		return "no node that answered holds the address"
	case len(hold) == 0:
		return list(answer) + verb(answer, " answers", " answer") + " for the address"
	case len(answer) == 0:
		return list(hold) + verb(hold, " holds", " hold") + " the address"
	default:
		return list(hold) + verb(hold, " holds", " hold") + " the address, and " +
			list(answer) + verb(answer, ", silent itself, answers", ", silent themselves, answer") + " for it on the wire"
	}
}

// unknown says why it cannot be told who has the address, and whom the
// witnesses name.
func (h hearing) unknown() string {
	var reason string
	switch {
	case len(h.free) > 0:
		reason = "nobody who answered holds the address, and " + list(h.mute) + " did not say"
	case len(h.mute) > 0:
		reason = list(h.mute) + " did not say"
	case len(h.others) == 0:
		return "no witness answered"
	default:
		reason = "no node was asked whether it holds the address"
	}
	var nodes []string
	for _, c := range h.others {
		if c.Owner != "" {
			nodes = add(nodes, c.Owner)
		}
	}
	for _, node := range slices.Sorted(slices.Values(nodes)) {
		reason += "; " + h.naming(node)
	}
	return reason
}

// naming says which of the other witnesses name the node.
func (h hearing) naming(node string) string {
	var who []string
	for _, w := range []struct {
		witness Witness
		called  string
	}{{Certificate, "certificate"}, {ARP, "wire"}, {Neighbour, "neighbour table"}, {Election, "election"}} {
		if slices.ContainsFunc(h.others, func(c Claim) bool { return c.Witness == w.witness && c.Owner == node }) {
			who = append(who, w.called)
		}
	}
	return "the " + list(who) + verb(who, " names ", " name ") + node
}
