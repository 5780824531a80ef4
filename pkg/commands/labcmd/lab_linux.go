package labcmd

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

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

		SuggestionsMinimumDistance: 2,
	}
	name := cmd.PersistentFlags().String("name", defaultName(), "the lab's name")
	_ = cmd.RegisterFlagCompletionFunc("name", completeNames) // fails only for a flag that there isn't
	s := &session{streams: streams, name: name}
	cmd.PersistentPreRunE = s.check
	cmd.AddCommand(
		newRun(s), newUp(s), newExec(s), newDown(s),
		newStatus(s), newList(s), newLogs(s), newEvents(s), newFault(s), newPower(s),
	)
	return cmd
}

// session is what every command of `vipctl lab` shares.
type session struct {
	streams *cli.Streams
	name    *string
}

func (s *session) lab() *lab.Lab { return &lab.Lab{Name: *s.name} }

// nameFlag is what a command line needs, after a space, to mean the lab.
func (s *session) nameFlag(name string) string {
	if name == defaultName() {
		return ""
	}
	return " --name " + name
}

// defaultName is, inside a lab, that lab's.
func defaultName() string { return cmp.Or(os.Getenv(lab.EnvName), lab.DefaultName) }

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := cli.Usagef("unknown command %q for %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return cli.WithHint(err, "did you mean `%s %s`?", cmd.CommandPath(), near[0])
	}
	return cli.WithHint(err, "`%s --help` lists the commands", cmd.CommandPath())
}

// noArgs refuses arguments. Who gives one mostly means a lab's name.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return cli.WithHint(cli.Usagef("%s takes no argument, got %q", cmd.CommandPath(), args[0]),
		"a lab is named by a flag: `%s --name %s`", cmd.CommandPath(), args[0])
}

// someCommand asks for a command to run.
func someCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return nil
	}
	return cli.WithHint(cli.Usagef("no command to run is given"), "usage: %s", cmd.UseLine())
}

// check refuses what is wrong for any of the commands: a name that no lab can
// have, and -o for a command that has no document to print.
func (s *session) check(cmd *cobra.Command, _ []string) error {
	if err := lab.CheckName(*s.name); err != nil {
		return usage(err)
	}
	if cmd.HasSubCommands() || cmd.LocalNonPersistentFlags().Lookup("output") != nil || !cmd.Flags().Changed("output") {
		return nil
	}
	return cli.WithHint(cli.Usagef("%s has no -o", cmd.CommandPath()), "usage: %s", cmd.UseLine())
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
	return outputFlagOf(cmd, formatTable, formatJSON, formatYAML)
}

// outputFlagOf adds -o, with the formats that it may be; the first is what it is
// by default.
func outputFlagOf(cmd *cobra.Command, formats ...string) *string {
	last := len(formats) - 1
	format := cmd.Flags().StringP("output", "o", formats[0],
		"how to print: "+strings.Join(formats[:last], ", ")+" or "+formats[last])
	_ = cmd.RegisterFlagCompletionFunc("output", fixed(formats...)) // fails only for a flag that there isn't
	return format
}

// checkOutput refuses a format that is none of table, json and yaml, nor of
// those that the command has besides.
func checkOutput(format string, more ...string) error {
	formats := append([]string{formatTable, formatJSON, formatYAML}, more...)
	if !slices.Contains(formats, format) {
		return cli.WithHint(cli.Usagef("unknown output format %q", format), "formats are %s", strings.Join(formats, ", "))
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
