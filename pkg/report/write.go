// Package report prints results: as tables for people, as JSON and YAML for
// scripts. A document type is a contract with scripts; its JSON Schema lies in
// schemas/. Fields may be added to it, never renamed.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The formats.
const (
	Table = "table" // for people
	Wide  = "wide"  // for people, with more columns and rows
	JSON  = "json"  // one indented value
	YAML  = "yaml"  // the same document
)

// Formats lists every format, in the order in which help shows them.
func Formats() []string { return []string{Table, Wide, JSON, YAML} }

// FormatError says that a format is not one of Formats.
type FormatError struct{ Format string }

func (e *FormatError) Error() string { return fmt.Sprintf("unknown output format %q", e.Format) }

// Hint lists the formats that there are.
func (e *FormatError) Hint() string { return "one of " + strings.Join(Formats(), ", ") }

// Tabular is a document that has a form for people.
type Tabular interface {
	// Grids is a pure function of the document.
	Grids(wide bool) []Grid
}

// Style is how tables look. The zero value is plain text.
type Style struct {
	// Color paints verdicts. The words alone carry the meaning.
	Color bool
	// Width is how many columns the terminal has: sentences and cells are wrapped
	// to it. 0 is no terminal, and nothing is wrapped.
	Width int
}

// Write prints v plainly, in the format. For Table and Wide v must be Tabular.
// An unknown format is a *FormatError, and nothing is printed.
func Write(w io.Writer, format string, v any) error { return Style{}.Write(w, format, v) }

// Write prints v in the format, in this style, which matters for Table and Wide
// only. Those need a Tabular v; an unknown format is a *FormatError. JSON and YAML
// come as bytes that no terminal obeys.
func (s Style) Write(w io.Writer, format string, v any) error {
	if !slices.Contains(Formats(), format) {
		return &FormatError{format}
	}
	switch format {
	case JSON:
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return err
		}
		_, err := w.Write(harmlessJSON(out.Bytes()))
		return err
	case YAML:
		data, err := harmlessYAML(v)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	t, ok := v.(Tabular)
	if !ok {
		return fmt.Errorf("%T has no table form", v)
	}
	return s.WriteGrids(w, t.Grids(format == Wide))
}
