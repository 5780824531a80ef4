package talosapi

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

// errNoEtcd is what the tests' nodes have for an etcd: past the check of
// roles, and no further.
var errNoEtcd = errors.New("no etcd in this test")

// fakeNode stands in for the machine behind the API.
type fakeNode struct{ kubelets int }

func (f *fakeNode) Reboot(mode machine.RebootRequest_Mode) string { return "reboot-" + mode.String() }
func (f *fakeNode) Shutdown(bool) string                          { return "shutdown" }
func (f *fakeNode) RestartKubelet() error                         { f.kubelets++; return nil }
func (f *fakeNode) StartKubelet() error                           { f.kubelets++; return nil }
func (f *fakeNode) EndEtcd() error                                { return errNoEtcd }
func (f *fakeNode) List() []*machine.ServiceInfo {
	return []*machine.ServiceInfo{{Id: "kubelet", State: "Running"}, {Id: "etcd", State: "Running"}}
}

// fleet is nodes on loopback addresses that share a port.
type fleet struct {
	t       *testing.T
	secrets *pki.Cluster
	port    uint16
	nodes   map[string]*node // by address
}

type node struct {
	*fakeNode
	events *EventLog
	state  state.State
}

func newFleet(t *testing.T, addrs ...string) *fleet {
	t.Helper()
	secrets, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := &fleet{t: t, secrets: secrets, nodes: map[string]*node{}}
	for _, addr := range addrs {
		ln, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), c.port).String())
		if err != nil {
			t.Fatal(err)
		}
		c.port = uint16(ln.Addr().(*net.TCPAddr).Port)
		c.serve(addr, ln)
	}
	return c
}

func (c *fleet) serve(addr string, ln net.Listener) {
	c.t.Helper()
	st, err := NewState(c.t.Context(), "v1.13.9")
	if err != nil {
		c.t.Fatal(err)
	}
	n := &node{fakeNode: &fakeNode{}, events: NewEventLog(nil), state: st}
	c.nodes[addr] = n
	name := "node-" + addr
	server, err := c.secrets.TalosServerTLS(name, []netip.Addr{netip.MustParseAddr(addr)})
	if err != nil {
		c.t.Fatal(err)
	}
	proxy, err := c.secrets.TalosProxyTLS()
	if err != nil {
		c.t.Fatal(err)
	}
	s, err := New(Config{
		Hostname: called(name), TalosVersion: "v1.13.9", BootTime: 42, BootID: "boot", State: st, Events: n.events,
		Sequencer: n, Services: n, Etcd: func() (*clientv3.Client, error) { return nil, errNoEtcd },
		EtcdCluster: func() (*clientv3.Client, error) { return nil, errNoEtcd },
		ServerTLS:   server, ProxyTLS: proxy, Port: c.port, IsLocal: func(target string) bool { return target == addr },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	go func() {
		if err := s.Serve(ln); err != nil {
			c.t.Errorf("Serve = %v; want nil after Stop", err)
		}
	}()
	c.t.Cleanup(s.Stop)
}

// client returns a stock client with the role that asks the node at addr.
func (c *fleet) client(addr, role string) *client.Client {
	c.t.Helper()
	data, err := c.secrets.Talosconfig("test", []string{addr}, nil, role, time.Hour)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg, err := clientconfig.FromBytes(data)
	if err != nil {
		c.t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.MustParseAddr(addr), c.port).String()
	cl, err := client.New(c.t.Context(), client.WithConfig(cfg), client.WithGRPCDialOptions(
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to)
		})))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = cl.Close() })
	return cl
}

