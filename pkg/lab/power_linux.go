package lab

import (
	"context"

	"github.com/vipctl/vipctl/pkg/lab/bmc"
)

// Power switches a node's power, as its BMC does: on also after a shutdown or
// a crash. It does not wait for the node to boot. The node may be Owner.
func (l *Lab) Power(ctx context.Context, node string, a PowerAction) error {
	return l.converse(ctx, request{Op: opPower, Node: node, Power: a}, ignore)
}

// power does what Power asks for, in turn with the faults.
func (f *faults) power(ctx context.Context, name string, a PowerAction) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	if err := CheckPower(a); err != nil {
		return err
	}
	m, err := f.node(name)
	if err != nil {
		return err
	}
	return m.Reset(ctx, map[PowerAction]bmc.ResetType{
		SwitchOn: bmc.On, SwitchOff: bmc.ForceOff, Cycle: bmc.PowerCycle,
	}[a])
}
