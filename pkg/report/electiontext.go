package report

import (
	"strconv"
	"strings"
)

// grid shows the queue for the VIP, what could not be asked, and how long a
// crash would take.
func (r *ElectionReport) grid(vip string) Grid {
	g := Grid{Title: "ELECTION of " + vip}
	if len(r.Candidates) > 0 {
		g.Header = []string{"#", "HOST", "NODE", "ROLE", "LEASE", "REMAINING", "NOTE"}
	}
	for _, c := range r.Candidates {
		remaining := ""
		if c.RemainingSeconds != nil && c.TTLSeconds != nil {
			remaining = seconds(*c.RemainingSeconds) + " of " + seconds(*c.TTLSeconds)
		}
		note := c.Error
		if c.Ghost {
			note = "ghost: " + c.GhostReason
		}
		g.Rows = append(g.Rows, []string{strconv.Itoa(c.Position), c.Hostname, c.Node, c.Role, c.Lease, remaining, note})
	}
	if r.Revision > 0 && len(r.Candidates) == 0 {
		g.Footer = append(g.Footer, "nobody is in the queue")
	}
	g.Footer = append(append(g.Footer, r.silence()...), r.outlook()...)
	return g
}

// silence says who was not asked, a line for each reason.
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
		line := "not asked: " + reason
		if len(nodes[reason]) == 1 && !strings.Contains(reason, nodes[reason][0]) {
			line = "not asked: " + nodes[reason][0] + ": " + reason
		}
		lines = append(lines, line)
	}
	return lines
}

// outlook says how long a crash of the owner would take.
func (r *ElectionReport) outlook() []string {
	lines := r.Notes
	if p := r.Predicted; p != nil {
		owner, follower, leader := r.Candidates[0].Hostname, p.Follower.span(), p.Leader.span()
		switch {
		case p.OwnerIsEtcdLeader == nil:
			lines = append([]string{"a crash of " + owner + " now: " + p.Now.span() + " (" + p.Now.Basis + ")"}, lines...)
		case *p.OwnerIsEtcdLeader:
			lines = append([]string{"a crash of " + owner + " now: " + leader + " (" + p.Leader.Basis + ")", "if it did not lead etcd: " + follower}, lines...)
		default:
			lines = append([]string{"a crash of " + owner + " now: " + follower + " (" + p.Follower.Basis + ")", "if it led etcd: " + leader}, lines...)
		}
	}
	return lines
}
