//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
)

// faultTimeout is what a fault, or its undoing, may take. The supervisor waits
// a second longer for the answer.
const faultTimeout = 9 * time.Second

// faults does the faults of one machine, one after the other.
type faults struct {
	m *machine
	// dial returns a client of the etcd members at the URLs.
	dial func(urls ...string) (*clientv3.Client, error)

	background map[string]func() // by the fault's name: ends what goes on
	ghosts     ghost             // what the fault ghost left in the queue
}

// nodeFault is a fault that the machine does to itself. Its undoing gets the
// arguments of its injection, and may come in a later boot if the fault is one
// that outlasts a boot.
type nodeFault struct {
	inject, undo func(context.Context, faultArgs) error
}

// table returns the faults by name.
func (f *faults) table() map[string]nodeFault {
	return map[string]nodeFault{
		"apiserver-absent":   toggle(f.m.kubelet.withdraw),
		"apiserver-hang":     {f.hangAPIServer, f.endOf("apiserver-hang")},
		"apiserver-kill":     {f.killAPIServer, f.reviveAPIServer},
		"apiserver-unready":  either(f.unready),
		"duplicate-hostname": {f.rename, f.nameBack},
		"etcd-kill":          {f.killEtcd, f.reviveEtcd},
		"etcd-nospace":       {f.raiseNoSpace, f.disarmNoSpace},
		"etcd-peer-vip":      {f.advertiseVIP, f.advertiseOwn},
		"ghost":              {f.leaveGhost, f.banGhost},
		"kubelet-stop":       toggle(f.m.kubelet.hold),
		"learner":            {f.addLearner, f.removeLearner},
		"leftover-vip":       f.address(f.addLeftover, f.removeLeftover),
		"member-removed":     {f.removeMember, f.rejoin},
		"node-ip-vip":        {f.mistakeVIP, f.ownNodeIP},
		"slow-disk":          {f.slowDisk, f.endOf("slow-disk")},
		"split-brain":        f.address(f.addSecondOwner, f.removeSecondOwner),
		"static-vip":         f.address(f.addStatic, f.removeStatic),
	}
}

// able says why the machine cannot do a fault of the table, if so.
func (m *machine) able(fault string) error {
	switch {
	case m.maintenance:
		return errInMaintenance
	case !m.cfg.Worker:
		return nil
	}
	switch fault {
	case "duplicate-hostname", "kubelet-stop", "leftover-vip", "node-ip-vip", "split-brain", "static-vip":
		return nil
	}
	return errors.New("the node is no control plane")
}

// toggle is a fault that is on or off, and cannot fail.
func toggle(set func(on bool)) nodeFault {
	return nodeFault{
		inject: func(context.Context, faultArgs) error { set(true); return nil },
		undo:   func(context.Context, faultArgs) error { set(false); return nil },
	}
}

// obey does what the supervisor asks for.
func (f *faults) obey(o Order) error {
	switch {
	case o.ACPI:
		f.m.Shutdown(true) // Talos takes the power button for a shutdown with force
		return nil
	case o.Fault == "":
		return errors.New("an order that asks for nothing")
	}
	return f.set(o) // the supervisor writes it down, and names the fault
}

func (f *faults) set(o Order) error {
	fault, ok := f.apiTable()[o.Fault]
	if !ok {
		if fault, ok = f.table()[o.Fault]; !ok {
			return errors.New("no such fault")
		}
		if err := f.m.able(o.Fault); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), faultTimeout)
	defer cancel()
	if o.On {
		return fault.inject(ctx, o.Args)
	}
	return fault.undo(ctx, o.Args)
}

// keep runs what a fault does in the background until it is ended.
func (f *faults) keep(name string, run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); run(ctx) }()
	if f.background == nil {
		f.background = map[string]func(){}
	}
	f.background[name] = func() { cancel(); <-done }
}

// end ends what the fault does in the background, if it does.
func (f *faults) end(name string) {
	if end := f.background[name]; end != nil {
		end()
		delete(f.background, name)
	}
}

func (f *faults) endOf(name string) func(context.Context, faultArgs) error {
	return func(context.Context, faultArgs) error { f.end(name); return nil }
}

// etcd returns a client of the cluster's members, of all or of those on other
// nodes.
func (f *faults) etcd(own bool) (*clientv3.Client, error) {
	var urls []string
	for _, p := range f.m.cfg.Peers {
		if own || p.Name != f.m.cfg.Name {
			urls = append(urls, etcd.ClientURL(p.Addr))
		}
	}
	if len(urls) == 0 {
		return nil, errors.New("etcd has no other member")
	}
	return f.dial(urls...)
}

// vip returns the VIP of the cluster that is named, or the first.
func (f *faults) vip(name string) (netip.Addr, error) {
	all := f.m.cfg.AllVIPs
	if name == "" && len(all) > 0 {
		return all[0], nil
	}
	vip, err := netip.ParseAddr(name)
	if err != nil || !slices.Contains(all, vip) {
		return vip, fmt.Errorf("%q is not a VIP of this cluster", name)
	}
	return vip, nil
}

// retryPause is the time between two attempts of what etcd refuses for now.
const retryPause = 200 * time.Millisecond

// insist does it again as long as etcd says that its cluster is not healthy or
// not ready for it, and returns the last error.
func insist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !forNow(err) || !pause(ctx, retryPause) {
			return err
		}
	}
}

// forNow reports whether etcd may think otherwise in a moment: a member counts
// only when it was connected for 5 s, a learner is promoted only when it has
// caught up, and a leader may just be elected.
func forNow(err error) bool {
	return slices.ContainsFunc([]error{
		rpctypes.ErrUnhealthy, rpctypes.ErrMemberNotEnoughStarted, rpctypes.ErrMemberLearnerNotReady,
		rpctypes.ErrNoLeader, rpctypes.ErrLeaderChanged, rpctypes.ErrTimeoutDueToLeaderFail,
	}, func(known error) bool { return errors.Is(err, known) })
}

// unreadyFile is the file on the machine's disk that keeps its apiserver from
// being ready. The fault outlives a reboot, as its file does.
func (m *machine) unreadyFile() string { return m.path("apiserver-unready") }

// unready keeps the apiserver from being ready, or lets it be.
func (f *faults) unready(on bool, _ faultArgs) error {
	switch {
	case f.m.cfg.KubeAPIServer != "":
		return errors.New("a real kube-apiserver cannot be made unready from outside")
	case on:
		return os.WriteFile(f.m.unreadyFile(), nil, 0o600)
	}
	if err := os.Remove(f.m.unreadyFile()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
