//go:build linux

package operator_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/labtest"
	"github.com/vipctl/vipctl/pkg/lab/operator"
	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

var vip = netip.MustParseAddr("10.5.0.50")

const (
	// ttl is short, and outlasts a stall of three seconds: a lease is kept alive
	// every third of it.
	ttl = 5 * time.Second
	// patience is for slow machines; nothing here takes it.
	patience = 60 * time.Second
)

// server is a real etcd with one member, in this process.
type server struct {
	files    pki.EtcdFiles
	endpoint string
}

func startEtcd(t *testing.T) server {
	t.Helper()
	cluster, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	dir := t.TempDir()
	files, err := cluster.EtcdFiles(filepath.Join(dir, "pki"), "cp-1", []netip.Addr{loopback})
	if err != nil {
		t.Fatal(err)
	}
	cfg := etcd.Config{
		Name: "cp-1", Dir: filepath.Join(dir, "data"), Addr: loopback, Files: files,
		ClientPort: labtest.FreePort(t), PeerPort: labtest.FreePort(t),
	}
	cfg.Peers = []etcd.Peer{{Name: "cp-1", Addr: loopback, Port: cfg.PeerPort}}
	ctx, cancel := context.WithCancel(context.Background())
	ready, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- etcd.Serve(ctx, cfg, nil, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("etcd: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-stopped:
		t.Fatalf("etcd stopped: %v", err)
	case <-time.After(patience):
		t.Fatal("etcd is not ready")
	}
	endpoint := netip.AddrPortFrom(loopback, cfg.ClientPort)
	return server{files: files, endpoint: "https://" + endpoint.String()}
}

func (s server) client(t *testing.T) *clientv3.Client {
	t.Helper()
	client, err := etcd.Client(s.files, s.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// run starts the operator of a node and stops it when the test ends.
func (s server) run(t *testing.T, name string, w *wire, gate operator.Gate, dial func(context.Context) (*clientv3.Client, error), changes ...func(*operator.Config)) *node {
	t.Helper()
	if dial == nil {
		dial = func(context.Context) (*clientv3.Client, error) { return etcd.Client(s.files, s.endpoint) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{name: name, log: &journal{}, stop: cancel, done: make(chan error, 1)}
	cfg := operator.Config{
		VIP: vip, Link: "eth0", Hostname: named(name), TTL: ttl,
		Client: dial, Gate: gate, Truth: n.log, Kernel: &link{wire: w, name: name},
	}
	for _, change := range changes {
		change(&cfg)
	}
	go func() { n.done <- operator.Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-n.done:
		case <-time.After(patience):
			t.Errorf("operator of %s does not stop", name)
		}
	})
	return n
}

// node is a running operator.
type node struct {
	name string
	log  *journal
	stop context.CancelFunc
	done chan error // takes what Run returned
}

// await waits until ok, and fails with what was wanted otherwise.
func await(t *testing.T, want string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: want %s", patience, want)
		}
	}
}

// awaitQueue waits until n candidates are in the queue.
func awaitQueue(t *testing.T, client *clientv3.Client, n int64) {
	t.Helper()
	await(t, "a longer queue", func() bool {
		r, err := client.Get(t.Context(), operator.ElectionPrefix(vip)+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		return err == nil && r.Count == n
	})
}

func TestQueueIsFirstInFirstOutAndTheAddressGoesFirst(t *testing.T) {
	s, w := startEtcd(t), newWire(t)
	client := s.client(t)
	gates := map[string]*gate{}
	nodes := map[string]*node{}
	for i, name := range []string{"cp-1", "cp-2", "cp-3"} {
		gates[name] = newGate()
		nodes[name] = s.run(t, name, w, gates[name], nil)
		awaitQueue(t, client, int64(i+1))
	}
	for _, step := range []struct{ from, to string }{
		{"cp-1", "cp-2"}, {"cp-2", "cp-3"}, {"cp-3", "cp-1"}, {"cp-1", "cp-2"},
	} {
		await(t, step.from+" owns the VIP", w.ownedBy(step.from))
		await(t, step.from+" has announced it", nodes[step.from].log.has(truth.ARPSent))
		awaitQueue(t, client, 3)
		nodes[step.from].log.clear()
		gates[step.from].close()
		await(t, step.to+" owns the VIP", w.ownedBy(step.to))
		// The rest of giving up, up to the next campaign.
		await(t, step.from+" campaigns anew", nodes[step.from].log.has(truth.LeaseGranted))
		want := []truth.Kind{truth.AddressRemoved, truth.Resigned, truth.LeaseRevoked, truth.LeaseGranted}
		if got := nodes[step.from].log.kinds(); !slices.Equal(got, want) {
			t.Errorf("%s gave up in the order %v; want %v", step.from, got, want)
		}
	}
	want := []truth.Kind{truth.LeaseGranted, truth.Elected, truth.AddressAdded, truth.ARPSent}
	if got := nodes["cp-3"].log.kinds(); !slices.Equal(got[len(got)-1:], want[:1]) {
		t.Errorf("cp-3 ended with %v; want a candidate's %v", got, want[:1])
	}
	if n := gates["cp-1"].left.Load(); n != 2 {
		t.Errorf("cp-1 left its gate %d times; want 2", n)
	}
	if w.most.Load() > 1 {
		t.Errorf("%d nodes held the address at once; want 1 at most", w.most.Load())
	}
}

func TestStoppedOwnerKeepsTheAddressUntilItHasResigned(t *testing.T) {
	s, w := startEtcd(t), newWire(t)
	g := newGate()
	n := s.run(t, "cp-1", w, g, nil)
	await(t, "cp-1 has announced the VIP", n.log.has(truth.ARPSent))
	n.stop()
	err := <-n.done
	n.done <- err
	if err != nil {
		t.Errorf("Run = %v; want nil", err)
	}
	want := []truth.Kind{
		truth.LeaseGranted, truth.Elected, truth.AddressAdded, truth.ARPSent,
		truth.Resigned, truth.LeaseRevoked, truth.AddressRemoved,
	}
	if got := n.log.kinds(); !slices.Equal(got, want) {
		t.Errorf("events = %v; want %v", got, want)
	}
	if g.left.Load() != 1 {
		t.Errorf("gate left %d times; want 1", g.left.Load())
	}
	awaitQueue(t, s.client(t), 0)
}

func TestOwnerThatLosesItsLeaseDropsTheAddressBeforeItResigns(t *testing.T) {
	s, w := startEtcd(t), newWire(t)
	cable := newCable(t, s.endpoint)
	dial := func(context.Context) (*clientv3.Client, error) { return etcd.Client(s.files, cable.endpoint) }
	owner := s.run(t, "cp-1", w, newGate(), dial)
	await(t, "cp-1 owns the VIP", w.ownedBy("cp-1"))
	heir := s.run(t, "cp-2", w, newGate(), nil)
	awaitQueue(t, s.client(t), 2)

	cut := truth.Now()
	cable.cut()
	await(t, "cp-1 has dropped the address", owner.log.has(truth.AddressRemoved))
	await(t, "cp-2 has announced the VIP", heir.log.has(truth.ARPSent))
	want := []truth.Kind{truth.LeaseGranted, truth.Elected, truth.AddressAdded, truth.ARPSent, truth.LeaseLost, truth.AddressRemoved}
	if got := owner.log.kinds(); !slices.Equal(got, want) {
		t.Errorf("events of the owner that was cut off = %v; want %v", got, want)
	}
	// The lease was last kept alive up to a third of it before the cut. The
	// resignation would have taken 10 s to fail.
	lasted := owner.log.at(truth.AddressRemoved) - cut
	if lasted < ttl/2 || lasted > ttl+4*time.Second {
		t.Errorf("address removed %v after the cut; want the rest of a lease of %v", lasted, ttl)
	}
	cable.mend()
	await(t, "cp-1 is back in the queue", func() bool { return owner.log.count(truth.LeaseGranted) == 2 })
}

func TestCandidateWhoseLeaseWasRevokedDoesNotStayOwner(t *testing.T) {
	s, w := startEtcd(t), newWire(t)
	client := s.client(t)
	firstGate := newGate()
	s.run(t, "cp-1", w, firstGate, nil)
	await(t, "cp-1 owns the VIP", w.ownedBy("cp-1"))
	second := s.run(t, "cp-2", w, newGate(), nil)
	awaitQueue(t, client, 2)
	s.run(t, "cp-3", w, newGate(), nil)
	awaitQueue(t, client, 3)

	if _, err := client.Revoke(t.Context(), second.log.lease(t)); err != nil {
		t.Fatal(err)
	}
	firstGate.close()
	await(t, "cp-3 owns the VIP alone", func() bool { return w.ownedBy("cp-3")() })
	await(t, "cp-2 is back in the queue", func() bool { return second.log.count(truth.LeaseGranted) == 2 })
	if !w.ownedBy("cp-3")() {
		t.Errorf("holders = %v; want cp-3 alone", w.holders())
	}
}

func TestNodeResignsFromAnElectionThatItsHostNameStillLeads(t *testing.T) {
	s, w := startEtcd(t), newWire(t)
	client := s.client(t)
	lease, err := client.Grant(t.Context(), 3600)
	if err != nil {
		t.Fatal(err)
	}
	old := operator.ElectionPrefix(vip) + "/1"
	if _, err := client.Put(t.Context(), old, "cp-1", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	n := s.run(t, "cp-1", w, newGate(), nil)
	await(t, "cp-1 has told that it owns the VIP", n.log.has(truth.AddressAdded))
	want := []truth.Kind{truth.LeaseGranted, truth.Resigned, truth.Elected, truth.AddressAdded}
	if got := n.log.kinds(); !slices.Equal(got[:4], want) {
		t.Errorf("events = %v; want %v first", got, want)
	}
}

func TestCandidateKeepsItsPlaceWhenOnlyAnOwnerWouldGiveUp(t *testing.T) {
	s, w := startEtcd(t), newWire(t)
	client := s.client(t)
	s.run(t, "cp-1", w, newGate(), nil)
	awaitQueue(t, client, 1)
	patient := &patientGate{gate: newGate()}
	candidate := s.run(t, "cp-2", w, patient, nil)
	awaitQueue(t, client, 2)
	careless := newGate()
	other := s.run(t, "cp-3", w, careless, nil)
	awaitQueue(t, client, 3)

	patient.close()
	careless.close()
	await(t, "cp-3 lost its place", func() bool { return other.log.count(truth.LeaseGranted) == 2 })
	if n := candidate.log.count(truth.LeaseGranted); n != 1 {
		t.Errorf("candidate with a CandidateGate was granted %d leases; want 1", n)
	}
}

func TestStoppedCandidateOfAnOldTalosLeavesAGhost(t *testing.T) {
	for name, row := range map[string]struct {
		leaves bool
		queue  int64 // when the candidate is gone
	}{
		"it takes its key along":      {false, 1},
		"an old one leaves it behind": {true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := startEtcd(t), newWire(t)
			client := s.client(t)
			owner := s.run(t, "cp-1", w, newGate(), nil, func(c *operator.Config) { c.LeavesLease = row.leaves })
			await(t, "cp-1 owns the VIP", w.ownedBy("cp-1"))
			candidate := s.run(t, "cp-2", w, newGate(), nil, func(c *operator.Config) {
				c.LeavesLease, c.TTL = row.leaves, time.Minute
			})
			awaitQueue(t, client, 2)
			candidate.stop()
			err := <-candidate.done
			candidate.done <- err
			r, getErr := client.Get(t.Context(), operator.ElectionPrefix(vip)+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
			if err != nil || getErr != nil || r.Count != row.queue {
				t.Fatalf("queue after the candidate stopped = %v, %v, %v; want %d keys", r, err, getErr, row.queue)
			}
			// An owner that is stopped resigns in every release.
			owner.stop()
			err = <-owner.done
			owner.done <- err
			awaitQueue(t, client, row.queue-1)
			if owner.log.has(truth.LeaseRevoked)() == row.leaves {
				t.Errorf("events of the stopped owner = %v; want its lease revoked: %v", owner.log.kinds(), !row.leaves)
			}
		})
	}
}

func TestRunRefusesAConfigurationThatCannotWork(t *testing.T) {
	good := operator.Config{
		VIP: vip, Link: "eth0", Hostname: named("cp-1"), Gate: newGate(), Truth: &journal{},
		Client: func(context.Context) (*clientv3.Client, error) { return nil, errors.New("not asked") },
	}
	for name, spoil := range map[string]func(*operator.Config){
		"no VIP":             func(c *operator.Config) { c.VIP = netip.Addr{} },
		"no host name":       func(c *operator.Config) { c.Hostname = nil },
		"no gate":            func(c *operator.Config) { c.Gate = nil },
		"half a second":      func(c *operator.Config) { c.TTL = 500 * time.Millisecond },
		"a lease of 2.5 s":   func(c *operator.Config) { c.TTL = 2500 * time.Millisecond },
		"a negative lease":   func(c *operator.Config) { c.TTL = -time.Second },
		"no client":          func(c *operator.Config) { c.Client = nil },
		"nobody to write to": func(c *operator.Config) { c.Truth = nil },
	} {
		cfg := good
		spoil(&cfg)
		if err := operator.Run(t.Context(), cfg); err == nil {
			t.Errorf("Run(%s) = nil; want an error", name)
		}
	}
}
