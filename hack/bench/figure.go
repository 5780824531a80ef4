//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// figure is what was measured of one thing.
type figure struct {
	What   string    `json:"what"`
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"` // as they came
	Min    float64   `json:"min"`
	Median float64   `json:"median"`
	Max    float64   `json:"max"`
	// Goal is what the median must stay below; 0 is none.
	Goal float64 `json:"goal,omitempty"`
	Met  *bool   `json:"met,omitempty"`
}

// newFigure needs at least one value.
func newFigure(what, unit string, goal float64, values ...float64) figure {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	f := figure{What: what, Unit: unit, Values: values, Goal: goal,
		Min: sorted[0], Max: sorted[n-1], Median: (sorted[(n-1)/2] + sorted[n/2]) / 2}
	if goal > 0 {
		f.Met = new(f.Median < goal)
	}
	return f
}

// report is a bench's result.
type report struct {
	Bench   string   `json:"bench"`
	Machine machine  `json:"machine"`
	Figures []figure `json:"figures"`
}

// write prints the report as a table or, with format json, as JSON.
func (r report) write(out io.Writer, format string) error {
	if format == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	fmt.Fprintf(out, "%s on %s\n\n", r.Bench, r.Machine)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tN\tMIN\tMEDIAN\tMAX\tUNIT\tGOAL")
	for _, f := range r.Figures {
		fmt.Fprintf(t, "%s\t%d\t%.4g\t%.4g\t%.4g\t%s\t%s\n", f.What, len(f.Values), f.Min, f.Median, f.Max, f.Unit, f.goal())
	}
	return t.Flush()
}

func (f figure) goal() string {
	switch {
	case f.Met == nil:
		return "-"
	case *f.Met:
		return fmt.Sprintf("< %g: met", f.Goal)
	default:
		return fmt.Sprintf("< %g: missed", f.Goal)
	}
}