func TestRolesMayCall(t *testing.T) {
	c := newFleet(t, "127.0.0.1")
	calls := []struct {
		name  string
		roles []string // that may
		call  func(context.Context, *client.Client) error
	}{
		{"Version", []string{"os:admin", "os:operator", "os:reader"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.Version(ctx)
			return err
		}},
		{"Hostname", []string{"os:admin", "os:operator", "os:reader"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.MachineClient.Hostname(ctx, &emptypb.Empty{})
			return err
		}},
		{"SystemStat", []string{"os:admin", "os:operator", "os:reader"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.MachineClient.SystemStat(ctx, &emptypb.Empty{})
			return err
		}},
		{"ServiceList", []string{"os:admin", "os:operator", "os:reader"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.ServiceList(ctx)
			return err
		}},
		{"ServiceRestart", []string{"os:admin", "os:operator"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.ServiceRestart(ctx, "kubelet")
			return err
		}},
		{"Reboot", []string{"os:admin", "os:operator"}, func(ctx context.Context, c *client.Client) error { return c.Reboot(ctx) }},
		{"Shutdown", []string{"os:admin", "os:operator"}, func(ctx context.Context, c *client.Client) error { return c.Shutdown(ctx) }},
		{"EtcdMemberList", []string{"os:admin", "os:operator", "os:reader", "os:etcd:backup"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.EtcdMemberList(ctx, &machine.EtcdMemberListRequest{})
			return err
		}},
		{"EtcdStatus", []string{"os:admin", "os:operator", "os:reader", "os:etcd:backup"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.EtcdStatus(ctx)
			return err
		}},
		{"EtcdAlarmList", []string{"os:admin", "os:operator", "os:reader", "os:etcd:backup"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.EtcdAlarmList(ctx)
			return err
		}},
		{"EtcdForfeitLeadership", []string{"os:admin"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.EtcdForfeitLeadership(ctx, &machine.EtcdForfeitLeadershipRequest{})
			return err
		}},
		{"Events", []string{"os:admin", "os:operator", "os:reader"}, func(ctx context.Context, c *client.Client) error {
			stream, err := c.Events(ctx)
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}},
		{"Read", []string{"os:admin"}, func(ctx context.Context, c *client.Client) error {
			stream, err := c.MachineClient.Read(ctx, &machine.ReadRequest{Path: bootIDPath})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}},
		{"a method that no rule names", []string{"os:admin"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.MachineClient.Rollback(ctx, &machine.RollbackRequest{})
			return err
		}},
		{"Get of a resource", []string{"os:admin", "os:operator", "os:reader"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.COSI.Get(ctx, network.NewHostnameStatus(network.NamespaceName, network.HostnameID).Metadata())
			return err
		}},
		{"List of a sensitive resource", []string{"os:admin"}, func(ctx context.Context, c *client.Client) error {
			_, err := c.COSI.List(ctx, network.NewOperatorSpec(network.NamespaceName, "").Metadata())
			return err
		}},
		{"Create of a resource", nil, func(ctx context.Context, c *client.Client) error {
			return c.COSI.Create(ctx, network.NewHostnameStatus(network.NamespaceName, "mine"))
		}},
		{"List of an unknown type", nil, func(ctx context.Context, c *client.Client) error {
			_, err := c.COSI.List(ctx, resource.NewMetadata("network", "Fancies.net.talos.dev", "", resource.VersionUndefined))
			return err
		}},
		{"List in an unknown namespace", nil, func(ctx context.Context, c *client.Client) error {
			_, err := c.COSI.List(ctx, resource.NewMetadata("nowhere", network.LinkStatusType, "", resource.VersionUndefined))
			return err
		}},
	}
	for _, role := range []string{"os:admin", "os:operator", "os:reader", "os:etcd:backup"} {
		cl := c.client("127.0.0.1", role)
		for _, tt := range calls {
			err := tt.call(t.Context(), cl)
			denied, want := client.StatusCode(err) == codes.PermissionDenied || state.IsOwnerConflictError(err), !slices.Contains(tt.roles, role)
			if denied != want {
				t.Errorf("%s as %s: %v; want PermissionDenied: %v", tt.name, role, err, want)
			}
		}
	}
}

