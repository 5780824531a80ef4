package report

import (
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
)

// hang is by how much the rest of a wrapped sentence is indented beyond its
// beginning, so that it is no line of its own to the eye.
const hang = 4

// wrap breaks a sentence at spaces, so that it fits into so many columns if its
// words do; no word is ever cut, for it may be a command's. The lines after the
// first are indented. 0 is as many columns as it takes.
func wrap(line string, width int) string {
	text := strings.TrimLeft(line, " ")
	lead := len(line) - len(text)
	return strings.Join(fold(line, width, lead+hang), "\n")
}

// fold is wrap, with the indent of the lines after the first.
func fold(line string, width, indent int) []string {
	if width <= 0 || lipgloss.Width(line) <= width {
		return []string{line}
	}
	if indent > width/2 {
		indent = 0
	}
	var lines []string
	var now strings.Builder
	for rest := line; rest != ""; {
		text := strings.TrimLeft(rest, " ")
		gap := rest[:len(rest)-len(text)]
		word, _, _ := strings.Cut(text, " ")
		rest = text[len(word):]
		switch begun := strings.TrimSpace(now.String()) != ""; {
		case word == "": // spaces at the end
		case begun && lipgloss.Width(now.String()+gap+word) > width:
			lines = append(lines, now.String())
			now.Reset()
			now.WriteString(strings.Repeat(" ", indent) + word)
		default:
			now.WriteString(gap + word)
		}
	}
	return append(lines, now.String())
}

// leastColumn is how narrow a column of sentences may become.
const leastColumn = 20

// gutter is how many spaces lie between two columns.
const gutter = 2

// fit returns the grid with as few of its spare columns left out as it takes to
// fit into so many columns of the terminal, and how wide each column may be. It
// is false where even that does not help.
func (g Grid) fit(width int) (Grid, []int, bool) {
	for narrow := &g; narrow != nil; narrow = narrow.narrower() {
		if widths, ok := squeeze(narrow.Header, narrow.Rows, width); ok {
			return *narrow, widths, true
		}
	}
	return g, nil, false
}

// narrower is the grid without the first column that it can do without, nil where
// there is none.
func (g Grid) narrower() *Grid {
	if len(g.Spare) == 0 {
		return nil
	}
	at := slices.Index(g.Header, g.Spare[0])
	n := &Grid{Spare: g.Spare[1:], Header: slices.Delete(slices.Clone(g.Header), at, at+1)}
	for _, row := range g.Rows {
		n.Rows = append(n.Rows, slices.Delete(slices.Clone(row), at, at+1))
	}
	return n
}

// squeeze returns how wide each column may be for all to fit, and false where
// they cannot. The widest gives way first.
func squeeze(header []string, rows [][]string, width int) ([]int, bool) {
	widths, least := extents(header, rows)
	total := gutter * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > width; total-- {
		widest := -1
		for c := range widths {
			if widths[c] > least[c] && (widest < 0 || widths[c] > widths[widest]) {
				widest = c
			}
		}
		if widest < 0 {
			return widths, false
		}
		widths[widest]--
	}
	return widths, true
}

// extents returns how wide each column is, and how narrow it may become: a word is
// never cut, nor is a header wrapped.
func extents(header []string, rows [][]string) (full, least []int) {
	for i, row := range slices.Concat([][]string{header}, rows) {
		for c, cell := range row {
			if c == len(full) {
				full, least = append(full, 0), append(least, 0)
			}
			wide := lipgloss.Width(cell)
			narrow := min(wide, leastColumn)
			for word := range strings.FieldsSeq(cell) {
				narrow = max(narrow, lipgloss.Width(word))
			}
			if i == 0 {
				narrow = wide
			}
			full[c], least[c] = max(full[c], wide), max(least[c], narrow)
		}
	}
	return full, least
}

// foldRows wraps the cells of each row to the widths. Beside the lines of the
// table it returns the cells of each line that stand whole in it, "" for others.
func foldRows(rows [][]string, widths []int) (lines, whole [][]string) {
	for _, row := range rows {
		first := len(lines)
		for c, cell := range row {
			parts := fold(cell, widths[c], 0)
			for i, part := range parts {
				if first+i == len(lines) {
					lines, whole = append(lines, make([]string, len(row))), append(whole, make([]string, len(row)))
				}
				lines[first+i][c] = part
				if len(parts) == 1 {
					whole[first+i][c] = part
				}
			}
		}
	}
	return lines, whole
}

// sentences are names and values that do not fit beside each other.
func (s Style) sentences(indent string, rows [][]string) string {
	var out strings.Builder
	for _, row := range rows {
		out.WriteString(wrap(s.paint(indent+strings.Join(row, "  "), row), s.Width) + "\n")
	}
	return out.String()
}

// records are the rows of a table that is too wide for the terminal, one below
// the other: a name and a value a line.
func (s Style) records(g Grid) (string, error) {
	var out strings.Builder
	for i, row := range g.Rows {
		if i > 0 {
			out.WriteByte('\n')
		}
		var record Grid
		for c, cell := range row {
			record.Rows = append(record.Rows, []string{g.Header[c], cell})
		}
		text, err := s.align(record)
		if err != nil {
			return "", err
		}
		out.WriteString(text)
	}
	return out.String(), nil
}
