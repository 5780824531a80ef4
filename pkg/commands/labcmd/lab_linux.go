package labcmd

import (
	"cmp"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/lab"
	"github.com/vipctl/vipctl/pkg/lab/process"
)

const long = `Runs a Talos control plane on this machine: emulated nodes with a real etcd, the
VIP operator, the Talos API and a kube-apiserver stand-in, each in a network
namespace of its own, and a workstation from which commands reach them.

Nothing on the host's network changes, and nothing is left when it ends. It
needs root, or a kernel that allows unprivileged user namespaces.

Addresses: network 10.5.0.0/24, workstation .1, nodes .2 on, VIP .50, BMCs .102 on.`

// New returns `vipctl lab`.
func New(streams *cli.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run an emulated control plane on this machine",
		Long:  long,
		Example: `  # a lab for one command
  vipctl lab run -- vipctl owner

  # a lab that stays
  vipctl lab up
  vipctl lab exec -- vipctl doctor
  vipctl lab down`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	name := cmd.PersistentFlags().String("name", defaultName(), "the lab's name")
	_ = cmd.RegisterFlagCompletionFunc("name", completeNames) // fails only for a flag that there isn't
	s := &session{streams: streams, name: name}
	cmd.AddCommand(
		newRun(s), newUp(s), newExec(s), newDown(s),
		newStatus(s), newList(s), newLogs(s), newEvents(s), newFault(s),
	)
	return cmd
}

// session is what every command of `vipctl lab` shares.
type session struct {
	streams *cli.Streams
	name    *string
}

func (s *session) lab() *lab.Lab { return &lab.Lab{Name: *s.name} }

// defaultName is, inside a lab, that lab's.
func defaultName() string { return cmp.Or(os.Getenv(lab.EnvName), lab.DefaultName) }

func completeNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names, err := lab.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return cli.WithHint(cli.Usagef("unknown command %q for %q", args[0], cmd.CommandPath()),
		"`%s --help` lists the commands", cmd.CommandPath())
}

// arguments makes a usage error of what a cobra check of arguments says.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return cli.WithHint(&cli.UsageError{Err: err}, "usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// The formats of -o.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

// outputFlag adds -o to the command; the value is one of the formats.
func outputFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("output", "o", formatTable, "how to print: table, json or yaml")
}

func checkOutput(format string) error {
	if !slices.Contains([]string{formatTable, formatJSON, formatYAML}, format) {
		return cli.WithHint(cli.Usagef("unknown output format %q", format), "-o takes table, json or yaml")
	}
	return nil
}

// NewProcess returns the hidden command that runs one process of the lab.
func NewProcess() *cobra.Command {
	return &cobra.Command{
		Use:                process.Command + " ROLE ARG",
		Short:              "Run one process of the lab",
		Hidden:             true,
		DisableFlagParsing: true,
		Args:               arguments(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			return cli.Exit(cli.ExitCode(lab.RunProcess(args[0], args[1:])))
		},
	}
}

// progress shows what a starting lab does.
func (s *session) progress(line string) { fmt.Fprintln(s.streams.Err, line) }
