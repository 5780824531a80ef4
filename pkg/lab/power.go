package lab

import (
	"slices"
	"strings"
)

// PowerAction is what can be done to a node's power, as its BMC does it.
type PowerAction string

// The actions on a node's power. A node that is on already stays as it is when
// it is switched on.
const (
	SwitchOn  PowerAction = "on"
	SwitchOff PowerAction = "off"   // cuts the power
	Cycle     PowerAction = "cycle" // cuts the power, and on again
)

// PowerActions lists every action, in the order in which help shows them.
func PowerActions() []PowerAction { return []PowerAction{SwitchOn, SwitchOff, Cycle} }

// CheckPower returns a UsageError with a hint where there is no such action.
func CheckPower(a PowerAction) error {
	if slices.Contains(PowerActions(), a) {
		return nil
	}
	var names []string
	for _, a := range PowerActions() {
		names = append(names, string(a))
	}
	return withHint(usagef("power cannot be put %q", a), "actions are %s", strings.Join(names, ", "))
}
