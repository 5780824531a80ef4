package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Item is what came of asking one of several contexts: its document, or why
// there is none. One of the two is nil.
type Item[D any] struct {
	Document *D
	Failure  *ErrorReport // names the context
}

// MarshalJSON writes whichever there is.
func (i Item[D]) MarshalJSON() ([]byte, error) {
	var value any = i.Failure
	if i.Failure == nil {
		value = i.Document
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return out.Bytes(), err
}

// OwnershipList says who has each VIP in each of several contexts, in the
// order asked. One that could not be asked is an Error with its name.
type OwnershipList struct {
	Meta
	Items []Item[Ownership] `json:"items"`
}

// EtcdReportList is the health of etcd in each of several contexts, as
// OwnershipList.
type EtcdReportList struct {
	Meta
	Items []Item[EtcdReport] `json:"items"`
}

// DoctorReportList is what the checks found in each of several contexts, as
// OwnershipList.
type DoctorReportList struct {
	Meta
	Items []Item[DoctorReport] `json:"items"`
}

// NewOwnershipList returns the document of several contexts, in the order given;
// no items are an empty list, not null.
func NewOwnershipList(items []Item[Ownership]) *OwnershipList {
	return &OwnershipList{meta(KindOwnershipList), append([]Item[Ownership]{}, items...)}
}

// NewEtcdList does for etcd what NewOwnershipList does for owners.
func NewEtcdList(items []Item[EtcdReport]) *EtcdReportList {
	return &EtcdReportList{meta(KindEtcdList), append([]Item[EtcdReport]{}, items...)}
}

// NewDoctorList does the same for what checks found.
func NewDoctorList(items []Item[DoctorReport]) *DoctorReportList {
	return &DoctorReportList{meta(KindDoctorList), append([]Item[DoctorReport]{}, items...)}
}

// Grids shows the rows of all contexts in one grid, those that could not be
// asked among them, then the other grids in the same way.
func (l *OwnershipList) Grids(wide bool) []Grid {
	var all roll
	for _, i := range l.Items {
		switch {
		case i.Failure != nil:
			all.failed(i.Failure)
		case len(i.Document.VIPs) == 0:
			all.row(i.Document.Context, "", i.Document.noVIP())
			all.rest(i.Document.Context, i.Document.grids(wide)[1:])
		default:
			grids := i.Document.grids(wide)
			all.add(i.Document.Context, grids[0])
			all.rest(i.Document.Context, grids[1:])
		}
	}
	return all.grids()
}

// Grids shows a row a context, and below it what is not healthy.
func (l *EtcdReportList) Grids(bool) []Grid {
	all := roll{header: []string{"VERDICT", "VOTERS", "HEALTHY", "QUORUM", "MAY BE LOST", "LEADER"}}
	for _, i := range l.Items {
		if i.Failure != nil {
			all.failed(i.Failure)
			continue
		}
		e := i.Document
		counts := []string{strconv.Itoa(e.Voters), strconv.Itoa(e.Healthy), strconv.Itoa(e.Quorum), strconv.Itoa(e.Tolerance)}
		if e.Voters == 0 { // nobody listed the members
			counts = make([]string, 4)
		}
		all.row(e.Context, slices.Concat([]string{e.Verdict}, counts, []string{e.Leader})...)
		if e.Without != nil {
			all.note(e.Context, "without "+strings.Join(e.Without.Nodes, ", ")+": "+e.Without.String())
		}
		for _, r := range e.Reasons {
			all.note(e.Context, r)
		}
	}
	return all.grids()
}

// Grids shows a row a context, and below it the checks that failed; when wide,
// also those that warn or could not be made.
func (l *DoctorReportList) Grids(wide bool) []Grid {
	statuses := []string{"fail", "warn", "unknown", "skip", "pass"}
	all := roll{header: []string{"VERDICT", "FAIL", "WARN", "UNKNOWN", "SKIP", "PASS"}}
	for _, i := range l.Items {
		if i.Failure != nil {
			all.failed(i.Failure)
			continue
		}
		d := i.Document
		count := make(map[string]int)
		for _, c := range d.Checks {
			count[c.Status]++
			if c.Status == "fail" || wide && (c.Status == "warn" || c.Status == "unknown") {
				all.note(d.Context, fmt.Sprintf("%s: %s: %s", c.Status, c.ID, c.Message))
			}
		}
		row := []string{d.Verdict}
		for _, s := range statuses {
			row = append(row, strconv.Itoa(count[s]))
		}
		all.row(d.Context, row...)
	}
	return all.grids()
}

// roll gathers rows of several contexts.
type roll struct {
	header []string // without the context and the error
	rows   [][]string
	errors []string // of each row, "" for none
	notes  []string
	hints  []hint // each once
	others []Grid
}

// hint is what to try in some contexts.
type hint struct {
	text     string
	contexts []string
}

// String names the contexts, as many as can be read.
func (h hint) String() string {
	names := h.contexts
	if len(names) > 5 {
		names = append(slices.Clone(names[:4]), fmt.Sprintf("%d more", len(names)-4))
	}
	return strings.Join(names, ", ") + ": hint: " + h.text
}

func (r *roll) row(context string, cells ...string) {
	r.rows, r.errors = append(r.rows, append([]string{context}, cells...)), append(r.errors, "")
}

func (r *roll) failed(e *ErrorReport) {
	r.row(e.Context)
	r.errors[len(r.errors)-1] = e.Error
	if e.Hint == "" {
		return
	}
	at := slices.IndexFunc(r.hints, func(h hint) bool { return h.text == e.Hint })
	if at < 0 {
		at = len(r.hints)
		r.hints = append(r.hints, hint{text: e.Hint})
	}
	r.hints[at].contexts = append(r.hints[at].contexts, e.Context)
}

func (r *roll) note(context, text string) { r.notes = append(r.notes, context+": "+text) }

// add takes the rows and the lines below them of one context's main grid.
func (r *roll) add(context string, g Grid) {
	if len(r.header) == 0 {
		r.header = g.Header
	}
	for _, row := range g.Rows {
		r.row(context, row...)
	}
	for _, line := range g.Footer {
		r.note(context, line)
	}
}

// rest takes one context's other grids; those of like header become one. One with a
// title stays by itself, and its title says whose it is.
func (r *roll) rest(context string, grids []Grid) {
	for _, g := range grids {
		title, header := g.Title, g.Header
		if title != "" {
			title = context + ": " + title
		}
		if len(header) > 0 {
			header = append([]string{"CONTEXT"}, header...)
		}
		at := slices.IndexFunc(r.others, func(o Grid) bool { return o.Title == title && slices.Equal(o.Header, header) })
		if at < 0 {
			at = len(r.others)
			r.others = append(r.others, Grid{Title: title, Header: header})
		}
		for _, row := range g.Rows {
			r.others[at].Rows = append(r.others[at].Rows, append([]string{context}, row...))
		}
		for _, line := range g.Footer {
			r.others[at].Footer = append(r.others[at].Footer, context+": "+strings.TrimSpace(line))
		}
	}
}

// grids are the main grid, which has a column for errors where there are any,
// and the others.
func (r *roll) grids() []Grid {
	main := Grid{Header: append([]string{"CONTEXT"}, r.header...), Rows: r.rows, Footer: r.notes}
	for i, row := range main.Rows {
		main.Rows[i] = append(row, make([]string, max(0, len(main.Header)-len(row)))...)
	}
	if slices.ContainsFunc(r.errors, func(e string) bool { return e != "" }) {
		main.Header = append(main.Header, "ERROR")
		for i := range main.Rows {
			main.Rows[i] = append(main.Rows[i], r.errors[i])
		}
	}
	for _, h := range r.hints {
		main.Footer = append(main.Footer, h.String())
	}
	return append([]Grid{main}, r.others...)
}
