package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/vipctl/vipctl/pkg/lab/l2"
	"github.com/vipctl/vipctl/pkg/lab/node"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// faults injects and undoes faults, and remembers those that are active.
type faults struct {
	spec     Spec
	machines map[string]*machine
	sw       *l2.Switch   // of the main segment
	segments []*l2.Switch // all; a host has its own name on each
	log      *truth.Log

	turn   sync.Mutex // one inject or undo at a time
	mu     sync.Mutex // guards active
	active []ActiveFault
}

// inject does a fault to a node.
func (f *faults) inject(ctx context.Context, req FaultRequest) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	fault, err := findFault(req)
	if err != nil {
		return err
	}
	m, err := f.node(req.Node)
	if err != nil {
		return err
	}
	if _, found := f.find(fault.Name, m.place.Name); found {
		return withHint(fmt.Errorf("%s is injected on %s already", fault.Name, m.place.Name),
			"`vipctl lab fault undo %s %s` takes it back", fault.Name, m.place.Name)
	}
	a := ActiveFault{Fault: fault.Name, Node: m.place.Name, Args: req.Args}
	if err := f.apply(ctx, fault, m, a, true); err != nil {
		return fmt.Errorf("injecting %s on %s: %w", fault.Name, m.place.Name, err)
	}
	f.log.Record(truth.Event{Node: a.Node, Kind: truth.FaultInjected, Detail: a.String()})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, a)
	return nil
}

// undo takes a fault back. A fault that is not active is an error, so that a
// mistyped node does not pass for undone.
func (f *faults) undo(ctx context.Context, req FaultRequest) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	fault, err := findFault(FaultRequest{Fault: req.Fault})
	if err != nil {
		return err
	}
	a, err := f.choose(fault.Name, req.Node)
	if err != nil {
		return err
	}
	if err := f.apply(ctx, fault, f.machines[a.Node], a, false); err != nil {
		return fmt.Errorf("undoing %s on %s: %w", a.Fault, a.Node, err)
	}
	f.log.Record(truth.Event{Node: a.Node, Kind: truth.FaultUndone, Detail: a.String()})
	f.remove(func(b ActiveFault) bool { return b.Fault == a.Fault && b.Node == a.Node })
	return nil
}

// apply does the fault, or takes it back.
func (f *faults) apply(ctx context.Context, fault Fault, m *machine, a ActiveFault, on bool) error {
	switch {
	case fault.Scope == ScopeNode:
		return m.order(ctx, node.Order{Fault: fault.Name, On: on, Args: a.Args})
	case fault.Name == "power-off" && on:
		m.powerOff()
		return nil
	case fault.Name == "power-off":
		m.powerOn(m.bootTime)
		return nil
	case fault.Name == "freeze" && on:
		return m.freeze()
	case fault.Name == "freeze":
		return m.thaw()
	case fault.Name == "partition":
		return f.part(a, on)
	default:
		return fmt.Errorf("nothing is known of how to do %s", fault.Name)
	}
}

// part drops the frames between a node and others, both ways, or heals that.
func (f *faults) part(a ActiveFault, on bool) error {
	hosts := f.hosts()
	others, err := partedFrom(a, hosts)
	if err != nil {
		return err
	}
	if a.Args[FlagFrom] != "" {
		for _, h := range others {
			if !f.spec.adjacent(a.Node, h) {
				return withHint(fmt.Errorf("%s and %s share no segment", a.Node, h), "what lies between them is the %s", workstationName)
			}
		}
	}
	for _, h := range others {
		for _, sw := range f.segments {
			switch {
			case on:
				sw.Part(a.Node, h)
				sw.Part(h, a.Node)
			case !keptApart(f.list(), hosts, a.Node, h):
				sw.Heal(a.Node, h)
				sw.Heal(h, a.Node)
			}
		}
	}
	return nil
}

