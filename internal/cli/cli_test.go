package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/internal/cli"
)

func TestCodeOf(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want cli.ExitCode
	}{
		{"nothing went wrong", nil, cli.ExitOK},
		{"any error", io.ErrUnexpectedEOF, cli.ExitFailed},
		{"a usage error", cli.Usagef("unknown mode %q", "soft-ish"), cli.ExitUsage},
		{"a usage error with a hint, wrapped", fmt.Errorf("config: %w", cli.WithHint(cli.Usagef("bad key"), "see docs")), cli.ExitUsage},
		{"a bare code", cli.Exit(cli.ExitBad), cli.ExitBad},
		{"a code around an error", &cli.CodeError{Code: cli.ExitRefused, Err: io.EOF}, cli.ExitRefused},
		{"a code around a usage error: the code counts", &cli.CodeError{Code: cli.ExitRefused, Err: cli.Usagef("x")}, cli.ExitRefused},
		{"the good code is no error", cli.Exit(cli.ExitOK), cli.ExitOK},
	}
	for _, tt := range tests {
		if got := cli.CodeOf(tt.err); got != tt.want {
			t.Errorf("%s: CodeOf(%v) = %d; want %d", tt.name, tt.err, got, tt.want)
		}
	}
}

func TestWrappedErrorsCanStillBeFound(t *testing.T) {
	for _, err := range []error{
		cli.Usagef("reading: %w", io.EOF),
		cli.WithHint(io.EOF, "try again"),
		&cli.CodeError{Code: cli.ExitBad, Err: io.EOF},
	} {
		if !errors.Is(err, io.EOF) {
			t.Errorf("errors.Is(%#v, io.EOF) = false; want true", err)
		}
	}
}

// TestWorst goes through every pair: the order is 5, 6, 130, 4, 7, 3, and a
// good drill never hides a bad one.
func TestWorst(t *testing.T) {
	order := []cli.ExitCode{5, 6, 130, 4, 7, 3, 1, 2, 0}
	for i, worse := range order {
		for _, better := range order[i:] {
			if got := cli.Worst(better, worse); got != worse {
				t.Errorf("Worst(%d, %d) = %d; want %d", better, worse, got, worse)
			}
		}
	}
	if got := cli.Worst(); got != cli.ExitOK {
		t.Errorf("Worst() = %d; want %d", got, cli.ExitOK)
	}
	if len(order) != len(cli.ExitCodes) {
		t.Errorf("the order has %d codes, ExitCodes %d", len(order), len(cli.ExitCodes))
	}
}

func TestReport(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"nothing to say", nil, ""},
		{"a bare code has been explained already", cli.Exit(cli.ExitBad), ""},
		{"an error", errors.New("node cp-1: no answer"), "error: node cp-1: no answer\n"},
		{"a code around an error", &cli.CodeError{Code: cli.ExitRefused, Err: errors.New("etcd has 2 of 3 voters")}, "error: etcd has 2 of 3 voters\n"},
		{"a wrapped bare code has words of its own", fmt.Errorf("round 2: %w", cli.Exit(cli.ExitBad)), "error: round 2: exit code 3\n"},
		{"a hint", cli.WithHint(errors.New("no nodes"), "use %s", "--nodes"), "error: no nodes\nhint: use --nodes\n"},
		{"the outermost of two hints", cli.WithHint(cli.WithHint(errors.New("no nodes"), "inner"), "outer"), "error: no nodes\nhint: outer\n"},
		{"the hint of a foreign type, wrapped", fmt.Errorf("drill: %w", foreign{}), "error: drill: no switch\nhint: add one\n"},
		{"no hint without an error", cli.WithHint(nil, "nothing"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			(&cli.Streams{Out: &out, Err: &errs}).Report(tt.err)
			if errs.String() != tt.want || out.Len() > 0 {
				t.Errorf("Report(%v): stderr %q, stdout %q; want %q and nothing", tt.err, &errs, &out, tt.want)
			}
		})
	}
}

// foreign is an error of a package that may not import cli.
type foreign struct{}

func (foreign) Error() string { return "no switch" }
func (foreign) Hint() string  { return "add one" }

// TestExitCodesAreDocumented compares the table in docs/cli.md with the one in
// the code: same codes, same words, same order.
func TestExitCodesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range cli.ExitCodes {
		want = append(want, fmt.Sprintf("| %d | %s |", c.Code, c.Meaning))
	}
	got := regexp.MustCompile(`(?m)^\| \d+ \|.*$`).FindAllString(string(doc), -1)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("docs/cli.md has the exit codes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestErrorsAreNoCommandsToATerminal(t *testing.T) {
	var out strings.Builder
	(&cli.Streams{Err: &out}).Errorf("node %s:\n\tgone", "\x1b[2Jcp-1\u009b\xff")
	if got, want := out.String(), "node \uFFFD[2Jcp-1\uFFFD\uFFFD:\n\tgone\n"; got != want {
		t.Errorf("Errorf wrote %q; want %q", got, want)
	}
}
