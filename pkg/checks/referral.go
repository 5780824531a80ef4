package checks

import (
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// A check that judges nodes does not say why one of them said nothing at all: one
// check tells that for all.
const (
	whoAnswers = "nodes-answer"
	notKnownOf = "not known of "
	seeAnswers = ": see " + whoAnswers
)

// spellOut has the results say why nodes are silent, where the check that tells it is
// not among them: the first that names them tells it, and the others refer to that.
func spellOut(s *cluster.Snapshot, results []Result) {
	if slices.ContainsFunc(results, func(r Result) bool { return r.ID == whoAnswers }) {
		return
	}
	told := make(map[string]string) // by whom, of the nodes with commas
	for i := range results {
		r := &results[i]
		before, after, refers := strings.Cut(r.Message, seeAnswers)
		at := strings.LastIndex(before, notKnownOf)
		if !refers || at < 0 {
			continue
		}
		names := before[at+len(notKnownOf):]
		if told[names] != "" {
			r.Message = before + ": see " + told[names] + after
			continue
		}
		told[names] = r.ID
		r.Message = before[:at] + notKnownOf + reasons(s, names) + after
	}
}

// reasons names the nodes, which are separated by commas, each with why it is
// silent.
func reasons(s *cluster.Snapshot, names string) string {
	var list []string
	for _, name := range strings.Split(names, ", ") {
		if n := s.Node(name); n != nil && n.Reachable.Err() != "" {
			name += " (" + n.Reachable.Err() + ")"
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}