func TestReplies(t *testing.T) {
	c := newFleet(t, "127.0.0.1")
	cl := c.client("127.0.0.1", "os:admin")
	version, err := cl.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m := version.GetMessages()[0]; m.GetMetadata() != nil || m.GetVersion().GetTag() != "v1.13.9" || m.GetPlatform().GetMode() != "metal" {
		t.Errorf("Version without a node = %v; want no metadata, v1.13.9, metal", m)
	}
	stat, err := cl.MachineClient.SystemStat(t.Context(), &emptypb.Empty{})
	if err != nil || stat.GetMessages()[0].GetBootTime() != 42 {
		t.Errorf("SystemStat = %v, %v; want boot_time 42", stat, err)
	}
	_, err = cl.ServiceRestart(t.Context(), "etcd")
	if got, want := client.Status(err).Message(), `service "etcd" doesn't support restart operation via API`; got != want || client.StatusCode(err) != codes.Unknown {
		t.Errorf("ServiceRestart(etcd) = %v; want Unknown %q", err, want)
	}
	reboot, err := cl.RebootWithResponse(t.Context(), client.WithRebootMode(machine.RebootRequest_FORCE))
	if err != nil || reboot.GetMessages()[0].GetActorId() != "reboot-FORCE" {
		t.Errorf("Reboot FORCE = %v, %v; want the sequencer's actor", reboot, err)
	}
}

