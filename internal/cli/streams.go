// Package cli holds what every command shares and no other package needs:
// the streams, the exit codes, and errors that carry a hint.
package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/mattn/go-isatty"
	"golang.org/x/term"
)

// Streams are the three standard streams, and what is known of them. Out
// holds what was asked for, Err everything else.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	// Interactive says that In and Err are a terminal: a person can be asked.
	Interactive bool
	// Color says that Out may carry colour.
	Color bool
}

// System returns the process's own streams. NO_COLOR (https://no-color.org)
// and a dumb terminal turn colour off.
func System() *Streams {
	tty := func(f *os.File) bool { return isatty.IsTerminal(f.Fd()) }
	return &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Interactive: tty(os.Stdin) && tty(os.Stderr),
		Color:       tty(os.Stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

// Width is how many columns the terminal has that Out is, 0 where it is none. A
// terminal may change it at any time.
func (s *Streams) Width() int {
	f, ok := s.Out.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// Errorf writes a line to Err. Nothing in it is a command to a terminal, whoever
// wrote the words.
func (s *Streams) Errorf(format string, args ...any) {
	text := strings.ToValidUTF8(fmt.Sprintf(format+"\n", args...), "\uFFFD")
	_, _ = io.WriteString(s.Err, strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return '\uFFFD'
	}, text))
}

// Report writes err in the house's form: "error: ..." and, where there is
// one, "hint: ...". A CodeError without an inner error prints nothing.
func (s *Streams) Report(err error) {
	code, ok := err.(*CodeError) //nolint:errorlint // a CodeError that somebody wrapped has words of its own
	if err == nil || ok && code.Err == nil {
		return
	}
	s.Errorf("error: %v", err)
	if hint := HintOf(err); hint != "" {
		s.Errorf("hint: %s", hint)
	}
}
