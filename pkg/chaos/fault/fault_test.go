package fault

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vipctl/vipctl/pkg/chaos"
)

var errBusy = errors.New("busy")

// node is a fake Talos API of one node.
type node struct {
	asked  []string
	err    error
	booted time.Time
	down   error // what BootTime says while the node is down
}

func (n *node) Reboot(_ context.Context, mode RebootMode) error {
	n.asked = append(n.asked, "reboot "+string(mode))
	return n.err
}

func (n *node) BootTime(context.Context) (time.Time, error) { return n.booted, n.down }

func (n *node) RestartService(_ context.Context, id string) error {
	n.asked = append(n.asked, "restart "+id)
	return n.err
}

func TestFaultsAskTheNode(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(*node) chaos.Fault
		want  string
	}{
		{"reboot (graceful)", func(n *node) chaos.Fault { return &Reboot{Mode: Graceful, Rebooter: n} }, "reboot graceful"},
		{"reboot (powercycle)", func(n *node) chaos.Fault { return &Reboot{Mode: Powercycle, Rebooter: n} }, "reboot powercycle"},
		{"reboot (force)", func(n *node) chaos.Fault { return &Reboot{Mode: Force, Rebooter: n} }, "reboot force"},
		{"kubelet restart", func(n *node) chaos.Fault { return &KubeletRestart{Restarter: n} }, "restart kubelet"},
	} {
		n := &node{}
		f := tt.fault(n)
		if f.Name() != tt.name {
			t.Errorf("Name() = %q; want %q", f.Name(), tt.name)
		}
		if err := f.Inject(t.Context()); err != nil {
			t.Errorf("%s: Inject = %v", tt.name, err)
		}
		if err := f.Recover(t.Context()); err != nil {
			t.Errorf("%s: Recover = %v", tt.name, err)
		}
		if want := []string{tt.want}; !slices.Equal(n.asked, want) {
			t.Errorf("%s asked for %q; want %q and nothing to recover", tt.name, n.asked, want)
		}
		n.err = errBusy
		if err := f.Inject(t.Context()); !errors.Is(err, errBusy) {
			t.Errorf("%s: Inject = %v; want the node's error", tt.name, err)
		}
	}
}

func TestForceNeedsATalosThatKnowsIt(t *testing.T) {
	for version, known := range map[string]bool{
		"v1.13.9": true, "v1.12.0": true, "v1.12.0-beta.0": true, "v1.12.0-rc.1": true, "v2.0.0": true,
		"v1.12.0-alpha.2": false, "v1.11.5": false, "v1.9.0": false, "v0.14.0": false, "": false, "1.13.9": false, "main": false,
	} {
		err := (&Reboot{Mode: Force, Rebooter: &node{}, Version: version}).Available(t.Context())
		var refused *UnavailableError
		if known && err != nil || !known && !errors.As(err, &refused) {
			t.Errorf("force on Talos %q: Available = %v; want known %v", version, err, known)
		}
		if refused != nil && !strings.Contains(refused.Hint(), "Talos 1.12") {
			t.Errorf("hint %q does not say which Talos is needed", refused.Hint())
		}
		if err := (&Reboot{Mode: Graceful, Rebooter: &node{}, Version: version}).Available(t.Context()); err != nil {
			t.Errorf("graceful on Talos %q: Available = %v; want nil", version, err)
		}
	}
}

