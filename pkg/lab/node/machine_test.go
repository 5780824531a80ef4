//go:build linux

package node

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/process"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// TestMain lets the test binary be the lab's processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == process.Command {
		switch os.Args[2] {
		case process.Machine:
			os.Exit(Main(os.Args[3]))
		case process.Etcd:
			os.Exit(etcd.Main(os.Args[3]))
		case process.APIServer:
			os.Exit(apiserver.Main(os.Args[3]))
		}
	}
	os.Exit(m.Run())
}

// powered is a machine with namespaces of its own, as the supervisor runs it.
type powered struct {
	t       *testing.T
	cmd     *exec.Cmd
	control *json.Encoder
	replies *json.Decoder
	client  *talosclient.Client
	netns   netns.NsHandle

	mu     sync.Mutex // guards events
	events []truth.Event
}

var testVIP = netip.MustParseAddr("10.5.0.50")

// newDisk writes what a machine of a cluster of one finds at power-on.
func newDisk(t *testing.T, vips ...VIP) (config string, secrets *pki.Cluster) {
	t.Helper()
	dir := t.TempDir()
	secrets, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Cluster: "test", Name: "cp-1", Addr: netip.MustParsePrefix("10.5.0.2/24"), Link: "eth0",
		VIPs: vips, AllVIPs: []netip.Addr{testVIP},
		Peers: []Peer{{Name: "cp-1", Addr: netip.MustParseAddr("10.5.0.2")}}, LeaseTTL: 5 * time.Second,
		TalosVersion: "v1.13.9", KubernetesVersion: "v1.36.3", Dir: dir, Secrets: filepath.Join(dir, "secrets.yaml"),
	}
	if err := secrets.WriteFile(cfg.Secrets); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	config = filepath.Join(dir, "machine.json")
	if err := os.WriteFile(config, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return config, secrets
}

// switchOn starts a machine in namespaces of its own.
func switchOn(t *testing.T, config string, secrets *pki.Cluster) *powered {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for namespaces; the lab's own tests cover user namespaces")
	}
	p := &powered{t: t}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = process.Self(process.Machine, config)
	p.cmd.ExtraFiles = []*os.File{w, theirs}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig is the thread's
	if err := p.cmd.Start(); err != nil {
		t.Skipf("no namespaces here: %v", err)
	}
	_, _ = w.Close(), theirs.Close()
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait(); _ = ours.Close() })
	go p.readTruth(r)
	p.control, p.replies = json.NewEncoder(ours), json.NewDecoder(ours)
	p.plugIn()
	p.order(Order{LinkReady: true})
	p.connect(secrets)
	return p
}

// plugIn makes the machine's link, whose other end nobody listens to.
func (p *powered) plugIn() {
	p.t.Helper()
	ns, err := netns.GetFromPid(p.cmd.Process.Pid)
	if err != nil {
		p.t.Fatal(err)
	}
	p.netns = ns
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		p.t.Fatal(err)
	}
	defer h.Close()
	if err := h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer"}); err != nil {
		p.t.Skipf("no veth here: %v", err)
	}
	peer, err := h.LinkByName("peer")
	if err != nil {
		p.t.Fatal(err)
	}
	if err := h.LinkSetUp(peer); err != nil {
		p.t.Fatal(err)
	}
}

func (p *powered) order(o Order) {
	p.t.Helper()
	if err := p.control.Encode(o); err != nil {
		p.t.Fatal(err)
	}
	var r Reply
	if err := p.replies.Decode(&r); err != nil {
		p.t.Fatal(err)
	}
	if r.Error != "" || r.ID != o.ID {
		p.t.Fatalf("order %+v = %+v; want no error", o, r)
	}
}

// connect makes a stock client that dials from inside the machine's network.
func (p *powered) connect(secrets *pki.Cluster) {
	p.t.Helper()
	data, err := secrets.Talosconfig("test", []string{"10.5.0.2"}, nil, "os:admin", time.Hour)
	if err != nil {
		p.t.Fatal(err)
	}
	cfg, err := clientconfig.FromBytes(data)
	if err != nil {
		p.t.Fatal(err)
	}
	p.client, err = talosclient.New(p.t.Context(), talosclient.WithConfig(cfg), talosclient.WithGRPCDialOptions(
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dialIn(ctx, p.netns, addr) })))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.client.Close() })
}

