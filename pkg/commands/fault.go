package commands

import (
	"context"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/chaos"
	"github.com/vipctl/vipctl/pkg/chaos/fault"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/config"
	"github.com/vipctl/vipctl/pkg/power"
	"github.com/vipctl/vipctl/pkg/talos"
)

// newFault makes the fault of a mode for one node, and says why not where it
// cannot.
func newFault(mode string, node *cluster.Node, client *talos.Client, cfg *config.Config) (chaos.Fault, error) {
	if mode == modeHard {
		s, err := powerSwitch(node.Name, cfg)
		if err != nil {
			return nil, err
		}
		return &fault.PowerCut{Switch: switchOf{s}}, nil
	}
	return &fault.Reboot{
		Mode:     fault.RebootMode(mode),
		Rebooter: rebooter{client.Node(node.Name)},
		Version:  node.Version.Value().Tag,
	}, nil
}

// powerSwitch returns the switch that the configuration file names for node.
func powerSwitch(node string, cfg *config.Config) (power.Switch, error) {
	p := cfg.Nodes[node].Power
	if p == nil {
		return nil, cli.WithHint(
			refusef("the configuration file names no power switch for %s", node),
			"add nodes.%s.power to the configuration file (--config), or choose --mode graceful or force", node)
	}
	return &power.Redfish{
		URL: p.URL, Username: p.Username, Password: p.Password, CAFile: p.CAFile,
		InsecureSkipVerify: p.InsecureSkipVerify, SystemID: p.SystemID,
	}, nil
}

// switchOf is a power.Switch as fault.PowerCut wants it.
type switchOf struct{ power.Switch }

func (s switchOf) PowerOff(ctx context.Context) error { return s.Do(ctx, power.ForceOff) }
func (s switchOf) PowerOn(ctx context.Context) error  { return s.Do(ctx, power.On) }

func (s switchOf) Powered(ctx context.Context) (bool, error) {
	state, err := s.State(ctx)
	return state == power.StateOn, err
}

// rebooter is a node of the Talos client as fault.Reboot wants it.
type rebooter struct{ node *talos.NodeClient }

func (r rebooter) Reboot(ctx context.Context, mode fault.RebootMode) error {
	if mode == fault.Graceful {
		return r.node.Reboot(ctx, "default")
	}
	return r.node.Reboot(ctx, string(mode))
}

func (r rebooter) BootTime(ctx context.Context) (time.Time, error) { return r.node.BootTime(ctx) }
