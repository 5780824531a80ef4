package commands

import (
	"fmt"
	"strings"

	"github.com/vipctl/vipctl/internal/cli"
)

func joined(words []string) string { return strings.Join(words, ", ") }

// refusef is an error with ExitRefused: nothing was touched.
func refusef(format string, args ...any) error {
	return &cli.CodeError{Code: cli.ExitRefused, Err: fmt.Errorf(format, args...)}
}
