package lab

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Scope says who does a fault.
type Scope string

// The scopes.
const (
	ScopePower   Scope = "power"   // the node's power
	ScopeSwitch  Scope = "switch"  // the switch, at the node's port
	ScopeNetwork Scope = "network" // something else on the segment
	ScopeNode    Scope = "node"    // the node itself
)

// Target says whom a fault is done to.
type Target string

// The targets.
const (
	TargetNode    Target = ""              // one node, which must be named
	TargetNodeAll Target = "node-or-every" // one node or, where none is named, every one
	TargetNone    Target = "none"          // no node
)

// Fault is something that can be done to a node or to the network, and undone.
type Fault struct {
	Name   string `json:"name"`
	What   string `json:"what"`
	Scope  Scope  `json:"scope"`
	Target Target `json:"target,omitempty"`
	// Lasting faults outlive the node's processes, for their effect is in etcd
	// or on the node's disk: a reboot or power cut does not end them.
	Lasting bool `json:"lasting,omitempty"`
	// Flags are the arguments it takes, by name, with what they mean. Those
	// without a default are asked for. checks knows which values each name can have.
	Flags map[string]string `json:"flags,omitempty"`
	// Needs are the flags without which it cannot be done.
	Needs []string `json:"needs,omitempty"`
}

// outlives says that the fault stays when the node's processes end.
func (f Fault) outlives() bool {
	return f.Lasting || f.Scope == ScopeSwitch || f.Scope == ScopeNetwork || f.Name == faultPowerOff
}

// FlagFrom names the argument of the fault partition.
const FlagFrom = "from"

// The other arguments.
const (
	flagDirection = "direction"
	flagDelay     = "delay"
	flagJitter    = "jitter"
	flagPercent   = "percent"
	flagVIP       = "vip"
	flagAnnounce  = "announce"
)

// afterMeans explains the argument of the API's troubles.
const afterMeans = "accept (default) or handshake: only once TLS is established"

// What those faults take where nothing is said.
const (
	defaultDelay   = "100ms"
	defaultPercent = "10"
)

// The faults that the supervisor does itself.
const (
	faultPowerOff    = "power-off"
	faultFreeze      = "freeze"
	faultPartition   = "partition"
	faultLinkDown    = "link-down"
	faultDelay       = "delay"
	faultLoss        = "loss"
	faultLoseGARP    = "lose-garp"
	faultSecurity    = "port-security"
	faultForeignHost = "foreign-host"
)

