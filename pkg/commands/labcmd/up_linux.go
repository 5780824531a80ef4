package labcmd

import (
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/pkg/lab"
)

func newUp(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up [flags]",
		Short: "Bring a lab up and leave it running",
		Long: `Brings a lab up, waits until every node has booted and every VIP that a node can
hold has an owner, and leaves it running until "vipctl lab down". It never
outlives this machine's boot. With -o json or yaml it prints what "vipctl lab
status" does.`,
		Example: `  vipctl lab up
  vipctl lab up --name five --control-planes 5 --lease-ttl 10s
  vipctl lab up --workers 2 --vip 10.5.0.50 --vip fd10:5::50
  vipctl lab up --vlan 100 --vip 10.6.0.50
  vipctl lab up --vip-link cp-3=enp1s0`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := addSpecFlags(cmd)
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		spec, err := flags.read(*s.name)
		if err != nil {
			return err
		}
		if err := checkOutput(*format); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), caught...)
		defer stop()
		l, err := lab.Up(ctx, spec, lab.Options{Progress: s.progress, Timeout: flags.timeout})
		if err != nil {
			return interrupted(ctx, err)
		}
		s.streams.Errorf("the lab %s is up; try `vipctl lab exec%s -- vipctl owner`", spec.Name, s.nameFlag(spec.Name))
		if *format == formatTable {
			return nil
		}
		return s.printStatus(cmd.Context(), l, *format)
	}
	return cmd
}

func newDown(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "down [NAME]",
		Short: "Take a lab down",
		Long: `Takes the lab down: when it returns, no process, namespace, mount or file of it is
left. One whose supervisor does not answer is killed.`,
		Example: `  vipctl lab down
  vipctl lab down five`,
		Args:              arguments(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			l := s.lab()
			if len(args) == 1 {
				l.Name = args[0]
			}
			if err := lab.CheckName(l.Name); err != nil {
				return usage(err)
			}
			return l.Down(cmd.Context())
		},
	}
}
