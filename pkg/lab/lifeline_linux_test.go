package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pipes are the pipes that this process has open.
func pipes() (list []string) {
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "pipe:") {
			list = append(list, to)
		}
	}
	return list
}

func TestDownClosesTheLifeline(t *testing.T) {
	seat(t)
	need(t)
	for _, bound := range []bool{true, false} {
		before := pipes()
		l, err := Up(t.Context(), testSpec(testName(t)), Options{Bound: bound})
		if err != nil {
			t.Fatal(err)
		}
		// Pipes of other tests may be on their way out.
		more := slices.DeleteFunc(pipes(), func(p string) bool { return slices.Contains(before, p) })
		if len(more) == 0 {
			t.Error("a lab that runs has no lifeline")
		}
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the lifeline is closed", func() bool {
			return !slices.ContainsFunc(pipes(), func(p string) bool { return slices.Contains(more, p) })
		})
	}
}
