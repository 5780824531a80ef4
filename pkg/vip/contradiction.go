package vip

import (
	"fmt"
	"slices"
)

// findings are what contradicts in the claims, given who has the address as far
// as is known. Any of them is enough for a dispute.
func (h hearing) findings(owners []string) []Finding {
	var found []Finding
	if len(owners) > 1 {
		found = append(found, Finding{TwoOwners, "", h.standing(owners)})
	}
	for _, node := range h.holders {
		switch h.by[node] {
		case ByNobody:
			found = append(found, Finding{LeftoverAddress, node,
				fmt.Sprintf("leftover address: %s holds the address, and nothing of Talos wants it there", node)})
		case ByConfig:
			found = append(found, Finding{StaticAddress, node,
				fmt.Sprintf("static address: %s has the address by its configuration, and keeps it whoever is elected", node)})
		}
	}
	for _, c := range h.others {
		switch {
		case c.Witness == Election:
			found = append(found, h.keyFindings(c, owners)...)
		case c.Stranger != "":
			found = append(found, Finding{ForeignHost, "", h.foreign(c, owners)})
		case !slices.Contains(owners, c.Owner):
			found = append(found, h.misdirected(c, owners)...)
		case h.allFree(): // he was not asked, and everybody else says that it is not he
			found = append(found, Finding{ForeignHost, c.Owner,
				fmt.Sprintf("foreign host: no node holds the address, and %s, which is none of those asked, answers for it", c.Owner)})
		}
	}
	return tidy(found)
}

// foreign is the sentence on somebody who is no node of the cluster.
func (h hearing) foreign(c Claim, owners []string) string {
	text := "foreign host: " + h.standing(owners) + ", but "
	whose := "no control-plane node's"
	if len(c.Perhaps) > 0 {
		text = "foreign host, or " + oneOf(c.Perhaps) + ": " + h.standing(owners) + ", but "
		whose += " that answered"
	}
	switch c.Witness {
	case Certificate:
		return text + "the server that answers on it shows a certificate that is " + whose + ", " + short(c.Stranger)
	case Neighbour:
		return text + "this machine's neighbour table has " + c.Stranger + " for it, which is " + whose
	default:
		return text + c.Stranger + " answers for it on the wire, which is " + whose
	}
}

// misdirected is for a witness that names a node which is not an owner.
//
// Where nobody is, a node that is silent may be named, for it may be the owner;
// and this machine's neighbour table only remembers who was: neither
// contradicts.
func (h hearing) misdirected(c Claim, owners []string) []Finding {
	if len(owners) == 0 && (c.Witness == Neighbour || h.mayHold(c.Owner)) {
		return nil
	}
	standing := h.standing(owners)
	switch {
	case c.Witness == Certificate:
		return []Finding{{AnsweredElsewhere, c.Owner,
			fmt.Sprintf("answered elsewhere: %s, but the server that answers on it from here shows %s's certificate", standing, c.Owner)}}
	case c.Witness == Neighbour:
		return []Finding{{StaleARP, c.Owner,
			fmt.Sprintf("stale ARP: %s, but this machine's neighbour table has %s's hardware address for it", standing, c.Owner)}}
	case h.onWire(owners):
		return []Finding{{ProxyARP, c.Owner,
			fmt.Sprintf("proxy ARP: %s, and %s, which does not hold it, answers for it on the wire as well", standing, c.Owner)}}
	default:
		return []Finding{{StaleARP, c.Owner,
			fmt.Sprintf("stale ARP: %s, but the wire answers with %s's hardware address", standing, c.Owner)}}
	}
}

// onWire says that one of the owners answers for the address on the wire.
func (h hearing) onWire(owners []string) bool {
	return slices.ContainsFunc(h.others, func(c Claim) bool { return c.Witness == ARP && slices.Contains(owners, c.Owner) })
}

// remembered says that nothing but this machine's neighbour table contradicts,
// although the owner answers on the wire.
func (h hearing) remembered(owners []string) bool {
	h.others = slices.DeleteFunc(slices.Clone(h.others), func(c Claim) bool { return c.Witness == Neighbour })
	return h.onWire(owners) && len(h.findings(owners)) == 0
}

// mayHold says that the node did not deny that it holds the address, and that
// it may have been asked in vain.
func (h hearing) mayHold(node string) bool { return h.unheard(node) && !h.allFree() }

// keyFindings compares who was elected with who has the address.
func (h hearing) keyFindings(c Claim, owners []string) []Finding {
	elected := c.Owner
	switch {
	case c.Stranger != "":
		elected = c.Stranger + ", which is no node of the cluster"
		if len(c.Perhaps) > 0 {
			elected += " that answered"
		}
	case c.Owner == "":
		elected = "nobody"
	}
	var found []Finding
	for _, owner := range owners {
		if owner == c.Owner {
			continue
		}
		text := fmt.Sprintf("owner without key: %s, and the election names %s", h.standing([]string{owner}), elected)
		if slices.Contains(owners, c.Owner) {
			text += ", which has the address as well: that is the elected one"
		}
		found = append(found, Finding{OwnerWithoutKey, owner, text})
	}
	if len(owners) == 0 && elected != "nobody" && !h.mayHold(c.Owner) {
		found = append(found, Finding{KeyWithoutOwner, c.Owner,
			fmt.Sprintf("key without owner: the election names %s, and %s", elected, h.standing(nil))})
	}
	return found
}