// partedFrom returns the hosts that a partition parts its node from.
func partedFrom(a ActiveFault, hosts []string) ([]string, error) {
	others := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return h == a.Node })
	list := a.Args[FlagFrom]
	if list == "" {
		return others, nil
	}
	chosen := strings.Split(list, ",")
	for _, h := range chosen {
		if !slices.Contains(others, h) {
			return nil, withHint(fmt.Errorf("there is no other host %q", h), "hosts are %s", strings.Join(others, ", "))
		}
	}
	return chosen, nil
}

// keptApart says whether a partition of the other host, too, parts it from the node.
func keptApart(active []ActiveFault, hosts []string, node, other string) bool {
	return slices.ContainsFunc(active, func(a ActiveFault) bool {
		from, err := partedFrom(a, hosts)
		return a.Fault == "partition" && a.Node == other && err == nil && slices.Contains(from, node)
	})
}

// hosts are the names of all that may be parted: the nodes and the workstation.
func (f *faults) hosts() []string {
	return append(slices.Sorted(maps.Keys(f.machines)), workstationName)
}

// node returns the machine of that name, or the owner's.
func (f *faults) node(name string) (*machine, error) {
	names := slices.Sorted(maps.Keys(f.machines))
	if name == Owner {
		held := holders(f.log.Events(), f.spec.VIPs[0])
		if len(held) != 1 {
			return nil, withHint(fmt.Errorf("%s has %d owners", f.spec.VIPs[0], len(held)), "name one of %s", strings.Join(names, ", "))
		}
		name = held[0]
	}
	if m := f.machines[name]; m != nil {
		return m, nil
	}
	if name == "" {
		return nil, withHint(fmt.Errorf("no node is named"), "name one of %s, or %s", strings.Join(names, ", "), Owner)
	}
	return nil, withHint(fmt.Errorf("there is no node %q", name), "nodes are %s", strings.Join(names, ", "))
}

// choose returns the active fault of that name, on that node where one is named.
func (f *faults) choose(fault, name string) (ActiveFault, error) {
	var on []ActiveFault
	for _, a := range f.list() {
		if a.Fault == fault && (name == "" || a.Node == name) {
			on = append(on, a)
		}
	}
	switch {
	case len(on) == 1:
		return on[0], nil
	case len(on) > 1:
		return ActiveFault{}, withHint(fmt.Errorf("%s is injected on %d nodes", fault, len(on)), "name the node: `vipctl lab fault undo %s %s`", fault, on[0].Node)
	case name == "":
		return ActiveFault{}, withHint(fmt.Errorf("%s is not injected on any node", fault), "`vipctl lab fault list` shows what is")
	}
	if _, err := f.node(name); err != nil {
		return ActiveFault{}, err
	}
	return ActiveFault{}, withHint(fmt.Errorf("%s is not injected on %s", fault, name), "`vipctl lab fault list` shows what is")
}

// list returns the active faults, in the order of their injection.
func (f *faults) list() []ActiveFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.active)
}

func (f *faults) find(fault, node string) (ActiveFault, bool) {
	for _, a := range f.list() {
		if a.Fault == fault && a.Node == node {
			return a, true
		}
	}
	return ActiveFault{}, false
}

// ended forgets what died with a node's processes: all but the faults of the
// switch and the lasting ones.
func (f *faults) ended(name string) {
	f.remove(func(a ActiveFault) bool {
		return a.Node == name && a.Fault != "partition" && a.Fault != "power-off" && !lasting(a.Fault)
	})
}

func lasting(fault string) bool {
	return slices.ContainsFunc(Faults(), func(f Fault) bool { return f.Name == fault && f.Lasting })
}

// poweredOn forgets a power cut that somebody else ended, for example by the BMC.
func (f *faults) poweredOn(name string) {
	f.remove(func(a ActiveFault) bool { return a.Node == name && a.Fault == "power-off" })
}

func (f *faults) remove(which func(ActiveFault) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = slices.DeleteFunc(f.active, which)
}
