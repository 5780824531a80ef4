package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// PowerSwitch switches one node's power from outside. Both calls are
// idempotent: a node that is off already may be switched off.
type PowerSwitch interface {
	PowerOff(ctx context.Context) error // at once, without asking the operating system
	PowerOn(ctx context.Context) error
}

// PowerSensor is a PowerSwitch that can say whether the node has power. With
// it, a power cut waits until its requests have taken effect.
type PowerSensor interface {
	Powered(ctx context.Context) (bool, error)
}

const (
	sensorPause  = 200 * time.Millisecond // between two looks at the power state
	powerOnPause = 2 * time.Second        // between two tries to switch on
)

// PowerCut takes a node's power away: the hard failure, for which Talos's own
// API has no call.
type PowerCut struct {
	Switch PowerSwitch
}

// Name is "power cut".
func (*PowerCut) Name() string { return "power cut" }

// Available refuses a node that the switch says is off already, and a switch
// that does not answer: it could not bring the node back.
func (f *PowerCut) Available(ctx context.Context) error {
	sensor, ok := f.Switch.(PowerSensor)
	if !ok {
		return nil
	}
	on, err := sensor.Powered(ctx)
	if err != nil {
		return err // it names the switch
	}
	if !on {
		return &UnavailableError{
			Fault:  f.Name(),
			Reason: "the power switch says that the node is off",
			Remedy: "check in the configuration file that the switch belongs to this node",
		}
	}
	return nil
}

// Inject switches the node off, and where the switch has a sensor waits until
// it is.
func (f *PowerCut) Inject(ctx context.Context) error {
	if err := f.Switch.PowerOff(ctx); err != nil {
		return err
	}
	return f.await(ctx, false)
}

// Recover switches the node on. It tries again until ctx ends: a node must not
// stay off because a BMC was busy. A node that is on stays on.
func (f *PowerCut) Recover(ctx context.Context) error {
	var last error
	for {
		err := f.powerOn(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // the end of ctx explains less than what came before it
		}
		if sleep(ctx, powerOnPause) != nil {
			return last
		}
	}
}

func (f *PowerCut) powerOn(ctx context.Context) error {
	if err := f.Switch.PowerOn(ctx); err != nil {
		return err
	}
	// A request that was accepted and lost is sent again.
	once, cancel := context.WithTimeout(ctx, 5*powerOnPause)
	defer cancel()
	return f.await(once, true)
}

// await waits until the sensor says on; without a sensor the acknowledgement
// has to do.
func (f *PowerCut) await(ctx context.Context, on bool) error {
	sensor, ok := f.Switch.(PowerSensor)
	if !ok {
		return nil
	}
	last := errors.New("the power switch did not answer")
	for ctx.Err() == nil {
		is, err := sensor.Powered(ctx)
		if err == nil && is == on {
			return nil
		}
		switch {
		case err == nil:
			last = fmt.Errorf("the power switch was told, and the node's power is still %s", word(is))
		case ctx.Err() == nil:
			last = err
		}
		if sleep(ctx, sensorPause) != nil {
			break
		}
	}
	return last
}

func word(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
