package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// DoctorReport is a snapshot judged by checks.
type DoctorReport struct {
	Meta
	TakenAt time.Time `json:"takenAt"`
	Context string    `json:"context,omitempty"`
	// Verdict: unknown counts as warn, skip for nothing.
	Verdict string        `json:"verdict" jsonschema:"enum=pass,enum=warn,enum=fail"`
	Checks  []CheckResult `json:"checks"`
}

// CheckResult is what one check found.
type CheckResult struct {
	ID       string `json:"id"`
	Category string `json:"category"`
	// Title is a sentence that is true when the check passes.
	Title   string `json:"title"`
	Status  string `json:"status" jsonschema:"enum=pass,enum=warn,enum=fail,enum=skip,enum=unknown"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Doc     string `json:"doc"`
}

// NewDoctor returns the document on what the checks found.
func NewDoctor(s *cluster.Snapshot, results []checks.Result) *DoctorReport {
	doc := &DoctorReport{
		Meta: meta(KindDoctor), TakenAt: s.TakenAt, Context: s.Context,
		Verdict: checks.Worst(results).String(), Checks: []CheckResult{},
	}
	for _, r := range results {
		doc.Checks = append(doc.Checks, CheckResult{
			ID: r.ID, Category: string(r.Category), Title: r.Title,
			Status: r.Status.String(), Message: r.Message, Hint: r.Hint, Doc: r.Doc(),
		})
	}
	return doc
}

// Grids shows a row a check, then what to do about those that are not good,
// then the count.
func (d *DoctorReport) Grids(wide bool) []Grid {
	list := Grid{Header: []string{"STATUS", "CHECK", "FINDING"}}
	if wide {
		list.Header = []string{"STATUS", "CATEGORY", "CHECK", "TITLE", "FINDING"}
	}
	hints := Grid{Title: "What to do"}
	count := make(map[string]int)
	for _, c := range d.Checks {
		count[c.Status]++
		row := []string{c.Status, c.ID, c.Message}
		if wide {
			row = []string{c.Status, c.Category, c.ID, c.Title, c.Message}
		}
		list.Rows = append(list.Rows, row)
		if c.Hint != "" {
			hints.Footer = append(hints.Footer, fmt.Sprintf("  %s: %s", c.ID, c.Hint), "    "+c.Doc)
		}
	}
	var words []string
	for _, status := range []string{"fail", "warn", "unknown", "skip", "pass"} {
		if count[status] > 0 {
			words = append(words, fmt.Sprintf("%d %s", count[status], status))
		}
	}
	total := Grid{Title: fmt.Sprintf("verdict: %s (%s)", d.Verdict, strings.Join(words, ", "))}
	if len(hints.Footer) == 0 {
		return []Grid{list, total}
	}
	return []Grid{list, hints, total}
}
