//go:build linux

package node

import (
	"context"
	"log"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// fakeProc is a process that ends at the first signal.
type fakeProc struct {
	once sync.Once
	done chan struct{}
	note func(os.Signal)
}

func (p *fakeProc) Done() <-chan struct{} { return p.done }
func (p *fakeProc) Signal(sig os.Signal) error {
	p.once.Do(func() { p.note(sig); close(p.done) })
	return nil
}

// diary notes what happens to a machine, in order.
type diary struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// Record notes the true instants' kinds and details.
func (d *diary) Record(e truth.Event) { d.note(string(e.Kind) + " " + e.Detail) }

// all returns the lines so far.
func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func (d *diary) index(line string) int { return slices.Index(d.all(), line) }

func (d *diary) has(line string) bool { return d.index(line) >= 0 }

// fakeOperator campaigns without etcd: it has the VIP whenever it may.
func fakeOperator(m *machine, d *diary) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error {
		g := &gate{state: m.state, finalizer: "vip/eth0"}
		for g.Enter(ctx) == nil {
			d.note("vip taken")
			select {
			case <-g.Lost(ctx):
			case <-ctx.Done():
			}
			d.note("vip released")
			if err := g.Leave(context.WithoutCancel(ctx)); err != nil {
				return err
			}
		}
		return nil
	}
}

// newFake returns a machine whose processes and operator are make-believe. It
// runs; its exit code comes through the channel.
func newFake(t *testing.T, change func(*Config)) (*machine, *diary, <-chan int) {
	t.Helper()
	d := &diary{}
	cfg := Config{
		Cluster: "test", Name: "cp-1", Addr: netip.MustParsePrefix("10.5.0.2/24"), Link: "eth0",
		VIPs: []VIP{{Addr: testVIP, Link: "eth0"}}, AllVIPs: []netip.Addr{testVIP}, TalosVersion: "v1.13.9", Dir: t.TempDir(),
	}
	if change != nil {
		change(&cfg)
	}
	m, err := newMachine(cfg, d, log.New(t.Output(), "", 0), bootMark{Time: 1, ID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	start := func(name string) func() (proc, error) {
		return func() (proc, error) {
			return &fakeProc{done: make(chan struct{}), note: func(s os.Signal) {
				if s == syscall.SIGTERM {
					d.note(name + " got SIGTERM")
				}
			}}, nil
		}
	}
	m.parts = parts{
		etcd: start("etcd"), apiserver: start("apiserver"),
		etcdHealth:     func(context.Context) (uint64, error) { return 1, nil },
		apiserverReady: func(context.Context) error { return nil },
		operator:       fakeOperator(m, d),
		listen:         func(*machine) (func(), error) { return func() { d.note("api closed") }, nil },
	}
	put(m, linkStatusOwner, network.NewLinkStatus(network.NamespaceName, "eth0"), func(r *network.LinkStatus) {
		r.TypedSpec().OperationalState = nethelpers.OperStateUp
	})
	put(m, "network.StatusController", network.NewStatus(network.NamespaceName, network.StatusID), func(r *network.Status) {
		*r.TypedSpec() = network.StatusSpec{AddressReady: true, ConnectivityReady: true, HostnameReady: true, EtcFilesReady: true}
	})
	exit := make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); exit <- m.run(ctx) }()
	t.Cleanup(func() { cancel(); m.operators.stop(); <-done })
	return m, d, exit
}
