package lab

import (
	"cmp"
	"context"
	"errors"
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
	segments []*l2.Switch // the main one first; a host has its own name on each
	log      *truth.Log

	turn    sync.Mutex // one inject or undo at a time; guards foreign
	foreign *foreignHost

	mu     sync.Mutex // guards active
	active []ActiveFault
}

// deed does a fault, or takes it back. Until it returns, the list of active
// faults is as it was before.
type deed func(ctx context.Context, a ActiveFault, on bool) error

// deed returns how the fault is done: a node does those of its scope itself.
func (f *faults) deed(fault Fault) deed {
	own := map[string]deed{
		faultPowerOff:    f.cutPower,
		faultFreeze:      f.freeze,
		faultPartition:   f.part,
		faultLinkDown:    f.unplug,
		faultDelay:       f.impair,
		faultLoss:        f.impair,
		faultLoseGARP:    f.loseAnnouncements,
		faultSecurity:    f.secure,
		faultForeignHost: f.invite,
	}
	if fault.Scope == ScopeNode {
		return f.order
	}
	return own[fault.Name]
}

// order has the node do it. A node that boots is waited for: to undo a power
// cut and what was done before it is one request.
func (f *faults) order(ctx context.Context, a ActiveFault, on bool) error {
	return f.machines[a.Node].order(ctx, node.Order{Fault: a.Fault, On: on, Args: a.Args})
}

func (f *faults) cutPower(_ context.Context, a ActiveFault, on bool) error {
	m := f.machines[a.Node]
	if on {
		m.powerOff()
	} else {
		m.powerOn(m.bootTime)
	}
	return nil
}

func (f *faults) freeze(_ context.Context, a ActiveFault, on bool) error {
	if on {
		return f.machines[a.Node].freeze()
	}
	return f.machines[a.Node].thaw()
}

// inject does a fault.
//
// The instant in the log is read before anything is done and so errs early:
// nothing that the fault causes is older.
func (f *faults) inject(ctx context.Context, req FaultRequest) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	if err := CheckFault(req); err != nil {
		return err
	}
	a := ActiveFault{Fault: req.Fault, Args: req.Args, AsOwner: req.Node == Owner}
	if req.Node != "" {
		m, err := f.node(req.Node)
		if err != nil {
			return err
		}
		a.Node = m.place.Name
	}
	if slices.ContainsFunc(f.list(), a.same) {
		return withHint(fmt.Errorf("%s is injected on %s already", a.Fault, a.on()),
			"`%s` takes it back", strings.TrimSpace("vipctl lab fault undo "+a.Fault+" "+a.Node))
	}
	at := truth.Now()
	if err := f.do(ctx, a, true); err != nil {
		return fmt.Errorf("injecting %s on %s: %w", a.Fault, a.on(), err)
	}
	f.log.Record(truth.Event{At: at, Node: a.Node, Kind: truth.FaultInjected, Detail: a.String()})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, a)
	return nil
}

// undo takes a fault back, or all. A fault that is not active is an error, so
// that a mistyped node does not pass for undone.
func (f *faults) undo(ctx context.Context, req FaultRequest) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	if req.All {
		return f.undoAll(ctx)
	}
	if err := CheckUndo(req); err != nil {
		return err
	}
	a, err := f.choose(req.Fault, req.Node)
	if err != nil {
		return err
	}
	return f.takeBack(ctx, a)
}

// undoAll takes every fault back, the youngest first: one that was injected
// before a freeze can be undone only after the thaw.
func (f *faults) undoAll(ctx context.Context) error {
	var errs []error
	for _, a := range slices.Backward(f.list()) {
		if slices.ContainsFunc(f.list(), a.same) { // it has not ended meanwhile
			errs = append(errs, f.takeBack(ctx, a))
		}
	}
	return errors.Join(errs...)
}

