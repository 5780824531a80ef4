package labcmd

import (
	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/pkg/lab"
)

func newPower(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "power {on|off|cycle} NODE",
		Short: "Switch a node's power, as its BMC does",
		Long: `Switches a node's power, as its BMC does: on, also after a shutdown or a crash;
off, which cuts it; or cycle, which is both. NODE may be "owner". It does not wait
for the node to boot; "vipctl lab status" shows how far it is.

A cut that "vipctl lab fault undo" is to take back is the fault power-off.`,
		Example: `  vipctl lab exec -- talosctl shutdown -n 10.5.0.3
  vipctl lab power on cp-2`,
		Args:              arguments(cobra.ExactArgs(2)),
		ValidArgsFunction: s.completePower,
		RunE: func(cmd *cobra.Command, args []string) error {
			action := lab.PowerAction(args[0])
			if err := lab.CheckPower(action); err != nil {
				return usage(err)
			}
			return usage(s.lab().Power(cmd.Context(), args[1], action))
		},
	}
}

// completePower completes the action, then the node.
func (s *session) completePower(cmd *cobra.Command, args []string, _ string) (offers []string, _ cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		for _, a := range lab.PowerActions() {
			offers = append(offers, string(a))
		}
	case 1:
		offers = s.nodesOrOwner(cmd)
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
