package checks

import (
	"fmt"
	"slices"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// applyLimit is how many committed entries a member may be late in applying
// before it refuses all that is asked of it (maxGapBetweenApplyAndCommitIndex in
// etcd v3.6.12 server/etcdserver/v3_server.go).
const applyLimit = 5000

// EtcdStability is what two samples of the members' status, some time apart,
// tell that one cannot.
type EtcdStability struct {
	// Seconds are between the samples.
	Seconds float64
	// TermBefore and TermAfter are the highest term of each sample. A term that
	// grows is an election, or a try of one.
	TermBefore, TermAfter uint64
	// LeaderBefore and LeaderAfter are member IDs, "" where the members of the
	// sample do not agree or know of none.
	LeaderBefore, LeaderAfter string
	// EntriesPerSecond is how fast the longest log grew.
	EntriesPerSecond float64
	// Findings speak against etcd's health, Notes do not.
	Findings []string
	Notes    []EtcdNote
}

// pair are the two samples of one node, both known.
type pair struct {
	name          string
	before, after cluster.EtcdStatus
}

// stability compares the two samples of the members, nil where no node was asked
// twice. Nodes whose etcd is of another cluster have terms and a log of their own.
func stability(s *cluster.Snapshot) *EtcdStability {
	var pairs []pair
	var silent []string
	var term uint64 // the highest that a node told, which then fell silent
	roll := rollCall(s)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if len(roll) > 0 && !slices.ContainsFunc(roll, func(m cluster.Member) bool { return m.ID == lastSaid(n).Value().MemberID }) {
			continue
		}
		before, first := n.Etcd.Get()
		after, again := n.EtcdLater.Get()
		switch {
		case first && again:
			pairs = append(pairs, pair{n.Name, before, after})
		case fellSilent(n):
			term = max(term, before.Term)
			silent = append(silent, n.Name+": "+silence(s, n))
		}
	}
	if len(pairs)+len(silent) == 0 {
		return nil
	}
	e := &EtcdStability{Seconds: s.EtcdLaterAfter, Findings: silent, TermBefore: term}
	e.compare(pairs)
	return e
}

// fellSilent says that a node's etcd answered the first time only.
func fellSilent(n *cluster.Node) bool {
	var never cluster.Seen[cluster.EtcdStatus]
	return n.Etcd.Known() && !n.EtcdLater.Known() && n.EtcdLater.Err() != never.Err()
}

// silence is what is said of one that fell silent.
func silence(s *cluster.Snapshot, n *cluster.Node) string {
	return fmt.Sprintf("etcd answered at first, and %s later: %s", seconds(s.EtcdLaterAfter), n.EtcdLater.Err())
}

// compare fills in what the samples of the nodes tell.
func (e *EtcdStability) compare(pairs []pair) {
	var highest, then uint64
	for _, p := range pairs {
		e.TermBefore, e.TermAfter = max(e.TermBefore, p.before.Term), max(e.TermAfter, p.after.Term)
		highest, then = max(highest, p.after.Index), max(then, p.before.Index)
	}
	e.LeaderBefore = leaderOf(pairs, func(p pair) cluster.EtcdStatus { return p.before })
	e.LeaderAfter = leaderOf(pairs, func(p pair) cluster.EtcdStatus { return p.after })
	if e.Seconds > 0 {
		e.EntriesPerSecond = float64(highest-min(highest, then)) / e.Seconds
	}
	if e.TermAfter > e.TermBefore {
		e.Findings = append(e.Findings, fmt.Sprintf("an election took place while we looked: term %d -> %d", e.TermBefore, e.TermAfter))
	}
	for _, p := range pairs {
		e.follow(p, then)
	}
}

// follow says whether a member's log keeps up. The samples are of no one instant;
// but a log that is still shorter than another was in the sample before is late
// by all the time in between.
func (e *EtcdStability) follow(p pair, then uint64) {
	switch {
	case p.after.Index >= then:
	case p.after.Index == p.before.Index:
		e.Findings = append(e.Findings, fmt.Sprintf("%s: its log stands still at entry %d, and another was at %d already %s before",
			p.name, p.after.Index, then, seconds(e.Seconds)))
	default:
		e.Notes = append(e.Notes, EtcdNote{"behind",
			fmt.Sprintf("%s: its log is at entry %d, and another was at %d already %s before", p.name, p.after.Index, then, seconds(e.Seconds)),
			"it may be catching up; if it stays, look at its disk and at the network between the nodes"})
	}
}

// leaderOf is the leader that all in a sample agree on, "" where they do not.
func leaderOf(pairs []pair, sample func(pair) cluster.EtcdStatus) string {
	i := slices.IndexFunc(pairs, func(p pair) bool { return sample(p).Leader != sample(pairs[0]).Leader })
	if i >= 0 || len(pairs) == 0 {
		return ""
	}
	return sample(pairs[0]).Leader
}

// unapplied is how many committed entries a member has not applied yet.
func unapplied(said cluster.EtcdStatus) uint64 {
	return said.Index - min(said.Index, said.AppliedIndex)
}

// measureBehind compares each member's log with the longest.
func measureBehind(list []EtcdMember) {
	var highest uint64
	for _, m := range list {
		highest = max(highest, m.Said.Value().Index)
	}
	for i := range list {
		if said, ok := list[i].Said.Get(); ok {
			list[i].Behind = highest - said.Index
		}
	}
}
