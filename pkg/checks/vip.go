package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

func vipConfiguredAlike(s *cluster.Snapshot) Finding {
	t := among(s)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		configured, ok := n.VIPs.Get()
		if !ok {
			missOf(&t, n, "configured VIPs", n.VIPs)
			continue
		}
		missing := slices.DeleteFunc(addrs(s.VIPs), func(a netip.Addr) bool { return slices.Contains(configured, a) })
		for _, a := range missing {
			t.say(Fail, "%s does not have %s configured", n.Name, a)
		}
		if len(missing) == 0 {
			t.pass()
		}
	}
	if len(s.VIPs) == 0 && t.good > 0 && t.good == len(s.Nodes) {
		return Finding{Fail, vip.Count(t.good, "node answers", "nodes answer") + ", and no VIP is configured anywhere",
			"add a Layer2VIPConfig document, or vip.ip to the interface, on every control-plane node: talosctl -n " + everyNode(s) + " edit machineconfig"}
	}
	return t.finding(joined(addrs(s.VIPs))+" on "+vip.Count(t.good, "node", "nodes"),
		"configure the VIP alike on every control-plane node: where it is missing the node never takes over; talosctl -n "+t.blamed(s)+" edit machineconfig")
}

func vipOneOwner(s *cluster.Snapshot) Finding {
	var t tally
	var owned []string
	hint := "vipctl owner shows what each witness says, and what to do; without quorum in etcd nobody can be elected"
	for _, v := range s.VIPs {
		verdict := s.Judge(v.Addr)
		switch {
		case verdict.Ownership == vip.Owned && len(verdict.SilentNodes()) > 0:
			t.say(Warn, "%s is owned by %s, as far as is known: %s", v.Addr, verdict.Owners[0], silent(verdict))
		case verdict.Ownership == vip.Owned:
			t.pass()
			owned = append(owned, fmt.Sprintf("%s is owned by %s", v.Addr, verdict.Owners[0]))
		case verdict.Ownership == vip.Unowned && len(s.Nodes) > 0:
			t.say(Fail, "%s is on no node", v.Addr)
		case verdict.Ownership == vip.SplitBrain:
			t.say(Fail, "split brain: %s is on %s", v.Addr, strings.Join(verdict.Owners, " and "))
			hint = splitBrainHint(s, v.Addr, verdict)
		case verdict.Ownership == vip.Disputed && len(verdict.Owners) == 1:
			t.say(Warn, "%s is on %s alone, and another witness contradicts: see vip-witnesses-agree", v.Addr, verdict.Owners[0])
		case verdict.Ownership == vip.Disputed:
			t.say(Fail, "%s: %s", v.Addr, verdict.Reason)
		default:
			t.say(Unknown, "%s: nobody who answered has it; %s", v.Addr, silent(verdict))
		}
	}
	if len(s.VIPs) == 0 {
		return Finding{Skip, "no VIP is known", ""}
	}
	return t.finding(strings.Join(owned, "; "), hint)
}

// splitBrainHint names the node whose address is wrong where its origin tells, or
// the election that somebody asked for; else it says how to find out.
func splitBrainHint(s *cluster.Snapshot, addr netip.Addr, verdict vip.Verdict) string {
	for _, telling := range [][]vip.Trouble{{vip.LeftoverAddress, vip.StaticAddress}, {vip.OwnerWithoutKey}} {
		var hints []string
		for _, f := range verdict.Findings {
			if slices.Contains(telling, f.Trouble) {
				hints = append(hints, fmt.Sprintf("%s should not have it: %s", f.Node, remedy(s, f, addr, verdict.Owners)))
			}
		}
		if len(hints) > 0 && len(hints) < len(verdict.Owners) {
			return strings.Join(hints, "; ")
		}
	}
	return remedy(s, vip.Finding{Trouble: vip.TwoOwners}, addr, verdict.Owners)
}

// silent names the nodes that may hide an owner.
func silent(v vip.Verdict) string {
	nodes := v.SilentNodes()
	if len(nodes) == 0 {
		return "nobody was asked"
	}
	var words []string
	for _, c := range nodes {
		verb := "is"
		if c.From == cluster.Others {
			verb = "are"
		}
		words = append(words, fmt.Sprintf("%s %s silent (%s)", c.From, verb, c.Err))
	}
	return strings.Join(words, ", ")
}

