// Package power switches a machine off and on from outside, and tells whether
// it has power. Each kind of switch has a file of its own.
package power

import "context"

// Action is what a switch can be told to do, in Redfish's words (DSP0268,
// ResetType).
type Action string

// The actions.
const (
	On               Action = "On"
	ForceOff         Action = "ForceOff"         // at once, without asking the operating system
	GracefulShutdown Action = "GracefulShutdown" // ask the operating system
	ForceRestart     Action = "ForceRestart"     // reset at once; power stays
	PowerCycle       Action = "PowerCycle"       // off at once, then on
)

// State is whether a machine has power, in Redfish's words (PowerState). The
// zero value means that it is not known.
type State string

// The states.
const (
	StateOn          State = "On"
	StateOff         State = "Off"
	StatePoweringOn  State = "PoweringOn"
	StatePoweringOff State = "PoweringOff"
)

// Switch is one machine's power switch.
//
// Do returns when the switch accepted the action; the machine may need longer.
// Doing what is done already is no error: On where the machine is on, ForceOff
// and GracefulShutdown where it is off.
type Switch interface {
	Do(ctx context.Context, action Action) error
	State(ctx context.Context) (State, error)
}

// goal is the state that an action leads to, and "" where the action does
// something whatever the state is.
func goal(action Action) State {
	switch action {
	case On:
		return StateOn
	case ForceOff, GracefulShutdown:
		return StateOff
	default:
		return ""
	}
}
