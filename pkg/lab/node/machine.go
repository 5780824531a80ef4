//go:build linux

package node

import (
	"context"
	"log"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/talosapi"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// machine is the node while it is powered on.
type machine struct {
	cfg Config
	// configured are the VIPs as the machine configuration has them, whose links
	// may go by other names than in cfg.
	configured []VIP
	truth      truth.Recorder
	log        *log.Logger
	parts      parts
	boot       bootMark
	clock      *talosapi.Clock
	// maintenance says that it has no configuration.
	maintenance bool
	state       state.State
	events      *talosapi.EventLog
	// secrets are nil in a machine without a disk, as in tests, and in one
	// without a configuration.
	secrets *secretFiles
	// journal is what the machine writes to its logs; log is for the lab's own
	// troubles, which show on the console only.
	journal *journal

	services  *services
	status    *machineStatus
	sequencer *sequencer
	etcd      *unit
	apiserver *unit
	kubelet   *kubelet
	operators *operators
	api       *api

	held      held                        // what the operators carry
	campaigns campaigns                   // what the operators ask etcd through
	joining   atomic.Pointer[[]etcd.Peer] // the cluster that etcd is to join; nil: the initial one
	// etcdCluster returns a new client of every control plane's member.
	etcdCluster func() (*clientv3.Client, error)

	mistaken atomic.Pointer[netip.Addr] // the VIP that the kubelet takes for the node's address; nil: none

	linger time.Duration // see lingerTime

	exit chan int // buffered: how the machine ends
}

// parts are the machine's doings outside of its own state, so that sequences
// can be tested without them.
type parts struct {
	// etcd and apiserver start the processes.
	etcd, apiserver func() (proc, error)
	// etcdHealth does a linearizable read and returns the member's ID.
	etcdHealth func(context.Context) (memberID uint64, err error)
	// apiserverReady asks the node's own apiserver for /readyz.
	apiserverReady func(context.Context) error
	// kubelet and controller are clients of Kubernetes, through KubePrism: as
	// the node's kubelet, and as a controller of the cluster. Nil: none.
	kubelet, controller *kubeClient
	// operator runs the operator of one VIP until the context ends.
	operator func(ctx context.Context, vip int) error
	// listen starts the Talos API; the returned function stops it.
	listen func(*machine) (stop func(), err error)
}

func newMachine(cfg Config, rec truth.Recorder, logger *log.Logger, mark bootMark) (*machine, error) {
	st, err := talosapi.NewState(context.Background(), cfg.TalosVersion)
	if err != nil {
		return nil, err
	}
	maintenance, err := inMaintenance(cfg.Dir)
	if err != nil {
		return nil, err
	}
	clock := &talosapi.Clock{}
	m := &machine{
		cfg: cfg.resolved(), configured: cfg.VIPs, truth: rec, log: logger, boot: mark, clock: clock, maintenance: maintenance,
		state: st, events: talosapi.NewEventLog(clock), journal: newJournal(logger.Writer()), sequencer: &sequencer{},
		exit: make(chan int, 1),
	}
	m.status = &machineStatus{m: m}
	m.services = newServices(m)
	m.etcd = newUnit("etcd", etcdRestartDelay, rec, func() (proc, error) { return m.parts.etcd() })
	m.apiserver = newUnit("apiserver", apiserverRestartDelay, rec, func() (proc, error) { return m.parts.apiserver() })
	for _, u := range []*unit{m.etcd, m.apiserver} {
		u.fail = func(err error) { logger.Printf("%s: %v", u.name, err) }
	}
	m.kubelet = &kubelet{m: m, podReady: "kubelet is not running"}
	m.operators = &operators{m: m}
	m.api = &api{m: m, trouble: &talosapi.Trouble{}}
	m.superviseEtcd()
	return m, nil
}

// run keeps the machine's processes until it ends, and returns how it did.
func (m *machine) run(ctx context.Context) int {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { m.etcd.run(ctx) })
	wg.Go(func() { m.apiserver.run(ctx) })
	wg.Go(func() { m.status.follow(ctx) })
	wg.Go(func() { m.followMembers(ctx) })
	wg.Go(func() { m.bootSequence(ctx) })
	defer wg.Wait()
	defer cancel()
	select {
	case code := <-m.exit:
		return code
	case <-ctx.Done():
		return 1
	}
}

// end ends the machine with the exit code; the first one counts.
func (m *machine) end(code int) {
	select {
	case m.exit <- code:
	default:
	}
}

// put creates or changes a resource of the owner (a Talos controller).
func put[T resource.Resource](m *machine, owner string, r T, fill func(T)) {
	err := safe.StateModify(context.Background(), m.state, r, func(r T) error {
		fill(r)
		return nil
	}, state.WithUpdateOwner(owner))
	if err != nil {
		m.log.Printf("publish %s: %v", r.Metadata(), err)
	}
}

// drop removes a resource of the owner, if it is there.
func drop(m *machine, owner string, ptr resource.Pointer) {
	err := m.state.Destroy(context.Background(), ptr, state.WithDestroyOwner(owner))
	if err != nil && !state.IsNotFoundError(err) {
		m.log.Printf("remove %s: %v", ptr, err)
	}
}

// exists reports whether the resource is there.
func exists(m *machine, ptr resource.Pointer) bool {
	_, err := m.state.Get(context.Background(), ptr)
	return err == nil
}
