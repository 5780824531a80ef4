package checks

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

func membersAgree(s *cluster.Snapshot) Finding {
	t, first := listsAlike(s)
	good := ""
	if first != nil {
		good = vip.Count(t.good, "node lists ", "nodes list the same ") + vip.Count(len(first.Members.Value()), "member", "members")
	}
	for _, o := range outsiders(s) {
		if o.Status == Fail {
			t.say(Fail, "%s: %s", o.Node, o.Problem)
		}
	}
	hint := "talosctl -n " + everyNode(s) + " etcd members compares them"
	if first != nil {
		hint += "; a node that was reset must be removed before it joins again: talosctl -n " + reached(s, first.Name) + " etcd remove-member ID"
	}
	return t.finding(good, hint)
}

// listsAlike compares the lists of members, and returns the first node that has
// one.
func listsAlike(s *cluster.Snapshot) (t tally, first *cluster.Node) {
	nodes := withEtcd(s)
	t.of = len(nodes)
	for _, n := range nodes {
		list, ok := n.Members.Get()
		switch {
		case !ok:
			missOf(&t, n, "members of etcd", n.Members)
		case len(list) == 0:
			t.say(Fail, "%s lists no members", n.Name)
		case !lastSaid(n).Known(): // what it lists is another member's list
			missOf(&t, n, "its own list of etcd's members", lastSaid(n))
		default:
			first = cmp.Or(first, n)
			t.pass()
		}
	}
	for _, d := range differences(s) {
		t.say(Fail, "%s", d)
	}
	return t, first
}