// dialIn connects from inside a network namespace. Its thread is not used again.
func dialIn(ctx context.Context, ns netns.NsHandle, addr string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if err = netns.Set(ns); err == nil {
			var d net.Dialer
			conn, err = d.DialContext(ctx, "tcp", addr)
		}
	}()
	<-done
	return conn, err
}

func (p *powered) readTruth(r *os.File) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var e truth.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			p.mu.Lock()
			p.events = append(p.events, e)
			p.mu.Unlock()
		}
	}
}

// saw waits for the nth event of a kind and detail.
func (p *powered) saw(kind truth.Kind, detail string, nth int) truth.Event {
	p.t.Helper()
	var found truth.Event
	defer func() {
		if p.t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Logf("true instants: %+v", p.events)
		}
	}()
	eventually(p.t, string(kind)+" "+detail, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		n := 0
		for _, e := range p.events {
			if e.Kind == kind && (detail == "" || e.Detail == detail) {
				if n++; n == nth {
					found = e
					return true
				}
			}
		}
		return false
	})
	return found
}

func (p *powered) exitCode() int {
	p.t.Helper()
	var exit *exec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &exit) {
		p.t.Fatalf("machine ended with %v; want an exit code", err)
	}
	return exit.ExitCode()
}

func (p *powered) holdsVIP() bool {
	ptr := network.NewAddressStatus(network.NamespaceName, "eth0/10.5.0.50/32").Metadata()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Second)
	defer cancel()
	_, err := safe.StateGet[*network.AddressStatus](ctx, p.client.COSI, ptr)
	if err != nil && !state.IsNotFoundError(err) {
		p.t.Logf("get the VIP's AddressStatus: %v", err)
	}
	return err == nil
}

func (p *powered) bootTime() uint64 {
	p.t.Helper()
	resp, err := p.client.MachineClient.SystemStat(p.t.Context(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.GetMessages()[0].GetBootTime()
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for: %s", what)
		}
	}
}

func TestMachineBootsOwnsTheVIPRestartsItsKubeletAndReboots(t *testing.T) {
	config, secrets := newDisk(t, VIP{Addr: testVIP, Link: "eth0"})
	p := switchOn(t, config, secrets)
	p.saw(truth.AddressAdded, "10.5.0.50/32", 1)
	p.saw(truth.Booted, "", 1)
	eventually(t, "AddressStatus of the VIP", p.holdsVIP)
	p.publishesAsTalos()
	booted := p.bootTime()

	if _, err := p.client.ServiceRestart(t.Context(), "kubelet"); err != nil {
		t.Fatal(err)
	}
	p.saw(truth.AddressRemoved, "10.5.0.50/32", 1)
	p.saw(truth.AddressAdded, "10.5.0.50/32", 2)

	p.order(Order{ID: 2, Fault: "apiserver-kill", On: true})
	p.saw(truth.ProcessKilled, "apiserver", 1)
	p.order(Order{ID: 3, Fault: "apiserver-kill"})
	p.saw(truth.ProcessStarted, "apiserver", 2)

	if err := p.client.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.exitCode(); got != ExitReboot {
		t.Fatalf("exit code after Reboot = %d; want %d", got, ExitReboot)
	}
	released, ended := p.saw(truth.AddressRemoved, "10.5.0.50/32", 2), p.saw(truth.ProcessKilled, "etcd", 1)
	if released.At > ended.At {
		t.Errorf("VIP released at %v, after etcd ended at %v", released.At, ended.At)
	}

	p = switchOn(t, config, secrets)
	p.saw(truth.Booted, "", 1)
	if again := p.bootTime(); again <= booted {
		t.Errorf("boot_time after the reboot = %d; want later than %d", again, booted)
	}
	p.order(Order{ID: 2, ACPI: true})
	if got := p.exitCode(); got != ExitPowerOff {
		t.Errorf("exit code after the power button = %d; want %d", got, ExitPowerOff)
	}
}

