//go:build linux

package node

import (
	"fmt"
	"strconv"
	"time"
)

// The arguments of the faults.
const (
	argVIP      = "vip"      // the VIP that a fault is about; by default the first
	argHold     = "hold"     // a killed etcd stays down
	argOnce     = "once"     // a killed apiserver comes back
	argPause    = "pause"    // how long etcd stands still
	argEvery    = "every"    // and how often
	argHostname = "hostname" // what a ghost's key says
	argAs       = "as"       // whose name a node takes
)

// faultArgs are the arguments of a fault, by name.
type faultArgs map[string]string

// flag reports whether a switch is set: by its name alone, or to true.
func (a faultArgs) flag(name string) (bool, error) {
	value, ok := a[name]
	if !ok || value == "" {
		return ok, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("--%s is %q; want true or false", name, value)
	}
	return on, nil
}

// duration returns a time above zero.
func (a faultArgs) duration(name string, otherwise time.Duration) (time.Duration, error) {
	value := a[name]
	if value == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("--%s is %q; want a time such as %v", name, value, otherwise)
	}
	return d, nil
}
