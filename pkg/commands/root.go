package commands

import (
	"cmp"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/commands/labcmd"
	"github.com/vipctl/vipctl/pkg/report"
)

func newRootCommand(f *Factory) *cobra.Command {
	root := &cobra.Command{
		Use:   "vipctl",
		Short: "Show, check and rehearse the failover of a Talos control plane's virtual IP",
		Long: `vipctl tells who owns a Talos Linux control plane's virtual (shared) IP, checks
whether the set-up is sound, and measures how long a failover takes by doing
one, under guard. With "vipctl lab" all of it can be rehearsed on one Linux
machine.`,
		Example: `  # a three-node control plane on this machine, and a measured drill on it
  vipctl lab run --lease-ttl 5s -- vipctl failover-test --mode graceful,hard --yes

  # the cluster of the current talosconfig context
  vipctl owner
  vipctl doctor`,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		Args:                       knownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(f.Streams.In)
	root.SetOut(f.Streams.Out)
	root.SetErr(f.Streams.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return cli.WithHint(&cli.UsageError{Err: err}, "%s", flagHint(cmd, err))
	})
	f.flags.bindOutput(root.PersistentFlags())
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(report.Formats(), cobra.ShellCompDirectiveNoFileComp))

	root.AddGroup(
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupDrill, Title: "Drill:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	root.SetHelpCommandGroupID(groupOther)
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		f.onClusters(f.watchable(newOwnerCommand(f, nil))),
		f.onClusters(newEtcdCommand(f, nil)),
		f.onClusters(newDoctorCommand(f, nil)),
		f.onCluster(newFailoverTestCommand(f, nil)),
		inGroup(groupDrill, labcmd.New(f.Streams)),
		newCompletionCommand(f),
		newVersionCommand(f),
		newExitCodesTopic(),
		labcmd.NewProcess(),
	)
	root.InitDefaultHelpCmd()
	refuseUnknownTopics(root)
	completeTopics(root)
	return root
}

// The groups of the help page.
const (
	groupLook  = "look"
	groupDrill = "drill"
	groupOther = "other"
)

// onCluster gives a command the flags by which a cluster is found.
func (f *Factory) onCluster(cmd *cobra.Command) *cobra.Command {
	f.flags.bindCluster(cmd.Flags())
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	f.completeClusterFlags(cmd)
	cmd.PreRunE = withVIP(func(*cobra.Command) error {
		_, err := f.flags.one()
		return err
	})
	return cmd
}

// onClusters gives a command the flags by which one or more clusters are found.
func (f *Factory) onClusters(cmd *cobra.Command) *cobra.Command {
	f.onCluster(cmd)
	f.flags.bindContexts(cmd.Flags())
	cmd.PreRunE = withVIP(f.checkContexts)
	return cmd
}

// withVIP checks a command's flags, of which --vip may have come without a value.
func withVIP(check func(*cobra.Command) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return cmp.Or(refuseEmpty(cmd.Flags(), "vip"), check(cmd))
	}
}

func inGroup(id string, cmd *cobra.Command) *cobra.Command {
	cmd.GroupID = id
	return cmd
}

// flagHint is what to do about a flag that could not be parsed: the one that was
// probably meant, or how a duration is written; and where to read on.
func flagHint(cmd *cobra.Command, err error) string {
	more := "see " + cmd.CommandPath() + " --help"
	if typo, ok := errors.AsType[*pflag.NotExistError](err); ok && len(typo.GetSpecifiedName()) > 2 {
		near, least := "", 3 // two letters off, or one
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if d := distance(typo.GetSpecifiedName(), flag.Name); d < least && !flag.Hidden {
				near, least = flag.Name, d
			}
		})
		if near != "" {
			return "did you mean --" + near + "? " + more
		}
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok && bad.GetFlag().Value.Type() == "duration" {
		return "durations are written 200ms, 5s, 2m; " + more
	}
	return more
}

// distance is how many letters must be put in, taken out or changed to make one
// word of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// knownCommand refuses an argument that names no command, and says which was
// probably meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := cli.Usagef("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return cli.WithHint(err, "did you mean %s?", strings.Join(near, " or "))
	}
	return cli.WithHint(err, "%s --help lists the commands", cmd.CommandPath())
}

// refuseUnknownTopics makes "vipctl help ownr" wrong usage, as "vipctl ownr" is.
func refuseUnknownTopics(root *cobra.Command) {
	help, _, err := root.Find([]string{"help"})
	if err != nil || help == root {
		return
	}
	help.Args = func(_ *cobra.Command, args []string) error {
		found, rest, err := root.Find(args)
		switch {
		case err != nil || found == root:
			return knownCommand(root, args)
		case found.HasSubCommands():
			return knownCommand(found, rest)
		}
		return nil
	}
}

// completeTopics makes "vipctl help" offer the additional topics, too: cobra
// offers commands only.
func completeTopics(root *cobra.Command) {
	help, _, err := root.Find([]string{"help"})
	if err != nil || help == root {
		return
	}
	commands := help.ValidArgsFunction
	help.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		offers, directive := commands(cmd, args, typed)
		parent, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return offers, directive
		}
		for _, topic := range parent.Commands() {
			if topic.IsAdditionalHelpTopicCommand() && strings.HasPrefix(topic.Name(), typed) {
				offers = append(offers, cobra.CompletionWithDesc(topic.Name(), topic.Short))
			}
		}
		return offers, directive
	}
}

// noArgs refuses arguments, as cobra.NoArgs does, but as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return cli.WithHint(cli.Usagef("%s takes no argument, got %q", cmd.CommandPath(), args[0]),
			"see %s --help", cmd.CommandPath())
	}
	return nil
}
