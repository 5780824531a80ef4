package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/vip"
)

// Grids shows the verdict, then a row a member, what the nodes do not list
// alike where there is something, and notes; when wide, also the members as each
// node lists them.
func (e *EtcdReport) Grids(wide bool) []Grid {
	grids := []Grid{e.head()}
	if len(e.Members)+len(e.Outsiders) > 0 {
		grids = append(grids, e.memberGrid(wide))
	}
	if len(e.Differences) > 0 {
		g := Grid{Title: "DIFFERENCES", Header: []string{"MEMBER", "ID", "WHAT", "LISTED BY", "MISSING FROM"}}
		for _, d := range e.Differences {
			g.Rows = append(g.Rows, []string{d.Member, d.ID, d.What, strings.Join(d.ListedBy, ", "), strings.Join(d.MissingFrom, ", ")})
		}
		grids = append(grids, g)
	}
	if wide || e.Voters == 0 { // then what each node said is all there is
		views := Grid{Header: []string{"LISTED BY", "MEMBERS", "ERROR"}}
		for _, v := range e.Views {
			views.Rows = append(views.Rows, []string{v.Node, strings.Join(v.Members, ", "), v.Error})
		}
		grids = append(grids, views)
	}
	if len(e.Notes) > 0 || e.Verdict != "healthy" {
		g := Grid{}
		asked := !slices.ContainsFunc(e.Notes, func(n EtcdNote) bool { return n.About == checks.EtcdNotAsked })
		if e.Verdict != "healthy" && asked {
			g.Footer = append(g.Footer, "hint: vipctl doctor says what to do")
		}
		for _, n := range e.Notes {
			g.Footer = append(g.Footer, "note: "+n.Message)
			if n.Hint != "" {
				g.Footer = append(g.Footer, "  hint: "+n.Hint)
			}
		}
		g.Footer = hintsOnce(g.Footer)
		grids = append(grids, g)
	}
	return grids
}

// head is the verdict, the answer to what was asked, what is wrong, and what all
// that rests on.
func (e *EtcdReport) head() Grid {
	g := Grid{Rows: [][]string{{"verdict", e.Verdict}}}
	add := func(name, value string) { g.Rows = append(g.Rows, []string{name, value}) }
	if e.Without != nil {
		add("without "+strings.Join(e.Without.Nodes, ", "), e.Without.String())
		for _, v := range e.Without.VIPs {
			add(v.VIP, v.text(e.Without.Quorum))
		}
	}
	for _, r := range e.Reasons { // alarms among them
		add("reason", r)
	}
	if e.Voters > 0 {
		add("voters", fmt.Sprintf("%d, of which %d healthy", e.Voters, e.Healthy))
		add("quorum", strconv.Itoa(e.Quorum))
		add("may be lost now", strconv.Itoa(e.Tolerance))
	} else {
		add("voters", "not known")
	}
	if len(e.Indispensable) > 0 {
		add("must not be lost", strings.Join(e.Indispensable, ", "))
	}
	if len(e.Doubtful) > 0 {
		add("not known", "whether "+strings.Join(e.Doubtful, ", ")+" may be lost")
	}
	add("leader", orElse(e.Leader, "not known"))
	if e.Raft != nil {
		add("term", e.Raft.String())
	}
	return g
}

// String is for people: "5, unchanged over 1 s; 12.3 entries/s".
func (r *EtcdRaft) String() string {
	if r.TermAfter == 0 {
		return fmt.Sprintf("%d, and not known %s later", r.TermBefore, seconds(r.Seconds))
	}
	if r.TermAfter > r.TermBefore {
		return fmt.Sprintf("%d -> %d within %s", r.TermBefore, r.TermAfter, seconds(r.Seconds))
	}
	return fmt.Sprintf("%d, unchanged over %s; %.1f entries/s", r.TermAfter, seconds(r.Seconds), r.EntriesPerSecond)
}

// String is for people.
func (w *EtcdWithout) String() string {
	count := fmt.Sprintf("%d of the %s needed would be healthy", w.Healthy, vip.Count(w.Needed, "voter", "voters"))
	switch w.Quorum {
	case "pass":
		return fmt.Sprintf("quorum is kept: %s, and %d more may be lost", count, w.Tolerance)
	case "fail":
		return "quorum is lost: " + count
	}
	if w.Needed == 0 {
		return "not known: nobody lists the members"
	}
	return fmt.Sprintf("not known: %s, and %d could not be asked", count, w.Silent)
}

// text is for people, where the quorum would be kept, lost, or that is not known.
func (v EtcdLostVIP) text(quorum string) string {
	switch {
	case v.Predicted == nil && quorum == "unknown":
		return v.Owner + " owns it; whether anybody takes it over is not known, for that takes a quorum"
	case v.Predicted == nil:
		return v.Owner + " owns it; nobody takes it over without a quorum"
	}
	return fmt.Sprintf("%s owns it: gone for %s if that crashes (%s)", v.Owner, v.Predicted.span(), v.Predicted.Basis)
}

func (e *EtcdReport) memberGrid(wide bool) Grid {
	g := Grid{Header: []string{"MEMBER", "ID", "ROLE", "HEALTH", "TERM", "INDEX", "LAG", "DB", "USED", "VERSION"}}
	if wide {
		g.Header = append(g.Header, "BEHIND", "TALOS", "NODE")
	} else {
		g.Spare = []string{"TERM", "INDEX", "USED", "LAG", "DB"}
	}
	g.Header = append(g.Header, "ERROR")
	forwarded := slices.ContainsFunc(e.Members, func(m EtcdMember) bool { return m.Via != "" }) ||
		slices.ContainsFunc(e.Outsiders, func(o EtcdOutsider) bool { return o.Via != "" })
	if forwarded {
		g.Header = append(g.Header, readVia)
		if !wide {
			g.Spare = append([]string{readVia}, g.Spare...) // a note has it as well
		}
	}
	add := func(row []string, problem, via, reason string) {
		if row = append(row, problem); forwarded {
			row = append(row, through(via, reason))
		}
		g.Rows = append(g.Rows, row)
	}
	for _, m := range e.Members {
		row := append([]string{m.Hostname, m.ID, m.role(), m.Health}, m.numbers()...)
		row = append(row, m.Version)
		if wide {
			behind := ""
			if m.Term > 0 {
				behind = strconv.FormatUint(m.Behind, 10)
			}
			row = append(row, behind, m.TalosVersion, m.Node)
		}
		add(row, m.Error, m.Via, m.ViaReason)
	}
	for _, o := range e.Outsiders {
		health := "unhealthy"
		if !o.Answers {
			health = "unknown"
		}
		row := make([]string, slices.Index(g.Header, "ERROR"))
		row[0], row[1], row[2], row[3] = o.Node, o.ID, "none", health
		add(row, o.Error, o.Via, o.ViaReason)
	}
	return g
}

// numbers are term, index, lag, database and its share in use; empty where the
// member did not say.
func (m EtcdMember) numbers() []string {
	if m.Term == 0 {
		return make([]string, 5)
	}
	return []string{
		strconv.FormatUint(m.Term, 10), strconv.FormatUint(m.Index, 10), strconv.FormatUint(m.Lag, 10),
		binaryBytes(m.DBSize), fmt.Sprintf("%.0f%%", 100*(1-m.Fragmentation)),
	}
}

func (m EtcdMember) role() string {
	switch {
	case m.Learner:
		return "learner"
	case m.Leader:
		return "leader"
	default:
		return "voter"
	}
}

func binaryBytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
