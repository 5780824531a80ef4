package commands

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
)

// newExitCodesTopic is "vipctl help exit-codes": a topic, not a command, for
// it has nothing to run.
func newExitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("vipctl tells a script the verdict by its exit code:\n\n")
	for _, e := range cli.ExitCodes {
		fmt.Fprintf(&b, "  %3d  %s\n", e.Code, e.Meaning)
	}
	b.WriteString("\nOf several drills or contexts the worst counts, in the order 5, 6, 130, 4, 7, 3, 1.")
	return &cobra.Command{Use: "exit-codes", Short: "The exit codes and what they mean", Long: b.String()}
}
