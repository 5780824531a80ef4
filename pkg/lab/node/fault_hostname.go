//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"golang.org/x/sys/unix"
)

// rename gives the node the name of another, and makes its operators campaign
// by it, as if it had had it from the start. The Kubernetes node keeps its name,
// and etcd its member's until etcd is started anew, as on Talos.
func (f *faults) rename(_ context.Context, args faultArgs) error {
	self := func(p Peer) bool { return p.Name == f.m.cfg.Name }
	others := slices.DeleteFunc(slices.Clone(f.m.cfg.Peers), self)
	name, named := args[argAs]
	switch {
	case len(others) == 0:
		return errors.New("there is no other node")
	case !named:
		name = others[0].Name
	case !slices.ContainsFunc(others, func(p Peer) bool { return p.Name == name }):
		return fmt.Errorf("there is no other node %q", name)
	}
	return f.setHostname(name)
}

func (f *faults) nameBack(context.Context, faultArgs) error { return f.setHostname(f.m.cfg.Name) }

// setHostname gives the node a name.
func (f *faults) setHostname(name string) error {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	f.m.rename(name)
	f.m.operators.restart()
	return nil
}

// rename publishes the name, and what follows it.
func (m *machine) rename(name string) {
	m.publishHostname(name)
	if !m.cfg.Worker {
		put(m, "etcd.SpecController", etcd.NewSpec(etcd.NamespaceName, etcd.SpecID), func(r *etcd.Spec) { r.TypedSpec().Name = name })
	}
}
