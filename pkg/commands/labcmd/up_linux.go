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
outlives this machine's boot.`,
		Example: `  vipctl lab up
  vipctl lab up --name five --control-planes 5 --lease-ttl 10s
  vipctl lab up --workers 2 --vip 10.5.0.50 --vip fd10:5::50
  vipctl lab up --vlan 100 --vip 10.6.0.50
  vipctl lab up --vip-link cp-3=enp1s0`,
		Args: arguments(cobra.NoArgs),
	}
	flags := addSpecFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		spec, err := flags.read(*s.name)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), caught...)
		defer stop()
		if _, err := lab.Up(ctx, spec, lab.Options{Progress: s.progress, Timeout: flags.timeout}); err != nil {
			return interrupted(ctx, err)
		}
		s.streams.Errorf("the lab %s is up; try `vipctl lab exec --name %s -- vipctl owner`", spec.Name, spec.Name)
		return nil
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
			return l.Down(cmd.Context())
		},
	}
}
