package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// EtcdReport is the health of etcd and of each member.
type EtcdReport struct {
	Meta
	TakenAt time.Time `json:"takenAt"`
	Context string    `json:"context,omitempty"`
	Verdict string    `json:"verdict" jsonschema:"enum=healthy,enum=degraded,enum=noQuorum,enum=unknown"`
	// Reasons are why it is not healthy.
	Reasons []string `json:"reasons"`
	// Voters are the voting members, Healthy those known to be healthy.
	Voters  int `json:"voters"`
	Healthy int `json:"healthy"`
	// Quorum is the majority of Voters; Tolerance how many of the healthy
	// voters may be lost now.
	Quorum    int `json:"quorum"`
	Tolerance int `json:"tolerance"`
	// Leader is its host name, "" where none is known.
	Leader  string          `json:"leader"`
	Members []EtcdMember    `json:"members"`
	Alarms  []cluster.Alarm `json:"alarms"`
	Views   []EtcdView      `json:"views"`
	Without *EtcdWithout    `json:"without,omitempty"`
}

// EtcdMember is one member, with what it says of itself.
type EtcdMember struct {
	ID       string `json:"id"`
	Hostname string `json:"hostname"`
	Node     string `json:"node,omitempty"`
	Learner  bool   `json:"learner"`
	Leader   bool   `json:"leader"`
	Health   string `json:"health" jsonschema:"enum=healthy,enum=unhealthy,enum=unknown"`
	Version  string `json:"version,omitempty"`
	Term     uint64 `json:"term"`
	Index    uint64 `json:"index"`
	// Lag is how many entries of its own log it has not applied yet.
	Lag     uint64 `json:"lag"`
	DBSize  int64  `json:"dbSizeBytes"`
	DBInUse int64  `json:"dbInUseBytes"`
	Error   string `json:"error,omitempty"`
}

// EtcdView is the list of members as one node has it, as IDs.
type EtcdView struct {
	Node    string   `json:"node"`
	Members []string `json:"members"`
	Error   string   `json:"error,omitempty"`
}

// EtcdWithout answers: and if these were gone?
type EtcdWithout struct {
	Nodes []string `json:"nodes"`
	// Quorum: pass, there would be one; fail, there would be none.
	Quorum string `json:"quorum" jsonschema:"enum=pass,enum=fail,enum=unknown"`
}

// NewEtcd returns the document on etcd, and on whether it would bear the loss
// of the nodes named.
func NewEtcd(s *cluster.Snapshot, without ...string) *EtcdReport {
	e := checks.EtcdVerdict(s)
	doc := &EtcdReport{
		Meta: meta(KindEtcd), TakenAt: s.TakenAt, Context: s.Context,
		Verdict: e.Health.String(), Reasons: append([]string{}, e.Reasons...),
		Voters: e.Voters, Healthy: e.Healthy, Quorum: e.Quorum, Tolerance: e.Tolerance, Leader: e.Leader,
		Members: []EtcdMember{}, Alarms: append([]cluster.Alarm{}, e.Alarms...), Views: []EtcdView{},
	}
	for _, m := range e.Members {
		doc.Members = append(doc.Members, newEtcdMember(m))
	}
	for i := range s.Nodes {
		view := EtcdView{Node: s.Nodes[i].Name, Members: []string{}, Error: s.Nodes[i].Members.Err()}
		for _, m := range s.Nodes[i].Members.Value() {
			view.Members = append(view.Members, m.ID)
		}
		doc.Views = append(doc.Views, view)
	}
	if len(without) > 0 {
		doc.Without = &EtcdWithout{Nodes: without, Quorum: e.Survives(without...).String()}
	}
	return doc
}

func newEtcdMember(m checks.EtcdMember) EtcdMember {
	health := map[checks.Status]string{checks.Pass: "healthy", checks.Fail: "unhealthy"}[m.Status]
	if health == "" {
		health = "unknown"
	}
	said := m.Said.Value()
	return EtcdMember{
		ID: m.ID, Hostname: m.Hostname, Node: m.Node, Learner: m.Learner, Leader: m.Leader,
		Health: health, Version: said.Version, Term: said.Term, Index: said.Index,
		Lag: said.Index - min(said.Index, said.AppliedIndex), DBSize: said.DBSize, DBInUse: said.DBInUse, Error: m.Problem,
	}
}

// Grids shows the verdict, then a row a member; when wide, also the members as
// each node lists them.
func (e *EtcdReport) Grids(wide bool) []Grid {
	head := Grid{Rows: [][]string{
		{"verdict", e.Verdict},
		{"voters", fmt.Sprintf("%d, of which %d healthy", e.Voters, e.Healthy)},
		{"quorum", strconv.Itoa(e.Quorum)},
		{"may be lost now", strconv.Itoa(e.Tolerance)},
		{"leader", orElse(e.Leader, "not known")},
	}}
	if e.Voters == 0 { // nobody listed the members
		for i := range 3 {
			head.Rows[1+i][1] = "not known"
		}
	}
	for _, r := range e.Reasons {
		head.Rows = append(head.Rows, []string{"reason", r})
	}
	for _, a := range e.Alarms {
		head.Rows = append(head.Rows, []string{"alarm", a.Alarm + " of " + a.MemberID})
	}
	if e.Without != nil {
		answer := map[string]string{"pass": "quorum is kept", "fail": "quorum is lost"}[e.Without.Quorum]
		head.Rows = append(head.Rows, []string{"without " + strings.Join(e.Without.Nodes, ", "), orElse(answer, "not known")})
	}
	grids := []Grid{head}
	if len(e.Members) > 0 {
		grids = append(grids, e.memberGrid(wide))
	}
	if wide {
		views := Grid{Header: []string{"LISTED BY", "MEMBERS", "ERROR"}}
		for _, v := range e.Views {
			views.Rows = append(views.Rows, []string{v.Node, strings.Join(v.Members, ","), v.Error})
		}
		grids = append(grids, views)
	}
	return grids
}

func (e *EtcdReport) memberGrid(wide bool) Grid {
	g := Grid{Header: []string{"MEMBER", "ID", "ROLE", "HEALTH", "TERM", "INDEX", "LAG", "DB"}}
	if wide {
		g.Header = append(g.Header, "DB IN USE", "VERSION", "NODE")
	}
	g.Header = append(g.Header, "ERROR")
	for _, m := range e.Members {
		said := make([]string, 5) // empty where the member did not say
		if m.Term > 0 {
			said = []string{strconv.FormatUint(m.Term, 10), strconv.FormatUint(m.Index, 10),
				strconv.FormatUint(m.Lag, 10), binaryBytes(m.DBSize), binaryBytes(m.DBInUse)}
		}
		row := append([]string{m.Hostname, m.ID, m.role(), m.Health}, said[:4]...)
		if wide {
			row = append(row, said[4], m.Version, m.Node)
		}
		g.Rows = append(g.Rows, append(row, m.Error))
	}
	return g
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
