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
	// Lasting faults outlive the node's processes, for their effect is in etcd
	// or on the node's disk: a reboot or power cut does not end them.
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
	vip := map[string]string{"vip": "the VIP (default: the lab's first)"}
	return []Fault{
		{Name: "power-off", Scope: ScopePower, What: "cut the node's power; undo switches it on again"},
		{Name: "freeze", Scope: ScopePower, What: "silence the node's port and stop every process of it"},
		{Name: "partition", Scope: ScopeSwitch, What: "drop every frame between the node and others",
			Flags: map[string]string{FlagFrom: "the other hosts, separated by commas (default: all)"}},
		{Name: "apiserver-kill", Scope: ScopeNode, What: "kill the kube-apiserver and keep it from coming back",
			Flags: map[string]string{"once": "let it come back after 1 s"}},
		{Name: "leftover-vip", Scope: ScopeNode, What: "put the VIP on the node although it is not the owner", Flags: vip},
		{Name: "etcd-kill", Scope: ScopeNode, What: "kill etcd; the node starts it again after 5 s",
			Flags: map[string]string{"hold": "keep it down until undo"}},
		{Name: "etcd-nospace", Scope: ScopeNode, Lasting: true, What: "raise the alarm that the node's etcd is out of disk space: no write to the cluster succeeds"},
		{Name: "slow-disk", Scope: ScopeNode, What: "imitate a slow disk: etcd stands still in short bursts",
			Flags: map[string]string{"pause": "how long it stands still (default: 200ms)", "every": "how often (default: 1s)"}},
		{Name: "learner", Scope: ScopeNode, Lasting: true, What: "leave a learner among the etcd members that nobody runs"},
		{Name: "member-removed", Scope: ScopeNode, Lasting: true, What: "remove the node's etcd member from the cluster; undo lets it join with an empty disk"},
		{Name: "apiserver-hang", Scope: ScopeNode, What: "let the kube-apiserver take connections and never answer"},
		{Name: "apiserver-absent", Scope: ScopeNode, What: "take the kube-apiserver's static pod away"},
		{Name: "kubelet-stop", Scope: ScopeNode, What: "let the kubelet crash and stay down"},
		{Name: "split-brain", Scope: ScopeNode, What: "let the node carry and announce the VIP as if it owned it", Flags: vip},
		{Name: "static-vip", Scope: ScopeNode, What: "make the VIP a static address of the node's machine configuration", Flags: vip},
		{Name: "ghost", Scope: ScopeNode, What: "leave a key of the node in the election that nobody stands behind, so that a failover stalls at it",
			Flags: map[string]string{"vip": vip["vip"], "hostname": "the host name in the key (default: the node's)"}},
		{Name: "duplicate-hostname", Scope: ScopeNode, What: "give the node the host name of another",
			Flags: map[string]string{"as": "the other node (default: the first other one)"}},
		{Name: "api-hang", Scope: ScopeNode, What: "let the Talos API accept connections and never answer",
			Flags: map[string]string{"after": afterMeans}},
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
