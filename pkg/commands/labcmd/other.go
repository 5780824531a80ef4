//go:build !linux

package labcmd

import (
	"errors"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
)

// New returns `vipctl lab`, which says on this system that it needs Linux.
func New(*cli.Streams) *cobra.Command {
	return &cobra.Command{
		Use:                "lab",
		Short:              "Run an emulated control plane on this machine (Linux only)",
		Example:            "  vipctl lab",
		DisableFlagParsing: true,
		RunE:               needsLinux,
	}
}

// NewProcess returns the hidden command that runs one process of the lab.
func NewProcess() *cobra.Command {
	return &cobra.Command{Use: "lab-process ROLE ARG", Short: "Run one process of the lab", Hidden: true, DisableFlagParsing: true, RunE: needsLinux}
}

func needsLinux(*cobra.Command, []string) error {
	return cli.WithHint(errors.New("the lab needs Linux, and this is "+runtime.GOOS),
		"run it in a Linux virtual machine or in a privileged Linux container")
}
