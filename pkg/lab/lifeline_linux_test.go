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
	need(t)
	for _, bound := range []bool{true, false} {
		before := pipes()
		l, err := Up(t.Context(), testSpec(testName(t)), Options{Bound: bound})
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(pipes(), before) {
			t.Error("a lab that runs has no lifeline")
		}
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the lifeline is closed", func() bool { return slices.Equal(pipes(), before) })
	}
}
