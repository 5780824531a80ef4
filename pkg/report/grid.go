package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// Grid is a table before it is text. Without a Header its rows are names and
// values.
type Grid struct {
	Title  string // a line above, "" for none
	Header []string
	Rows   [][]string
	Footer []string // lines below
	// Spare are the headers of columns that a terminal does without where it is too
	// narrow for all, the first of them first.
	Spare []string
}

// WriteGrids prints the grids one below the other, with an empty line between.
func (s Style) WriteGrids(w io.Writer, grids []Grid) error {
	var out bytes.Buffer
	for i, g := range grids {
		if i > 0 {
			out.WriteByte('\n')
		}
		if err := s.render(&out, g); err != nil {
			return err
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

func (s Style) render(out *bytes.Buffer, g Grid) error {
	if g.Title != "" {
		fmt.Fprintln(out, wrap(harmless(g.Title), s.Width))
	}
	if len(g.Rows) > 0 {
		text, err := s.align(g)
		if err != nil {
			return err
		}
		out.WriteString(text)
	}
	for _, line := range g.Footer {
		fmt.Fprintln(out, wrap(harmless(line), s.Width))
	}
	return nil
}

// align lays out header and rows in columns, without spaces at the end. Names and
// values below a title are indented. On a terminal cells are wrapped where the
// columns are too wide for it; and where that does not help each row becomes lines
// of its own.
func (s Style) align(g Grid) (string, error) {
	indent := ""
	if g.Title != "" && len(g.Header) == 0 {
		indent = "  "
	}
	g.Header, g.Rows = clean([][]string{g.Header})[0], clean(g.Rows)
	whole := g.Rows
	if s.Width > 0 {
		narrow, widths, ok := g.fit(s.Width - len(indent))
		switch {
		case !ok && len(g.Header) > 0:
			return s.records(g)
		case !ok:
			return s.sentences(indent, g.Rows), nil
		}
		g = narrow
		g.Rows, whole = foldRows(g.Rows, widths)
	}
	if len(g.Header) > 0 {
		whole = slices.Insert(slices.Clone(whole), 0, g.Header)
	}
	text, err := g.columned()
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = indent + s.paint(strings.TrimRight(lines[i], " "), whole[i]) + "\n"
	}
	return strings.Join(lines, ""), nil
}

// columned is header and rows in columns two spaces apart, without lines around
// them.
func (g Grid) columned() (string, error) {
	var out strings.Builder
	table := tablewriter.NewTable(&out,
		tablewriter.WithRendition(tw.Rendition{
			Borders:  tw.BorderNone,
			Symbols:  tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		}),
		tablewriter.WithPadding(tw.Padding{Right: strings.Repeat(" ", gutter), Overwrite: true}),
		tablewriter.WithAlignment(tw.MakeAlign(columns(g), tw.AlignLeft)),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
	)
	if len(g.Header) > 0 {
		table.Header(g.Header)
	}
	if err := table.Bulk(g.Rows); err != nil {
		return "", err
	}
	if err := table.Render(); err != nil {
		return "", err
	}
	return out.String(), nil
}

func columns(g Grid) int {
	n := len(g.Header)
	for _, row := range g.Rows {
		n = max(n, len(row))
	}
	return n
}

// hues are the words that are painted when they fill a cell.
var hues = map[string]lipgloss.Color{
	"pass": green, "owned": green, "healthy": green, "ok": green,
	"warn": yellow, "unknown": yellow, "degraded": yellow, "inconclusive": yellow, "skip": yellow,
	"disputed": yellow, "interrupted": yellow, "refused": yellow,
	"fail": red, "unowned": red, "splitBrain": red, "noQuorum": red, "unhealthy": red,
	"notWhole": red, "objectiveMissed": red,
}

// The colours are the terminal's own, so that its theme holds.
const (
	red    = lipgloss.Color("1")
	green  = lipgloss.Color("2")
	yellow = lipgloss.Color("3")
)

// paint colours the cells of a line that hold nothing but a known word. It is
// done last, so that colour cannot move a column.
func (s Style) paint(line string, cells []string) string {
	if !s.Color {
		return line
	}
	brush := lipgloss.NewRenderer(io.Discard)
	brush.SetColorProfile(termenv.ANSI)
	var out strings.Builder
	for _, cell := range cells {
		before, after, _ := strings.Cut(line, cell) // the next text in the line is this cell
		out.WriteString(before)
		if hue, ok := hues[cell]; ok {
			cell = brush.NewStyle().Foreground(hue).Render(cell)
		}
		out.WriteString(cell)
		line = after
	}
	return out.String() + line
}

// clean returns the rows with each cell on one line, and "-" where it is empty.
func clean(rows [][]string) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		for _, cell := range row {
			out[i] = append(out[i], orElse(strings.Join(strings.Fields(harmless(cell)), " "), "-"))
		}
	}
	return out
}