// takeBack undoes an active fault. Like that of injection, the instant errs early.
func (f *faults) takeBack(ctx context.Context, a ActiveFault) error {
	at := truth.Now()
	if err := f.do(ctx, a, false); err != nil {
		return fmt.Errorf("undoing %s on %s: %w", a.Fault, a.on(), err)
	}
	f.log.Record(truth.Event{At: at, Node: a.Node, Kind: truth.FaultUndone, Detail: a.String()})
	f.remove(a.same)
	return nil
}

func (f *faults) do(ctx context.Context, a ActiveFault, on bool) error {
	fault, err := findFault(a.Fault)
	if err != nil {
		return err
	}
	do := f.deed(fault)
	if do == nil {
		return fmt.Errorf("nothing is known of how to do %s", fault.Name)
	}
	return do(ctx, a, on)
}

// same says that the other is this fault in this place.
func (a ActiveFault) same(b ActiveFault) bool { return a.Fault == b.Fault && a.Node == b.Node }

// after returns the faults that are active once a is done, or taken back.
func (f *faults) after(a ActiveFault, on bool) []ActiveFault {
	list := slices.DeleteFunc(f.list(), a.same)
	if on {
		list = append(list, a)
	}
	return list
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
		return nil, withHint(usagef("no node is named"), "name one of %s, or %s", strings.Join(names, ", "), Owner)
	}
	return nil, withHint(usagef("there is no node %q", name), "nodes are %s", strings.Join(names, ", "))
}

// choose returns the active fault of that name that is meant: on that node
// where one is named, else that of the network, else the only one there is.
func (f *faults) choose(fault, name string) (ActiveFault, error) {
	const hint = "`vipctl lab fault list` shows what is"
	var held []string
	if name == Owner {
		held = holders(f.log.Events(), f.spec.VIPs[0])
	}
	on := slices.DeleteFunc(f.list(), func(a ActiveFault) bool { return a.Fault != fault || !a.meant(name, held) })
	if i := slices.IndexFunc(on, func(a ActiveFault) bool { return a.Node == "" }); name == "" && i >= 0 {
		return on[i], nil
	}
	switch {
	case len(on) == 1:
		return on[0], nil
	case len(on) > 1:
		return ActiveFault{}, withHint(fmt.Errorf("%s is injected on %d nodes", fault, len(on)), "name the node: `vipctl lab fault undo %s %s`", fault, on[0].Node)
	case name == "":
		return ActiveFault{}, withHint(fmt.Errorf("%s is not injected", fault), hint)
	case name == Owner:
		return ActiveFault{}, withHint(fmt.Errorf("%s is not injected on a node that is or was the owner", fault), hint)
	}
	if _, err := f.node(name); err != nil {
		return ActiveFault{}, err
	}
	return ActiveFault{}, withHint(fmt.Errorf("%s is not injected on %s", fault, name), hint)
}

// meant says that the name may stand for the fault's node: Owner stands for
// that which was the owner when the fault was injected, and for the holders.
func (a ActiveFault) meant(name string, holders []string) bool {
	if name == Owner {
		return a.AsOwner || slices.Contains(holders, a.Node)
	}
	return cmp.Or(name, a.Node) == a.Node
}

// list returns the active faults, in the order of their injection.
func (f *faults) list() []ActiveFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.active)
}

// ended forgets what died with a node's processes.
func (f *faults) ended(name string) {
	f.remove(func(a ActiveFault) bool {
		fault, err := findFault(a.Fault)
		return a.Node == name && err == nil && !fault.outlives()
	})
}

// poweredOn forgets a power cut that somebody else ended, for example the BMC.
// The news may be old: what counts is that the power is on now. It is looked
// at while mu is held, so no later cut can be forgotten: it enters the list
// after the power is off.
func (f *faults) poweredOn(name string) {
	f.remove(func(a ActiveFault) bool {
		return a.Node == name && a.Fault == faultPowerOff && f.machines[name].Power()
	})
}

func (f *faults) remove(which func(ActiveFault) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = slices.DeleteFunc(f.active, which)
}
