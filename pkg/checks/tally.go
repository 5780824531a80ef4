package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// tally collects what a check has to say, mostly node by node, and makes one
// finding of it. The zero value is ready to use, and is Unknown.
type tally struct {
	said [Skip + 1][]string // by status
	good int
	// of is how many nodes or members are judged, and mute are those of them that
	// said nothing at all.
	of   int
	mute []string
	// unseen are those whose servers nobody here is known to have seen.
	unseen []string
}

// among is the tally of a check that judges every node.
func among(s *cluster.Snapshot) tally { return tally{of: len(s.Nodes)} }

func (t *tally) pass() { t.good++ }

// say says it once, however many VIPs it is said for.
func (t *tally) say(s Status, format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(t.said[s], text) {
		t.said[s] = append(t.said[s], text)
	}
}

// culprits are the nodes on which the worst was said, a failure or else a warning,
// each by "NODE: ..." or "NODE is ...", or as an owner of what it is about.
func (t *tally) culprits(s *cluster.Snapshot) []*cluster.Node {
	said := t.said[Fail]
	if len(said) == 0 {
		said = t.said[Warn]
	}
	var list []*cluster.Node
	for i := range s.Nodes {
		name := s.Nodes[i].Name
		if slices.ContainsFunc(said, func(text string) bool {
			for _, owned := range []string{"the kubelet of ", "etcd on ", "member "} {
				text = strings.TrimPrefix(text, owned)
			}
			return strings.HasPrefix(text, name+":") || strings.HasPrefix(text, name+" ")
		}) {
			list = append(list, &s.Nodes[i])
		}
	}
	return list
}

// blamed are the culprits as talosctl takes them, with commas; all nodes where it
// is none of them alone.
func (t *tally) blamed(s *cluster.Snapshot) string {
	var list []string
	for _, n := range t.culprits(s) {
		list = append(list, reached(s, n.Name))
	}
	return orElse(strings.Join(list, ","), everyNode(s))
}

// oneByOne is a command with %s for each of the nodes, which are separated by
// commas: to be given to one after the other.
func oneByOne(command, nodes string) string {
	var list []string
	for _, n := range strings.Split(nodes, ",") {
		list = append(list, fmt.Sprintf(command, n))
	}
	return strings.Join(list, ", then ")
}

// everyNode are all nodes as talosctl takes them, with commas.
func everyNode(s *cluster.Snapshot) string {
	list := make([]string, 0, len(s.Nodes))
	for i := range s.Nodes {
		list = append(list, reached(s, s.Nodes[i].Name))
	}
	return strings.Join(list, ",")
}

// miss counts a fact that could not be learned, and why.
func miss[T any](t *tally, who, what string, fact cluster.Seen[T]) {
	status := Unknown
	if denied(fact.Err()) {
		status = Skip
	}
	t.say(status, "%s: %s not known: %s", who, what, fact.Err())
}

// missOf is miss for a fact of a node. Where the node said nothing at all, that
// is the news, and nodes-answer tells it.
func missOf[T any](t *tally, n *cluster.Node, what string, fact cluster.Seen[T]) {
	if saidNothing(n) && fact.Err() == n.Reachable.Err() {
		t.silence(n)
		return
	}
	miss(t, n.Name, what, fact)
}

// saidNothing says that the node was asked, and said nothing.
func saidNothing(n *cluster.Node) bool {
	return !n.Reachable.Known() && n.Reachable != cluster.Seen[bool]{}
}

// silence counts a node that said nothing.
func (t *tally) silence(n *cluster.Node) {
	if !slices.Contains(t.mute, n.Name) {
		t.mute = append(t.mute, n.Name)
	}
}

// elsewhere counts a node, or a VIP, of which it cannot be told from here who
// answers there, for nodes are reached through a proxy. It is no fault of the
// cluster.
func (t *tally) elsewhere(who string) {
	if !slices.Contains(t.unseen, who) {
		t.unseen = append(t.unseen, who)
	}
}

const (
	seenElsewhere = "cannot be seen from here: nodes are reached through a proxy, and who answers at such an address here may be another network's"
	hintElsewhere = "run vipctl in the nodes' own network, with a talosconfig that has the nodes as endpoints"
)

// notSeen is what could not be seen from here, in few words.
func (t *tally) notSeen() []string {
	if len(t.unseen) == 0 {
		return nil
	}
	return []string{strings.Join(t.unseen, ", ") + " " + seenElsewhere}
}

// notKnown is what was not learned, in few words for the nodes that said
// nothing. rest says that nothing speaks against the others.
func (t *tally) notKnown(rest bool) []string {
	list := slices.Concat(t.said[Unknown], t.said[Skip], t.notSeen())
	if len(t.mute) == 0 {
		return list
	}
	words := notKnownOf + strings.Join(t.mute, ", ") + seeAnswers
	switch others := t.of - len(t.mute); {
	case !rest || t.good == 0 || len(list) > 0 || others < 1:
	case others == 1:
		words += "; the other one is well"
	default:
		words += fmt.Sprintf("; the other %d are well", others)
	}
	return append(list, words)
}

// denied says that the reason is a lack of rights: gRPC's code
// PermissionDenied (7) or HTTP's Forbidden, as their texts have it.
func denied(reason string) bool {
	reason = strings.ToLower(reason)
	for _, sign := range []string{"permissiondenied", "permission denied", "forbidden", cluster.NotAuthorized} {
		if strings.Contains(reason, sign) {
			return true
		}
	}
	return false
}

// finding makes one finding of all that was said. The worst counts; what is
// not known is named beside it. Good nodes make a Pass only where nothing
// else was said.
func (t *tally) finding(good, hint string) Finding {
	switch {
	case len(t.said[Fail]) > 0:
		return Finding{Fail, strings.Join(slices.Concat(t.said[Fail], t.said[Warn], t.notKnown(false)), "; "), hint}
	case len(t.said[Warn]) > 0:
		return Finding{Warn, strings.Join(slices.Concat(t.said[Warn], t.notKnown(false)), "; "), hint}
	case len(t.said[Unknown])+len(t.mute) > 0:
		return Finding{Unknown, strings.Join(t.notKnown(true), "; "), ""}
	case len(t.unseen) > 0:
		return Finding{Skip, strings.Join(slices.Concat(t.said[Skip], t.notSeen()), "; "), hintElsewhere}
	case len(t.said[Skip]) > 0:
		return Finding{Skip, strings.Join(t.said[Skip], "; "), ""}
	case t.good > 0:
		return Finding{Pass, good, ""}
	default:
		return Finding{Unknown, "no control-plane node was seen", ""}
	}
}

// eachVIP judges every VIP of the snapshot into one tally. Without a VIP there
// is nothing to judge; vip-configured-alike says so. %s in the hint is whom the
// worst was said of, as talosctl takes them.
func eachVIP(s *cluster.Snapshot, good, hint string, judge func(*tally, cluster.VIP)) Finding {
	if len(s.VIPs) == 0 {
		return Finding{Skip, "no VIP is known", ""}
	}
	t := among(s)
	for _, v := range s.VIPs {
		judge(&t, v)
	}
	return t.finding(good, strings.ReplaceAll(hint, "%s", t.blamed(s)))
}