// Faults lists every fault, in the order in which they are shown.
func Faults() []Fault {
	const direction = "which frames of the node: in, out or both (default: both)"
	vip := map[string]string{flagVIP: "the VIP (default: the lab's first)"}
	return []Fault{
		{Name: faultPowerOff, Scope: ScopePower, What: "cut the node's power; undo switches it on again"},
		{Name: faultFreeze, Scope: ScopePower, What: "silence the node's port and stop every process of it"},
		{Name: faultPartition, Scope: ScopeSwitch, What: "drop every frame between the node and others",
			Flags: map[string]string{FlagFrom: "the other hosts, separated by commas (default: all)", flagDirection: direction}},
		{Name: faultLinkDown, Scope: ScopeSwitch, What: "pull the node's cable out: its link loses the carrier"},
		{Name: faultDelay, Scope: ScopeSwitch, What: "let the node's frames be late",
			Flags: map[string]string{flagDelay: "by how much (default: " + defaultDelay + ")",
				flagJitter: "and by up to how much more (default: 0s)", flagDirection: direction}},
		{Name: faultLoss, Scope: ScopeSwitch, What: "lose some of the node's frames",
			Flags: map[string]string{flagPercent: "how many of a hundred (default: " + defaultPercent + ")", flagDirection: direction}},
		{Name: faultLoseGARP, Scope: ScopeSwitch, Target: TargetNodeAll, What: "swallow the gratuitous ARPs that the node, or every one, sends for a VIP",
			Flags: map[string]string{flagVIP: "for which VIP (default: all)"}},
		{Name: faultSecurity, Scope: ScopeSwitch, What: "drop what the node sends from a VIP, as a port does that is secured against forged addresses",
			Flags: map[string]string{flagVIP: "from which VIP (default: all)"}},
		{Name: faultForeignHost, Scope: ScopeNetwork, Target: TargetNone, What: "put a host on the segment that is no node and has the VIP's address",
			Flags: map[string]string{flagVIP: "which VIP (default: the first)", flagAnnounce: "whether it sends a gratuitous ARP: true or false (default: false)"}},
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
		{Name: "apiserver-unready", Scope: ScopeNode, Lasting: true, What: "let the kube-apiserver answer /readyz with 500, and everything else as ever"},
		{Name: "apiserver-absent", Scope: ScopeNode, What: "take the kube-apiserver's static pod away"},
		{Name: "kubelet-stop", Scope: ScopeNode, What: "let the kubelet crash and stay down"},
		{Name: "split-brain", Scope: ScopeNode, What: "let the node carry and announce the VIP as if it owned it", Flags: vip},
		{Name: "static-vip", Scope: ScopeNode, What: "make the VIP a static address of the node's machine configuration", Flags: vip},
		{Name: "node-ip-vip", Scope: ScopeNode, What: "let the kubelet take the VIP for the node's address", Flags: vip},
		{Name: "etcd-peer-vip", Scope: ScopeNode, Lasting: true, What: "let the node's etcd advertise the VIP to its peers, too", Flags: vip},
		{Name: "ghost", Scope: ScopeNode, What: "leave a key of the node in the election that nobody stands behind, so that a failover stalls at it",
			Flags: map[string]string{flagVIP: vip[flagVIP], "hostname": "the host name in the key (default: the node's)"}},
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
			Flags: map[string]string{"offset": "by how much it is ahead, such as 90s; -90s for behind"}, Needs: []string{"offset"}},
		{Name: "maintenance", Scope: ScopeNode, Lasting: true,
			What: "reboot the node as one without a configuration; undo gives its own back and reboots"},
	}
}

// checks are what the value of a flag must be, by the flag's name, which means
// the same for every fault. One without a check takes any value.
func checks() map[string]func(string) error {
	return map[string]func(string) error{
		FlagFrom:      checkHosts,
		flagDirection: checkDirection,
		flagDelay:     checkDelay,
		flagJitter:    checkDelay,
		flagPercent:   checkPercent,
		flagVIP:       func(v string) error { _, err := netip.ParseAddr(v); return err },
		flagAnnounce:  checkSwitch,
		"hold":        checkSwitch,
		"once":        checkSwitch,
		"pause":       checkDelay,
		"every":       checkDelay,
		"after":       checkStage,
		"offset":      func(v string) error { _, err := time.ParseDuration(v); return err },
	}
}

// IsSwitch says that a flag of a fault is on or off, and on where it has no value.
func IsSwitch(name string) bool {
	return slices.Contains([]string{flagAnnounce, "hold", "once"}, name)
}

func checkSwitch(v string) error { _, err := strconv.ParseBool(v); return err }

func checkStage(v string) error {
	if v != "accept" && v != "handshake" {
		return errors.New("stages are accept and handshake")
	}
	return nil
}

func checkHosts(v string) error {
	if slices.Contains(strings.Split(v, ","), "") {
		return errors.New("hosts are separated by single commas")
	}
	return nil
}

func checkDirection(v string) error {
	if v != "in" && v != "out" && v != "both" {
		return errors.New("directions are in, out and both")
	}
	return nil
}

// maxDelay is far more than any cluster bears.
const maxDelay = time.Minute

func checkDelay(v string) error {
	d, err := time.ParseDuration(v)
	if err == nil && (d < 0 || d > maxDelay) {
		err = fmt.Errorf("delays are from 0s to %v", maxDelay)
	}
	return err
}

func checkPercent(v string) error {
	n, err := strconv.ParseFloat(v, 64)
	if err == nil && !(n > 0 && n <= 100) { // not a number, too
		err = errors.New("losses are more than 0 and at most 100")
	}
	return err
}