func TestRebootLandsWhenTheNodeHasBootedAnew(t *testing.T) {
	n := &node{booted: time.Unix(1000, 0)}
	f := &Reboot{Mode: Graceful, Rebooter: n}
	if err := f.Available(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.Landed(t.Context()); err == nil {
		t.Error("Landed = nil before the node went down")
	}
	n.down = errors.New("connection refused")
	if err := f.Landed(t.Context()); !errors.Is(err, n.down) {
		t.Errorf("Landed = %v while the node is down; want its error", err)
	}
	n.down, n.booted = nil, time.Unix(1060, 0)
	if err := f.Landed(t.Context()); err != nil {
		t.Errorf("Landed = %v after the boot; want nil", err)
	}
}

// outlet is a fake power switch without a sensor. fails is how many of the
// next PowerOn calls fail.
type outlet struct {
	on    bool
	fails int
	asked []string
}

func (o *outlet) PowerOff(context.Context) error {
	o.asked = append(o.asked, "off")
	o.on = false
	return nil
}

func (o *outlet) PowerOn(context.Context) error {
	o.asked = append(o.asked, "on")
	if o.fails > 0 {
		o.fails--
		return errBusy
	}
	o.on = true
	return nil
}

// sensed is an outlet with a sensor that lags behind. deaf is how many of the
// next PowerOn calls are accepted and lost.
type sensed struct {
	outlet
	deaf    int
	changed time.Time
	err     error
}

const lag = 3 * time.Second

func (s *sensed) PowerOff(ctx context.Context) error {
	s.changed = time.Now()
	return s.outlet.PowerOff(ctx)
}

func (s *sensed) PowerOn(ctx context.Context) error {
	if s.deaf > 0 {
		s.deaf--
		s.asked = append(s.asked, "lost")
		return nil
	}
	s.changed = time.Now()
	return s.outlet.PowerOn(ctx)
}

func (s *sensed) Powered(context.Context) (bool, error) {
	if time.Since(s.changed) < lag {
		return !s.on, s.err
	}
	return s.on, s.err
}

func TestPowerCutWaitsForTheSensor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sensed{outlet: outlet{on: true}}
		f := &PowerCut{Switch: s}
		if err := f.Available(t.Context()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := f.Inject(t.Context()); err != nil || time.Since(begin) < lag {
			t.Errorf("Inject = %v after %s; want nil once the sensor says off", err, time.Since(begin))
		}
		begin = time.Now()
		if err := f.Recover(t.Context()); err != nil || time.Since(begin) < lag || !s.on {
			t.Errorf("Recover = %v after %s; want nil once the sensor says on", err, time.Since(begin))
		}
	})
}

func TestPowerCutSaysWhenThePowerStaysOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), lag/2)
		defer cancel()
		err := (&PowerCut{Switch: &sensed{outlet: outlet{on: true}}}).Inject(ctx)
		if err == nil || !strings.Contains(err.Error(), "power is still on") {
			t.Errorf("Inject = %v; want that the power is still on", err)
		}
	})
}

func TestPowerCutSwitchesOnUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &outlet{fails: 3}
		if err := (&PowerCut{Switch: busy}).Recover(t.Context()); err != nil || !busy.on || len(busy.asked) != 4 {
			t.Errorf("Recover with a busy switch = %v, on %v, asked %q; want on at the fourth try", err, busy.on, busy.asked)
		}
		deaf := &sensed{deaf: 1}
		if err := (&PowerCut{Switch: deaf}).Recover(t.Context()); err != nil || !deaf.on {
			t.Errorf("Recover with a lost request = %v, on %v; want it sent again", err, deaf.on)
		}
		if err := (&PowerCut{Switch: deaf}).Recover(t.Context()); err != nil || !deaf.on {
			t.Errorf("Recover of a node that is on = %v, on %v; want it left on", err, deaf.on)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		err := (&PowerCut{Switch: &outlet{fails: 1000}}).Recover(ctx)
		if !errors.Is(err, errBusy) || time.Since(begin) != time.Minute {
			t.Errorf("Recover with a broken switch = %v after %s; want its error after a minute of trying", err, time.Since(begin))
		}
	})
}

func TestPowerCutRefuses(t *testing.T) {
	off := (&PowerCut{Switch: &sensed{}}).Available(t.Context())
	var refused *UnavailableError
	if !errors.As(off, &refused) || refused.Hint() == "" {
		t.Errorf("Available of a node that is off = %v; want it refused with a hint", off)
	}
	if err := (&PowerCut{Switch: &sensed{err: errBusy}}).Available(t.Context()); !errors.Is(err, errBusy) {
		t.Errorf("Available with a switch that does not answer = %v; want its error", err)
	}
	if err := (&PowerCut{Switch: &outlet{}}).Available(t.Context()); err != nil {
		t.Errorf("Available without a sensor = %v; want nil", err)
	}
}