func vipAnswers(s *cluster.Snapshot) Finding {
	return eachVIP(s, "a kube-apiserver answers on "+joined(addrs(s.VIPs)),
		notAnsweredHint(s),
		func(t *tally, v cluster.VIP) {
			got, ok := v.APIServer.Get()
			who := netip.AddrPortFrom(v.Addr, apiServerPort)
			switch {
			case !answersHere(s, v):
				t.elsewhere(who.String())
			case !ok:
				miss(t, who.String(), "answer", v.APIServer)
			case got.HandshakeOnly():
				t.say(Unknown, "%s shows a certificate, and was not asked whether it is ready", who)
			case !got.Answered:
				t.say(Fail, "%s does not answer: %s", who, orElse(got.Error, "no reason known"))
			case got.Status >= 500:
				t.say(Fail, "%s answers with HTTP %d: not ready", who, got.Status)
			case !speaksKubernetes(got.Status):
				t.say(Fail, "%s answers with HTTP %d: no kube-apiserver", who, got.Status)
			default:
				t.pass()
			}
		})
}

// notAnsweredHint is about the owner where it is known what keeps it from
// answering, or its answers from coming here.
func notAnsweredHint(s *cluster.Snapshot) string {
	for _, v := range s.VIPs {
		verdict := s.Judge(v.Addr)
		for _, f := range s.Findings(v.Addr, verdict) {
			if f.Trouble == vip.Unreachable || f.Trouble == vip.OwnerNotServing {
				return Remedy(s, f, v.Addr, verdict)
			}
		}
	}
	return "see vip-one-owner and apiserver-ready: an owner keeps the VIP even when its own kube-apiserver is dead"
}

func vipAnsweredByOwner(s *cluster.Snapshot) Finding {
	return eachVIP(s, "the owner's certificate is presented on "+joined(addrs(s.VIPs)),
		"a neighbour's ARP entry may be stale, or another machine has the address: compare ip neigh show "+joined(addrs(s.VIPs))+" with vipctl owner -o wide",
		func(t *tally, v cluster.VIP) {
			seen := v.APIServer.Value().Certificate.Fingerprint
			switch {
			case !answersHere(s, v):
				t.elsewhere(v.Addr.String())
				return
			case seen == "":
				t.say(Unknown, "%s: the serving certificate is not known", v.Addr)
				return
			}
			bearers, blind := whoseCertificate(s, seen)
			owners := s.Judge(v.Addr).Owners
			switch {
			case len(bearers) == 0 && len(blind) > 0:
				t.say(Unknown, "%s: the certificate may be that of %s", v.Addr, strings.Join(blind, " or "))
			case len(bearers) == 0:
				t.say(Fail, "%s is answered by a server that is no control-plane node's", v.Addr)
			case len(bearers) > 1:
				t.say(Unknown, "%s: %s present the same certificate", v.Addr, strings.Join(bearers, " and "))
			case len(owners) == 0:
				t.say(Unknown, "%s is answered by %s, and no owner is known", v.Addr, bearers[0])
			case !slices.Contains(owners, bearers[0]):
				t.say(Fail, "%s is on %s, and answered by %s", v.Addr, strings.Join(owners, " and "), bearers[0])
			default:
				t.pass()
			}
		})
}

// answersHere says whether what answers on the VIP from here is one of the nodes,
// and not perhaps another network's.
func answersHere(s *cluster.Snapshot, v cluster.VIP) bool {
	cert := v.APIServer.Value().Certificate
	return !s.Forwarded || slices.ContainsFunc(s.Nodes, func(n cluster.Node) bool {
		return n.APIServer.Value().Certificate.Fingerprint == cert.Fingerprint && s.AnswersAs(&n, cert)
	})
}

// whoseCertificate returns the nodes that present that certificate on their
// own address, and those of which it is not known what they present.
func whoseCertificate(s *cluster.Snapshot, fingerprint string) (bearers, blind []string) {
	for i := range s.Nodes {
		switch s.Nodes[i].APIServer.Value().Certificate.Fingerprint {
		case fingerprint:
			bearers = append(bearers, s.Nodes[i].Name)
		case "":
			blind = append(blind, s.Nodes[i].Name)
		}
	}
	return bearers, blind
}

func addrs(vips []cluster.VIP) []netip.Addr {
	list := make([]netip.Addr, 0, len(vips))
	for _, v := range vips {
		list = append(list, v.Addr)
	}
	return list
}

func joined(list []netip.Addr) string {
	words := make([]string, 0, len(list))
	for _, a := range list {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