// Owner may stand for a node where one is named: the one that holds the VIP.
const Owner = "owner"

// FaultRequest names a fault and whom it is for.
type FaultRequest struct {
	Fault string            `json:"fault"`
	Node  string            `json:"node"` // a node's name, or Owner, or "" where the fault needs none
	Args  map[string]string `json:"args,omitempty"`
	// All undoes every fault; the rest is empty then.
	All bool `json:"all,omitempty"`
}

// ActiveFault is a fault that was injected and not undone.
type ActiveFault struct {
	Fault string            `json:"fault"`
	Node  string            `json:"node,omitempty"` // "" where it is one of the network or of every node
	Args  map[string]string `json:"args,omitempty"`
	// AsOwner says that the node was named as Owner.
	AsOwner bool `json:"asOwner,omitempty"`
}

// String is the fault with its arguments, without the node.
func (a ActiveFault) String() string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(a.Args)) {
		args = append(args, name+" "+a.Args[name])
	}
	if len(args) == 0 {
		return a.Fault
	}
	return fmt.Sprintf("%s (%s)", a.Fault, strings.Join(args, ", "))
}

// on says where the fault is, for a sentence.
func (a ActiveFault) on() string { return cmp.Or(a.Node, "the network") }

// UsageError says that a request makes no sense, whatever state the lab is in:
// there is no such fault, node or flag, or a value is none.
type UsageError struct{ msg string }

func (e *UsageError) Error() string { return e.msg }

func usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

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

// listHint is the advice about what a fault takes.
const listHint = "`vipctl lab fault list` shows the faults and what they take"

// CheckFault returns a UsageError with a hint where the request cannot be for
// any lab. Which nodes and VIPs there are, only the lab itself can tell.
func CheckFault(req FaultRequest) error {
	f, err := findFault(req.Fault)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(req.Args)) {
		if _, ok := f.Flags[name]; !ok {
			return withHint(usagef("the fault %s takes no --%s", f.Name, name), listHint)
		}
		if check := checks()[name]; check != nil {
			if err := check(req.Args[name]); err != nil {
				return withHint(usagef("--%s %q: %v", name, req.Args[name], err), listHint)
			}
		}
	}
	for _, name := range f.Needs {
		if req.Args[name] == "" {
			return withHint(usagef("the fault %s needs --%s", f.Name, name), "--%s is %s", name, f.Flags[name])
		}
	}
	switch {
	case f.Target == TargetNode && req.Node == "":
		return withHint(usagef("the fault %s needs a node", f.Name), "name a node, or %s: `vipctl lab fault inject %s %s`", Owner, f.Name, Owner)
	case f.Target == TargetNone && req.Node != "":
		return withHint(usagef("the fault %s is one of the network and takes no node", f.Name), "`vipctl lab fault inject %s`", f.Name)
	}
	return nil
}

// CheckUndo is CheckFault for a request to undo.
func CheckUndo(req FaultRequest) error {
	f, err := findFault(req.Fault)
	if err == nil && f.Target == TargetNone && req.Node != "" {
		err = withHint(usagef("the fault %s is one of the network and on no node", f.Name), "`vipctl lab fault undo %s`", f.Name)
	}
	return err
}

// findFault looks a fault up by its name.
func findFault(name string) (Fault, error) {
	plain := func(name string) string { return strings.ToLower(strings.ReplaceAll(name, "-", "")) }
	var near []string
	for _, f := range Faults() {
		if f.Name == name {
			return f, nil
		}
		if strings.Contains(plain(f.Name), plain(name)) || strings.Contains(plain(name), plain(f.Name)) {
			near = append(near, f.Name)
		}
	}
	err := usagef("there is no fault %q", name)
	if len(near) == 0 || plain(name) == "" {
		return Fault{}, withHint(err, listHint)
	}
	return Fault{}, withHint(err, "did you mean %s? %s", strings.Join(near, " or "), listHint)
}
