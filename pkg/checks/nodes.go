package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

func nodesAnswer(s *cluster.Snapshot) Finding {
	var t tally
	var hints []string
	for i := range s.Nodes {
		n := &s.Nodes[i]
		answers, known := n.Reachable.Get()
		switch {
		case n.Reachable == cluster.Seen[bool]{}:
			miss(&t, n.Name, "answer", n.Reachable)
		case !known:
			t.say(Fail, "%s (%s) does not answer: %s", n.Name, n.Addr, n.Reachable.Err())
			hints = append(hints, bringBack(s, n, n.Reachable.Err()))
		case !answers:
			t.say(Fail, "%s (%s) does not answer", n.Name, n.Addr)
			hints = append(hints, bringBack(s, n, ""))
		case n.Via != "":
			t.say(Warn, "%s answers through %s only: %s", n.Name, n.Via, orElse(n.ViaReason, "no reason known"))
			hints = append(hints, bringBack(s, n, n.ViaReason))
			if !s.Forwarded && n.Addr.IsValid() {
				hints = append(hints, fmt.Sprintf("meanwhile talosctl -e %s -n %s reaches %s", n.Via, n.Addr, n.Name))
			}
		default:
			t.pass()
		}
	}
	return t.finding(fmt.Sprintf("%d of %s", t.good, vip.Count(len(s.Nodes), "node answers", "nodes answer")), strings.Join(distinct(hints), "; "))
}

// bringBack is what to do about a node that does not answer, or not directly, for
// that reason. One in maintenance mode, and one with a certificate out of date, were
// reached.
func bringBack(s *cluster.Snapshot, n *cluster.Node, why string) string {
	switch {
	case strings.Contains(why, "maintenance mode"):
		return "talosctl apply-config --insecure -n " + reached(s, n.Name) + " -f FILE gives the node its configuration back"
	case strings.Contains(why, "certificate expired"), strings.Contains(why, "certificate is not valid before"):
		return "compare the clocks, this machine's first: a node renews its certificate by itself, and when it boots"
	case s.Forwarded:
		return "check that the node is on, and that the proxy reaches it"
	default:
		return "check that the node is on, and that port 50000 of its own address is open from here"
	}
}

func nodesReady(s *cluster.Snapshot) Finding {
	t := among(s)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		stage, ok := n.Stage.Get()
		switch {
		case !ok:
			missOf(&t, n, "stage", n.Stage)
		case stage.Stage != "running":
			t.say(Fail, "%s is %s", n.Name, stage.Stage)
		case !stage.Ready && len(stage.Unmet) > 0:
			t.say(Fail, "%s is not ready: %s", n.Name, strings.Join(stage.Unmet, ", "))
		case !stage.Ready:
			t.say(Fail, "%s is not ready", n.Name)
		default:
			t.pass()
		}
	}
	return t.finding(vip.Count(t.good, "node is", "nodes are")+" running and ready",
		stageHint(t.blamed(s)))
}

func versionsAlike(s *cluster.Snapshot) Finding {
	t := among(s)
	var first *cluster.Node
	for i := range s.Nodes {
		n := &s.Nodes[i]
		v, ok := n.Version.Get()
		switch {
		case !ok:
			missOf(&t, n, "version", n.Version)
		case first == nil:
			first = n
			t.pass()
		case v.Tag != first.Version.Value().Tag:
			t.say(Warn, "%s runs %s, %s runs %s", first.Name, first.Version.Value().Tag, n.Name, v.Tag)
		default:
			t.pass()
		}
	}
	good := ""
	if first != nil {
		good = vip.Count(t.good, "node runs ", "nodes run ") + first.Version.Value().Tag
	}
	return t.finding(good, finishUpgrade(s))
}

// finishUpgrade says which nodes are behind the newest release, and how they get
// there.
func finishUpgrade(s *cluster.Snapshot) string {
	var newest release
	var built bool // by somebody, who alone knows its installer
	releases := make(map[*cluster.Node]release)
	for i := range s.Nodes {
		r, own, ok := parseRelease(s.Nodes[i].Version.Value().Tag)
		if !ok {
			continue
		}
		releases[&s.Nodes[i]] = r
		switch order := r.compare(newest); {
		case order > 0:
			newest, built = r, own
		case order == 0:
			built = built && own
		}
	}
	to := make(map[*cluster.Node]release)
	for n, r := range releases {
		if r.compare(newest) < 0 {
			to[n] = newest
		}
	}
	if built || len(to) == 0 {
		return "finish the upgrade, node by node, the VIP's owner last"
	}
	return "finish the upgrade, node by node, the VIP's owner last: " + upgradeSteps(s, to)
}

func hostnamesDiffer(s *cluster.Snapshot) Finding {
	t := among(s)
	bearer := make(map[string]netip.Addr)
	var odd []string
	for i := range s.Nodes {
		n := &s.Nodes[i]
		name, ok := n.Hostname.Get()
		other, taken := bearer[name]
		switch {
		case !ok:
			missOf(&t, n, "host name", n.Hostname)
		case name == "":
			t.say(Fail, "%s has no host name and will not campaign for a VIP", n.Addr)
			odd = append(odd, n.Addr.String())
		case taken:
			t.say(Fail, "%s and %s are both called %s", other, n.Addr, name)
			odd = append(odd, n.Addr.String())
		default:
			bearer[name] = n.Addr
			t.pass()
		}
	}
	return t.finding(vip.Count(t.good, "host name", "different host names"),
		"give each node its own host name: "+oneByOne("talosctl -n %s edit machineconfig", strings.Join(odd, ","))+
			" (machine.network.hostname, or hostname in its HostnameConfig); two of one name evict each other from the VIP's election")
}

func endpointNotVIP(s *cluster.Snapshot) Finding {
	if len(s.VIPs) == 0 {
		return Finding{Skip, "no VIP is known", ""}
	}
	if s.Forwarded {
		return Finding{Skip, "the endpoint is a proxy, and no node", ""}
	}
	var t tally
	for _, e := range s.Endpoints {
		bad := slices.IndexFunc(s.VIPs, func(v cluster.VIP) bool { return slices.Contains(e.Addresses, v.Addr) })
		switch {
		case e.Error != "":
			t.say(Unknown, "endpoint %s", e.Error)
		case len(e.Addresses) == 0:
			t.say(Unknown, "endpoint %s has no known address", e.Name)
		case bad >= 0 && e.Name == s.VIPs[bad].Addr.String():
			t.say(Fail, "endpoint %s is the VIP", e.Name)
		case bad >= 0:
			t.say(Fail, "endpoint %s is the VIP %s", e.Name, s.VIPs[bad].Addr)
		default:
			t.pass()
		}
	}
	if len(s.Endpoints) == 0 {
		t.say(Unknown, "no endpoint is known")
	}
	return t.finding(fmt.Sprintf("endpoints: %d, none of them the VIP", t.good),
		"name the nodes' own addresses: "+setEndpoints(s))
}

// setEndpoints is the command that makes all nodes the endpoints of the context,
// with ADDRESS where no node's own is known.
func setEndpoints(s *cluster.Snapshot) string {
	command := "talosctl config endpoint"
	if s.Context != "" {
		command = "talosctl --context " + s.Context + " config endpoint"
	}
	at := ""
	for i := range s.Nodes {
		if addr := s.Nodes[i].Addr; addr.IsValid() && !isVIP(s.VIPs, addr) {
			at += " " + addr.String()
		}
	}
	return command + orElse(at, " ADDRESS...")
}
