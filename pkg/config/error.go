package config

import "fmt"

// Error is what is wrong with the file, and where.
type Error struct {
	File   string
	Line   int // from 1; 0 where no line can be named
	Reason string
	Remedy string // for Hint; may be ""
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

// Hint says what would be right.
func (e *Error) Hint() string { return e.Remedy }