// census writes a list of members so that equal lists are equal strings.
func census(list []cluster.Member) string {
	words := make([]string, 0, len(list))
	for _, m := range list {
		word := fmt.Sprintf("%s (%s)", m.Hostname, m.ID)
		if m.Learner {
			word += " learner"
		}
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func votersHealthy(s *cluster.Snapshot) Finding {
	var t tally
	for _, m := range members(s) {
		if !m.Learner {
			t.of++
		}
		n := s.Node(m.Node)
		switch {
		case m.Learner:
		case m.Status == Unknown && n != nil && saidNothing(n):
			t.silence(n)
		case m.Status == Fail:
			t.say(Fail, "%s: %s", m.Label(), m.Problem)
		case m.Status == Unknown:
			t.say(Unknown, "%s: %s", m.Label(), m.Problem)
		default:
			t.pass()
		}
	}
	if t.of == 0 {
		return unlistedHealth(s)
	}
	if e := stability(s); e != nil {
		for _, f := range e.Findings {
			t.say(Fail, "%s", f)
		}
	}
	return t.finding(vip.Count(t.good, "voter is", "voters are")+" healthy", serviceHint(t.blamed(s), "etcd"))
}

// unlistedHealth is for members that nobody lists, as where etcd has no quorum: what
// a node's own etcd lacks can be told all the same.
func unlistedHealth(s *cluster.Snapshot) Finding {
	var t tally
	for i := range s.Nodes {
		if status, problem := memberHealth(&s.Nodes[i]); status == Fail {
			t.say(Fail, "%s: %s", s.Nodes[i].Name, problem)
		}
	}
	t.say(Unknown, "the members of etcd are not known")
	return t.finding("", serviceHint(t.blamed(s), "etcd"))
}

func votersOdd(s *cluster.Snapshot) Finding {
	voters := 0
	for _, m := range members(s) {
		if !m.Learner {
			voters++
		}
	}
	switch {
	case voters == 0:
		return Finding{Unknown, "the members of etcd are not known", ""}
	case voters%2 == 0:
		return Finding{Warn, fmt.Sprintf("%d voters bear no more losses than %d", voters, voters-1),
			"use three or five control-plane nodes"}
	default:
		return Finding{Pass, fmt.Sprintf("voters: %d", voters), ""}
	}
}

func oneLeader(s *cluster.Snapshot) Finding {
	t, first := leadersAlike(s)
	good := ""
	if first != nil {
		good = fmt.Sprintf("leader %s in term %d", nameOfMember(s, lastSaid(first).Value().Leader), lastSaid(first).Value().Term)
	}
	return t.finding(good, "look again in a few seconds: an election takes about one; if it stays, a node is cut off from its peers")
}

// noLeader is what is said of a member or node that follows nobody.
const noLeader = "knows of no leader"

// leadersAlike compares whom the members follow, and returns the first node whose
// member follows somebody.
func leadersAlike(s *cluster.Snapshot) (t tally, first *cluster.Node) {
	nodes := withEtcd(s)
	t.of = len(nodes)
	for _, n := range nodes {
		said, ok := lastSaid(n).Get()
		switch {
		case !ok:
			missOf(&t, n, "etcd's status", lastSaid(n))
		case said.Leader == "":
			t.say(Fail, "%s %s", n.Name, noLeader)
		case first == nil:
			first = n
			t.pass()
		case said.Leader != lastSaid(first).Value().Leader || said.Term != lastSaid(first).Value().Term:
			t.say(Fail, "%s follows %s in term %d, %s follows %s in term %d", first.Name,
				lastSaid(first).Value().Leader, lastSaid(first).Value().Term, n.Name, said.Leader, said.Term)
		default:
			t.pass()
		}
	}
	return t, first
}

// nameOfMember is the host name of the member of that ID, or the ID.
func nameOfMember(s *cluster.Snapshot, id string) string {
	for _, m := range members(s) {
		if m.ID == id && m.Hostname != "" {
			return m.Hostname
		}
	}
	return id
}

func noLearnerOrAlarm(s *cluster.Snapshot) Finding {
	t := learnersAndAlarms(s)
	var hints []string
	if slices.ContainsFunc(members(s), func(m EtcdMember) bool { return m.Learner }) {
		hints = append(hints, "a learner becomes a voter by itself once it has caught up")
	}
	return t.finding("no learner, no alarm", strings.Join(append(hints, alarmHints(s)...), "; "))
}

// alarmHints are for the kinds of alarm that there are. Any member disarms all.
func alarmHints(s *cluster.Snapshot) (hints []string) {
	raised := func(kind string) bool {
		return slices.ContainsFunc(alarms(s), func(a cluster.Alarm) bool { return a.Alarm == kind })
	}
	i := max(0, slices.IndexFunc(s.Nodes, func(n cluster.Node) bool { return lastSaid(&n).Known() }))
	if raised("NOSPACE") {
		hints = append(hints, fmt.Sprintf("after NOSPACE %s, then talosctl -n %s etcd alarm disarm",
			oneByOne("talosctl -n %s etcd defrag", everyNode(s)), reached(s, s.Nodes[i].Name)))
	}
	if raised("CORRUPT") {
		hints = append(hints, "after CORRUPT the members' data differ: before anything else "+oneByOne("talosctl -n %s etcd snapshot %[1]s.db", everyNode(s))+
			"; the member with the alarm must leave etcd, and join anew")
	}
	return hints
}

func learnersAndAlarms(s *cluster.Snapshot) (t tally) {
	list := members(s)
	for _, m := range list {
		if m.Learner {
			t.say(Fail, "%s is a learner and does not vote", nameOfMember(s, m.ID))
		}
	}
	for _, a := range alarms(s) {
		t.say(Fail, "alarm %s of %s", a.Alarm, nameOfMember(s, a.MemberID))
	}
	told := !slices.ContainsFunc(list, func(m EtcdMember) bool { return !m.Said.Known() }) // each tells its alarms, too
	asked := slices.IndexFunc(s.Nodes, func(n cluster.Node) bool { return n.Alarms.Known() })
	switch {
	case len(s.Nodes) == 0:
	case len(list) == 0:
		t.say(Unknown, "the members of etcd are not known")
	case asked < 0 && !told:
		missOf(&t, &s.Nodes[0], "alarms of etcd", s.Nodes[0].Alarms)
	default:
		t.pass()
	}
	return t
}

func etcdNotOnVIP(s *cluster.Snapshot) Finding {
	return eachVIP(s, "no member advertises "+joined(addrs(s.VIPs)),
		"set cluster.etcd.advertisedSubnets to the nodes' own subnet, without the VIP ("+exceptVIPs(s)+"), in talosctl -n %s edit machineconfig; "+
			"then reboot these nodes, one after the other: Talos lets nobody restart etcd",
		func(t *tally, v cluster.VIP) { advertisers(t, s, v.Addr) })
}

// advertisers says who advertises the VIP, by EtcdSpec or by a member's URLs.
func advertisers(t *tally, s *cluster.Snapshot, addr netip.Addr) {
	nodes := withEtcd(s)
	t.of = len(nodes)
	for _, n := range nodes {
		advertised, ok := n.Advertise.Get()
		switch {
		case !ok:
			missOf(t, n, "what etcd advertises", n.Advertise)
		case slices.Contains(advertised, addr):
			t.say(Fail, "etcd on %s advertises %s", n.Name, addr)
		default:
			t.pass()
		}
	}
	for _, u := range urlsOnVIP(s) {
		if hostOf(u.URL) == addr {
			t.say(Fail, "member %s has the URL %s", u.Member, u.URL)
		}
	}
}

func quorumSurvives(s *cluster.Snapshot) Finding {
	e := EtcdVerdict(s)
	switch {
	case e.Voters > 0:
	case e.Health == EtcdNoQuorum:
		return Finding{Fail, "no node's etcd follows a leader, and so there is no quorum", "bring back the nodes whose etcd is down: more than half of the members make a quorum"}
	default:
		return Finding{Unknown, "the members of etcd are not known", ""}
	}
	var t tally
	var precious, doubtful, silent []string
	for _, m := range e.Members {
		if m.Learner {
			continue
		}
		if m.Status == Unknown {
			silent = append(silent, m.Label())
		}
		switch e.Survives(m.ID) {
		case Fail:
			precious = append(precious, m.Label())
		case Unknown:
			doubtful = append(doubtful, m.Label())
		default:
			t.pass()
		}
	}
	if len(precious) > 0 {
		t.say(Fail, "%s must not be lost", strings.Join(precious, ", "))
	}
	if len(doubtful) > 0 {
		t.say(Unknown, "not known whether %s may be lost: it hangs on %s", strings.Join(doubtful, ", "), strings.Join(silent, ", "))
	}
	count := fmt.Sprintf("%d of %s healthy, %s a quorum", e.Healthy, vip.Count(e.Voters, "voter is", "voters are"), vip.Count(e.Quorum, "makes", "make"))
	f := t.finding(count,
		"three control-plane nodes bear the loss of one, two bear none: add nodes, or bring back those that are down")
	if f.Status == Fail {
		f.Message = count + ": " + f.Message
	}
	return f
}
