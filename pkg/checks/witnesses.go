package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// shownElsewhere are the troubles that other checks tell: vip-one-owner,
// vip-answers and apiserver-ready.
var shownElsewhere = []vip.Trouble{vip.TwoOwners, vip.NoOwner, vip.Unreachable, vip.OwnerNotServing}

func witnessesAgree(s *cluster.Snapshot) Finding {
	var t tally
	var good, hints []string
	for _, v := range s.VIPs {
		verdict := s.Judge(v.Addr)
		found := troubles(s, v.Addr, verdict)
		for _, f := range found {
			status := Fail
			if f.Trouble == vip.Ghost { // it only makes the next failover longer
				status = Warn
			}
			t.say(status, "%s: %s", v.Addr, f.Text)
			hints = append(hints, Remedy(s, f, v.Addr, verdict))
		}
		if len(found) == 0 {
			good = append(good, testimony(&t, s, v.Addr, verdict)...)
		}
	}
	if len(s.VIPs) == 0 {
		return Finding{Skip, "no VIP is known", ""}
	}
	return t.finding(strings.Join(good, "; "), strings.Join(distinct(hints), "; "))
}

// troubles are what contradicts the owner, or threatens it.
func troubles(s *cluster.Snapshot, addr netip.Addr, verdict vip.Verdict) []vip.Finding {
	return slices.DeleteFunc(slices.Concat(verdict.Findings, s.Findings(addr, verdict)), func(f vip.Finding) bool {
		return slices.Contains(shownElsewhere, f.Trouble)
	})
}

// testimony says which witnesses beside the nodes themselves name the owner, and
// which could not be asked. Without any there is nothing to compare: that the
// segment cannot be asked from here is no fault of the cluster.
func testimony(t *tally, s *cluster.Snapshot, addr netip.Addr, verdict vip.Verdict) []string {
	if verdict.Ownership != vip.Owned {
		status := Skip
		if verdict.Ownership == vip.Unknown {
			status = Unknown
		}
		t.say(status, "%s has no one owner to compare with: see %s", addr, OneOwner)
		return nil
	}
	var agree, silent []string
	for _, c := range s.Claims(addr) {
		switch {
		case c.Witness == vip.Address:
		case c.Err != "" && !s.Forwarded && answered(s, addr, c.Witness): // and it cannot be told for whom
			t.say(Unknown, "%s: %s", addr, c.Err)
		case c.Err != "":
			words := map[Silence]string{NotAsked: "could not be asked", NoAnswer: "gave no answer", Unclear: "does not tell"}
			silent = append(silent, fmt.Sprintf("%s %s (%s)", c.Witness, words[SilenceOf(s, addr, c)], c.Err))
		case c.Owner == verdict.Owners[0]:
			agree = append(agree, c.Witness.String())
		}
	}
	agree, silent = distinct(agree), distinct(silent)
	if len(t.said[Unknown]) > 0 {
		return nil
	}
	if len(agree) == 0 {
		t.say(Skip, "%s: nobody but the nodes themselves says who has it: %s", addr, orElse(strings.Join(silent, ", "), "no other witness was asked"))
		return nil
	}
	t.pass()
	return []string{strings.Join(append([]string{
		fmt.Sprintf("%s is on %s, also by %s", addr, verdict.Owners[0], strings.Join(agree, ", "))}, silent...), "; ")}
}

// answered says that the witness did name somebody, be it one whom no node is
// known by.
func answered(s *cluster.Snapshot, addr netip.Addr, w vip.Witness) bool {
	v := vipOf(s, addr)
	if v == nil {
		return false
	}
	switch w {
	case vip.Certificate:
		return v.APIServer.Value().Certificate.Fingerprint != "" || v.Apid.Value().Fingerprint != ""
	case vip.ARP:
		return len(v.ARP.Value()) > 0
	case vip.Neighbour:
		return v.Neighbour.Value().HardwareAddr != ""
	default:
		return false
	}
}
