package report

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vipctl/vipctl/pkg/checks"
)

// grid says who is next, and how soon after a crash; below it is the queue for
// the VIP, why that time, and what could not be asked. Leases are shown when wide,
// and nodes where a host name does not tell them.
func (r *ElectionReport) grid(vip string, wide bool) Grid {
	g := Grid{Title: "ELECTION of " + vip + ": " + r.glance()}
	named := !wide && !slices.ContainsFunc(r.Candidates, func(c ElectionCandidate) bool { return c.Hostname != c.Node })
	clean := !wide && !slices.ContainsFunc(r.Candidates, func(c ElectionCandidate) bool { return c.note() != "" })
	column := func(hide bool, cells ...string) []string {
		if hide {
			return nil
		}
		return cells
	}
	if len(r.Candidates) > 0 {
		g.Header = slices.Concat([]string{"#", "HOST"}, column(named, "NODE"), []string{"ROLE"}, column(!wide, "LEASE"), []string{"REMAINING"}, column(clean, "NOTE"))
	}
	for _, c := range r.Candidates {
		g.Rows = append(g.Rows, slices.Concat([]string{strconv.Itoa(c.Position), c.Hostname}, column(named, c.Node), []string{c.role()},
			column(!wide, c.Lease), []string{c.remaining()}, column(clean, c.note())))
	}
	g.Footer = slices.Concat(r.outlook(), r.Notes, r.silence())
	return g
}

func (c ElectionCandidate) role() string {
	if c.Ghost {
		return "ghost"
	}
	return c.Role
}

func (c ElectionCandidate) remaining() string {
	if c.RemainingSeconds == nil || c.TTLSeconds == nil {
		return ""
	}
	return seconds(*c.RemainingSeconds) + " of " + seconds(*c.TTLSeconds)
}

func (c ElectionCandidate) note() string {
	if c.Ghost {
		return c.GhostReason
	}
	return c.Error
}

// glance is what somebody in a hurry wants to know.
func (r *ElectionReport) glance() string {
	next := slices.IndexFunc(r.Candidates, func(c ElectionCandidate) bool { return c.Role == roleNext })
	switch {
	case r.Revision == 0:
		return "no etcd told it"
	case len(r.Candidates) == 0:
		return "nobody is in the queue"
	case next < 0:
		return "nobody is next"
	case r.Predicted == nil:
		return r.Candidates[next].Hostname + " is next in the queue"
	default:
		return r.Candidates[next].Hostname + " is next in the queue; a crash of " + r.Candidates[0].Hostname + " now takes " + r.Predicted.Now.span()
	}
}

// silence says who was not asked or gave no answer, a line for each reason.
func (r *ElectionReport) silence() []string {
	var order []string
	nodes := make(map[string][]string)
	for _, a := range r.Asked {
		if a.Error == "" {
			continue
		}
		if nodes[a.Error] == nil {
			order = append(order, a.Error)
		}
		nodes[a.Error] = append(nodes[a.Error], a.Node)
	}
	var lines []string
	for _, reason := range order {
		why := silences[string(checks.NotAsked)]
		if checks.AskedEtcd(reason) {
			why = silences[string(checks.NoAnswer)]
		}
		if len(nodes[reason]) == 1 && !strings.Contains(reason, nodes[reason][0]) {
			why += ": " + nodes[reason][0]
		}
		lines = append(lines, why+": "+reason)
	}
	return lines
}

// outlook says why a crash of the owner would take so long, and how long in the
// other case.
func (r *ElectionReport) outlook() []string {
	p := r.Predicted
	switch {
	case p == nil:
		return nil
	case p.OwnerIsEtcdLeader == nil:
		return []string{p.Now.span() + ": " + p.Now.Basis}
	case *p.OwnerIsEtcdLeader:
		return []string{p.Now.span() + ": " + p.Now.Basis, "if it did not lead etcd: " + p.Follower.span()}
	default:
		return []string{p.Now.span() + ": " + p.Now.Basis, "if it led etcd: " + p.Leader.span()}
	}
}