func TestMachineRebootsByForce(t *testing.T) {
	config, secrets := newDisk(t, VIP{Addr: testVIP, Link: "eth0"})
	p := switchOn(t, config, secrets)
	p.saw(truth.AddressAdded, "10.5.0.50/32", 1)
	eventually(t, "AddressStatus of the VIP", p.holdsVIP)
	if err := p.client.Reboot(t.Context(), func(r *machineapi.RebootRequest) { r.Mode = machineapi.RebootRequest_FORCE }); err != nil {
		t.Fatal(err)
	}
	if got := p.exitCode(); got != ExitReboot {
		t.Fatalf("exit code after Reboot FORCE = %d; want %d", got, ExitReboot)
	}
	p.saw(truth.AddressRemoved, "10.5.0.50/32", 1)
}

// publishesAsTalos compares namespaces, IDs and owners with those that Talos
// v1.13.9 itself publishes on an owner with this address and link.
func (p *powered) publishesAsTalos() {
	p.t.Helper()
	for _, want := range []struct{ namespace, typ, id, owner string }{
		{"network", "AddressSpecs.net.talos.dev", "eth0/10.5.0.50/32", "AddressMergeControllers.net.talos.dev"},
		{"network-config", "AddressSpecs.net.talos.dev", "vip/eth0/eth0/10.5.0.50/32", "network.OperatorSpecController"},
		{"network", "AddressStatuses.net.talos.dev", "eth0/10.5.0.2/24", "network.AddressStatusController"},
		{"network", "AddressStatuses.net.talos.dev", "eth0/10.5.0.50/32", "network.AddressStatusController"},
		{"network", "LinkStatuses.net.talos.dev", "eth0", "network.LinkStatusController"},
		{"network", "OperatorSpecs.net.talos.dev", "vip/eth0/10.5.0.50", "OperatorMergeControllers.net.talos.dev"},
		{"network", "RouteStatuses.net.talos.dev", "inet4//10.5.0.0/24/0", "network.RouteStatusController"},
		{"network", "RouteStatuses.net.talos.dev", "local/inet4//10.5.0.50/32/0", "network.RouteStatusController"},
		{"k8s", "KubeletLifecycles.kubernetes.talos.dev", "kubelet", ""},
	} {
		var r resource.Resource
		eventually(p.t, want.typ+" "+want.id, func() (ok bool) {
			var err error
			r, err = p.client.COSI.Get(p.t.Context(), resource.NewMetadata(want.namespace, want.typ, want.id, resource.VersionUndefined))
			return err == nil
		})
		if got := r.Metadata().Owner(); got != want.owner {
			p.t.Errorf("owner of %s %s = %q; want %q", want.typ, want.id, got, want.owner)
		}
	}
	member, err := safe.StateGetByID[*cluster.Member](p.t.Context(), p.client.COSI, "cp-1")
	if err != nil || !slices.Contains(member.TypedSpec().Addresses, testVIP) {
		p.t.Errorf("Member of the owner = %v, %v; want the VIP among its addresses", member, err)
	}
	members, err := p.client.EtcdMemberList(p.t.Context(), &machineapi.EtcdMemberListRequest{})
	if err != nil || members.GetMessages()[0].GetMembers()[0].GetHostname() != "cp-1" {
		p.t.Errorf("EtcdMemberList = %v, %v; want cp-1", members, err)
	}
}

func TestLeftoverVIPIsOnTheLinkAndNobodysSpec(t *testing.T) {
	config, secrets := newDisk(t) // the VIP is the cluster's, and not this node's
	p := switchOn(t, config, secrets)
	p.saw(truth.Booted, "", 1)
	p.order(Order{ID: 1, Fault: "leftover-vip", On: true})
	eventually(t, "AddressStatus of the leftover VIP", p.holdsVIP)
	specs, err := safe.StateListAll[*network.AddressSpec](t.Context(), p.client.COSI)
	if err != nil {
		t.Fatal(err)
	}
	for spec := range specs.All() {
		if spec.TypedSpec().Address.Addr() == testVIP {
			t.Errorf("AddressSpec %s; want none of a leftover VIP", spec.Metadata().ID())
		}
	}
	p.order(Order{ID: 2, Fault: "leftover-vip"})
	eventually(t, "the leftover VIP gone", func() bool { return !p.holdsVIP() })
}
