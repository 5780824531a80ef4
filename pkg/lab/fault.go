package lab

import (
	"fmt"
	"strings"
)

// Scope says who does a fault.
type Scope string

// The scopes.
const (
	ScopePower  Scope = "power"  // the node's power
	ScopeSwitch Scope = "switch" // the switch port
	ScopeNode   Scope = "node"   // the node itself
)

// Fault is something that can be done to a node, and undone.
type Fault struct {
	Name  string `json:"name"`
	What  string `json:"what"`
	Scope Scope  `json:"scope"`
	// Lasting faults outlive the node's processes: a reboot or power cut does
	// not end them.
	Lasting bool `json:"lasting,omitempty"`
	// Flags are the arguments it takes, by name, with what they mean.
	Flags map[string]string `json:"flags,omitempty"`
}

// FlagFrom names the argument of the fault partition.
const FlagFrom = "from"

// afterMeans explains the argument of the API's troubles.
const afterMeans = "accept (default) or handshake: only once TLS is established"

// Faults lists every fault, in the order in which they are shown.
func Faults() []Fault {
	return []Fault{
		{Name: "power-off", Scope: ScopePower, What: "cut the node's power; undo switches it on again"},
		{Name: "freeze", Scope: ScopePower, What: "silence the node's port and stop every process of it"},
		{Name: "partition", Scope: ScopeSwitch, What: "drop every frame between the node and others",
			Flags: map[string]string{FlagFrom: "the other hosts, separated by commas (default: all)"}},
		{Name: "apiserver-kill", Scope: ScopeNode, What: "kill the kube-apiserver and keep it from coming back"},
		{Name: "api-hang", Scope: ScopeNode, What: "let the Talos API accept connections and never answer",
			Flags: map[string]string{"after": afterMeans}},
		{Name: "leftover-vip", Scope: ScopeNode, What: "put the VIP on the node although it is not the owner"},
		{Name: "api-refuse", Scope: ScopeNode, What: "close the Talos API's port and reset its connections"},
		{Name: "api-garbage", Scope: ScopeNode, What: "let the Talos API answer with bytes that mean nothing",
			Flags: map[string]string{"after": afterMeans}},
		{Name: "api-drip", Scope: ScopeNode, What: "let the Talos API send four bytes a second",
			Flags: map[string]string{"after": afterMeans}},
		{Name: "api-oversize", Scope: ScopeNode, What: "make each answer of the Talos API 40 MiB long"},
		{Name: "api-expired-cert", Scope: ScopeNode, What: "let the Talos API show a certificate that expired a day ago"},
		{Name: "api-foreign-cert", Scope: ScopeNode, What: "let the Talos API show a certificate of another cluster"},
		{Name: "api-wrong-name", Scope: ScopeNode, What: "let the Talos API show a certificate that does not name the node"},
		{Name: "clock-skew", Scope: ScopeNode, What: "put the node's clock wrong, until undone or the next boot",
			Flags: map[string]string{"offset": "by how much it is ahead, such as 90s; -90s for behind"}},
		{Name: "maintenance", Scope: ScopeNode, Lasting: true,
			What: "reboot the node as one without a configuration; undo gives its own back and reboots"},
	}
}

// Owner may stand for a node where one is named: the one that holds the VIP.
const Owner = "owner"

// FaultRequest names a fault and whom it is for.
type FaultRequest struct {
	Fault string            `json:"fault"`
	Node  string            `json:"node"` // a node's name, or Owner
	Args  map[string]string `json:"args,omitempty"`
}

// ActiveFault is a fault that was injected and not undone.
type ActiveFault struct {
	Fault string            `json:"fault"`
	Node  string            `json:"node"`
	Args  map[string]string `json:"args,omitempty"`
}

func (a ActiveFault) String() string {
	if from := a.Args[FlagFrom]; from != "" {
		return fmt.Sprintf("%s (from %s)", a.Fault, from)
	}
	return a.Fault
}

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string  { return e.hint }
func (e *hinted) Unwrap() error { return e.error }

func withHint(err error, format string, args ...any) error {
	return &hinted{error: err, hint: fmt.Sprintf(format, args...)}
}

// findFault looks a fault up by name and checks its arguments.
func findFault(req FaultRequest) (Fault, error) {
	var names []string
	for _, f := range Faults() {
		names = append(names, f.Name)
		if f.Name != req.Fault {
			continue
		}
		for arg := range req.Args {
			if _, ok := f.Flags[arg]; !ok {
				return Fault{}, fmt.Errorf("the fault %s takes no --%s", f.Name, arg)
			}
		}
		return f, nil
	}
	return Fault{}, withHint(fmt.Errorf("there is no fault %q", req.Fault), "faults are %s", strings.Join(names, ", "))
}
