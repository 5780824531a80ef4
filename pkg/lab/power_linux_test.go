package lab

import (
	"errors"
	"testing"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

func TestPower(t *testing.T) {
	l := start(t, func(s *Spec) { s.ControlPlanes = 2 })
	press := func(node string, a PowerAction) {
		t.Helper()
		if err := l.Power(t.Context(), node, a); err != nil {
			t.Fatalf("Power(%s, %s) = %v", node, a, err)
		}
	}
	power := func() PowerState { _, n := status(t, l, "cp-2"); return n.Power }
	boots := func() (n int) {
		for _, e := range events(t, l) {
			if e.Node == "cp-2" && e.Kind == truth.PowerOn {
				n++
			}
		}
		return n
	}

	press("cp-2", SwitchOn)
	if got := boots(); got != 1 {
		t.Errorf("cp-2 was switched on %d times; want a node that is on to stay as it is", got)
	}
	press("cp-2", SwitchOff)
	if got := power(); got != PowerOff {
		t.Errorf("power after off = %s; want off", got)
	}
	press("cp-2", SwitchOn)
	eventually(t, "cp-2 is on again", func() bool { return power() == PowerOn })
	press("cp-2", Cycle)
	eventually(t, "cp-2 was switched on a third time", func() bool { return boots() == 3 && power() == PowerOn })

	if err := l.Inject(t.Context(), FaultRequest{Fault: faultPowerOff, Node: "cp-2"}); err != nil {
		t.Fatal(err)
	}
	press("cp-2", SwitchOn)
	eventually(t, "the power cut is over", func() bool {
		active, err := l.Faults(t.Context())
		return err == nil && len(active) == 0 && power() == PowerOn
	})

	for name, err := range map[string]error{
		"an action that is none": l.Power(t.Context(), "cp-2", "warm"),
		"a node that is none":    l.Power(t.Context(), "cp-7", SwitchOn),
	} {
		if _, usage := errors.AsType[*UsageError](err); !usage || hintOf(err) == "" {
			t.Errorf("%s: Power = %v; want a UsageError with a hint", name, err)
		}
	}
}