func TestCallsAreRouted(t *testing.T) {
	c := newFleet(t, "127.0.0.1", "127.0.0.2")
	cl := c.client("127.0.0.1", "os:operator")
	hosts := func(ctx context.Context) (hosts []string, errs int) {
		t.Helper()
		resp, err := cl.MachineClient.Hostname(ctx, &emptypb.Empty{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range resp.GetMessages() {
			if m.GetMetadata().GetError() != "" {
				errs++
				continue
			}
			hosts = append(hosts, m.GetMetadata().GetHostname()+"="+m.GetHostname())
		}
		slices.Sort(hosts)
		return hosts, errs
	}
	for _, tt := range []struct {
		name string
		ctx  context.Context
		want []string
		errs int
	}{
		{"none", t.Context(), []string{"=node-127.0.0.1"}, 0},
		{"node, itself", client.WithNode(t.Context(), "127.0.0.1"), []string{"=node-127.0.0.1"}, 0},
		{"node, another", client.WithNode(t.Context(), "127.0.0.2"), []string{"=node-127.0.0.2"}, 0},
		{"nodes", client.WithNodes(t.Context(), "127.0.0.1", "127.0.0.2"), []string{"127.0.0.1=node-127.0.0.1", "127.0.0.2=node-127.0.0.2"}, 0},
		{"nodes, one of them dead", client.WithNodes(t.Context(), "127.0.0.2", "127.0.0.3"), []string{"127.0.0.2=node-127.0.0.2"}, 1},
	} {
		if got, errs := hosts(tt.ctx); !slices.Equal(got, tt.want) || errs != tt.errs {
			t.Errorf("Hostname for %s = %q and %d errors; want %q and %d", tt.name, got, errs, tt.want, tt.errs)
		}
	}
	if _, err := cl.ServiceRestart(client.WithNode(t.Context(), "127.0.0.2"), "kubelet"); err != nil || c.nodes["127.0.0.2"].kubelets != 1 {
		t.Errorf("ServiceRestart on another node = %v, %d restarts there; want nil, 1", err, c.nodes["127.0.0.2"].kubelets)
	}
	_, err := cl.MachineClient.Rollback(client.WithNode(t.Context(), "127.0.0.2"), &machine.RollbackRequest{})
	if client.StatusCode(err) != codes.PermissionDenied {
		t.Errorf("Rollback on another node as os:operator = %v; want PermissionDenied", err)
	}
	_, err = cl.COSI.List(client.WithNodes(t.Context(), "127.0.0.2"), network.NewLinkStatus(network.NamespaceName, "").Metadata())
	if client.StatusCode(err) != codes.InvalidArgument {
		t.Errorf("List with nodes = %v; want InvalidArgument", err)
	}
}

func TestResources(t *testing.T) {
	c := newFleet(t, "127.0.0.1", "127.0.0.2")
	cl := c.client("127.0.0.1", "os:reader")
	ctx, cancel := context.WithTimeout(client.WithNode(t.Context(), "127.0.0.2"), 20*time.Second)
	defer cancel()
	ns := ""
	rd, err := cl.ResolveResourceKind(ctx, &ns, "addresses")
	if err != nil || ns != network.NamespaceName || rd.TypedSpec().Type != network.AddressStatusType {
		t.Fatalf("ResolveResourceKind(addresses) = %v, %q, %v; want %s in %s", rd, ns, err, network.AddressStatusType, network.NamespaceName)
	}
	vip := network.NewAddressStatus(network.NamespaceName, "eth0/10.5.0.50/32")
	vip.TypedSpec().Address = netip.MustParsePrefix("10.5.0.50/32")
	watch := make(chan state.Event)
	if err := cl.COSI.WatchKind(ctx, vip.Metadata(), watch, state.WithBootstrapContents(true)); err != nil {
		t.Fatal(err)
	}
	if e := <-watch; e.Type != state.Bootstrapped {
		t.Fatalf("first event of the watch = %v; want %v", e.Type, state.Bootstrapped)
	}
	st := c.nodes["127.0.0.2"].state
	if err := st.Create(ctx, vip, state.WithCreateOwner("network.AddressStatusController")); err != nil {
		t.Fatal(err)
	}
	if e := <-watch; e.Type != state.Created || e.Resource.Metadata().ID() != vip.Metadata().ID() {
		t.Errorf("event = %v %v; want the VIP's address created", e.Type, e.Resource)
	}
	list, err := safe.StateListAll[*network.AddressStatus](ctx, cl.COSI)
	if err != nil || list.Len() != 1 || list.Get(0).TypedSpec().Address != vip.TypedSpec().Address {
		t.Errorf("List = %v, %v; want the VIP's address", list, err)
	}
	if err := st.Destroy(ctx, vip.Metadata(), state.WithDestroyOwner("network.AddressStatusController")); err != nil {
		t.Fatal(err)
	}
	if e := <-watch; e.Type != state.Destroyed {
		t.Errorf("event = %v; want %v", e.Type, state.Destroyed)
	}
}

func TestEventsCarryActorsAndTails(t *testing.T) {
	c := newFleet(t, "127.0.0.1")
	cl, events := c.client("127.0.0.1", "os:reader"), c.nodes["127.0.0.1"].events
	events.Publish(&machine.PhaseEvent{Phase: "old"}, "")
	events.Publish(&machine.PhaseEvent{Phase: "mine"}, "me")
	events.Publish(&machine.PhaseEvent{Phase: "newest"}, "")
	for _, tt := range []struct {
		name string
		opt  client.EventsOptionFunc
		want []string // "live" is published once the stream is open
	}{
		{"nothing", func(*machine.EventsRequest) {}, []string{"live"}},
		{"every event of the past", client.WithTailEvents(-1), []string{"old", "mine", "newest", "live"}},
		{"the last event", client.WithTailEvents(1), []string{"newest", "live"}},
		{"what one actor did", func(r *machine.EventsRequest) { r.TailEvents, r.WithActorId = -1, "me" }, []string{"mine"}},
		{"the last hour", client.WithTailDuration(time.Hour), []string{"old", "mine", "newest", "live"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			log := NewEventLog(nil)
			*c.nodes["127.0.0.1"].events = EventLog{events: slices.Clone(events.events[:3]), grown: log.grown}
			ch := make(chan client.EventResult)
			if err := cl.EventsWatchV2(ctx, ch, tt.opt); err != nil {
				t.Fatal(err)
			}
			var got []string
			published := len(tt.want) == 1 && tt.want[0] != "live"
			for len(got) < len(tt.want) {
				if !published && len(got) == len(tt.want)-1 {
					published = true
					time.AfterFunc(20*time.Millisecond, func() { events.Publish(&machine.PhaseEvent{Phase: "live"}, "") })
				}
				e := <-ch
				if e.Error != nil {
					t.Fatal(e.Error)
				}
				got = append(got, e.Event.Payload.(*machine.PhaseEvent).GetPhase())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("events = %q; want %q", got, tt.want)
			}
		})
	}
}

// called is the name of a node that never changes.
func called(name string) func() (string, error) {
	return func() (string, error) { return name, nil }
}
