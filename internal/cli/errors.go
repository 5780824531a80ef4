package cli

import (
	"errors"
	"fmt"
)

// UsageError says that the command line or a configuration file is wrong, so
// the exit code is ExitUsage.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError in the manner of fmt.Errorf.
func Usagef(format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...)}
}

// Hinted is an error that knows what the reader may do about it. Packages that
// may not import this one give their error types a Hint method of the same
// shape.
type Hinted interface {
	error
	Hint() string
}

type hintedError struct {
	error
	hint string
}

func (e *hintedError) Hint() string  { return e.hint }
func (e *hintedError) Unwrap() error { return e.error }

// WithHint adds to err the command or flag to try. A nil err stays nil.
func WithHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hintedError{error: err, hint: fmt.Sprintf(format, args...)}
}

// HintOf returns the outermost hint that err carries, or "".
func HintOf(err error) string {
	if h, ok := errors.AsType[Hinted](err); ok {
		return h.Hint()
	}
	return ""
}

// CodeError ends the program with a code of its own. Err may be nil where all
// there was to say has been printed.
type CodeError struct {
	Code ExitCode
	Err  error
}

// Exit returns an error that ends the program with code and prints nothing;
// for ExitOK it returns nil.
func Exit(code ExitCode) error {
	if code == ExitOK {
		return nil
	}
	return &CodeError{Code: code}
}

func (e *CodeError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *CodeError) Unwrap() error { return e.Err }

// CodeOf maps an error to the exit code: nil is ExitOK, a CodeError its own
// code, a UsageError ExitUsage, anything else ExitFailed.
func CodeOf(err error) ExitCode {
	var (
		code  *CodeError
		usage *UsageError
	)
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &code):
		return code.Code
	case errors.As(err, &usage):
		return ExitUsage
	default:
		return ExitFailed
	}
}
