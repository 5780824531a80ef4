package talos

import (
	"context"
	"crypto/tls"
	stdx509 "crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"github.com/siderolabs/crypto/x509"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	timeapi "github.com/siderolabs/talos/pkg/machinery/api/time"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// world is a network of fake Talos nodes. Each has an address of its own, which
// the client dials; the bytes go over mutual TLS on loopback.
type world struct {
	t      *testing.T
	bundle *secrets.Bundle

	mu    sync.Mutex
	ports map[string]string    // mu guards ports: the listener behind "address:port"
	nodes map[string]*fakeNode // mu guards nodes, by address
	conns map[string][]*cutConn
	black map[string]bool // mu guards black: addresses that swallow everything
	dials map[string]int
}

var sharedBundle = sync.OnceValues(func() (*secrets.Bundle, error) {
	return secrets.NewBundle(secrets.NewClock(), nil)
})

func newWorld(t *testing.T) *world {
	t.Helper()
	bundle, err := sharedBundle()
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, bundle: bundle, ports: map[string]string{}, nodes: map[string]*fakeNode{},
		conns: map[string][]*cutConn{}, black: map[string]bool{}, dials: map[string]int{},
	}
}

// dial is the client's way into the world. An address without a node refuses.
func (w *world) dial(ctx context.Context, addr string) (net.Conn, error) {
	w.mu.Lock()
	port, black := w.ports[addr], w.black[addr]
	w.dials[addr]++
	w.mu.Unlock()
	if black {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if port == "" {
		port = "127.0.0.1:1" // nobody listens there
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", port)
	if err != nil {
		return nil, err
	}
	cut := &cutConn{Conn: conn, closed: make(chan struct{})}
	w.mu.Lock()
	w.conns[addr] = append(w.conns[addr], cut)
	w.mu.Unlock()
	return cut, nil
}

// cutPower silences an address: nothing that was sent arrives, and no FIN comes.
func (w *world) cutPower(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.black[addr] = true
	for _, c := range w.conns[addr] {
		c.cut.Store(true)
	}
}

func (w *world) restorePower(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.black, addr)
}

// cutConn is a connection whose cable can be pulled.
type cutConn struct {
	net.Conn
	cut    atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.cut.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.cut.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *cutConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// config is the talosconfig that a user would have.
func (w *world) config(endpoints, nodes []string) *Config {
	w.t.Helper()
	cfg, err := Load(Options{Talosconfig: w.talosconfig(w.bundle, role.Reader, time.Hour, endpoints, nodes), Timeout: 2 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.dialer = w.dial
	return cfg
}

func (w *world) client(endpoints ...string) *Client {
	w.t.Helper()
	return w.open(w.config(endpoints, nil))
}

func (w *world) open(cfg *Config) *Client {
	w.t.Helper()
	c, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// talosconfig writes one and returns its path. A negative ttl has expired.
func (w *world) talosconfig(bundle *secrets.Bundle, r role.Role, ttl time.Duration, endpoints, nodes []string) string {
	w.t.Helper()
	issued, life := time.Now(), ttl
	if ttl < 0 {
		issued, life = time.Now().Add(2*ttl), -ttl
	}
	pair, err := secrets.NewAdminCertificateAndKey(issued, bundle.Certs.OS, role.MakeSet(r), life)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := clientconfig.NewConfig("lab", endpoints, bundle.Certs.OS.Crt, pair)
	cfg.Contexts["lab"].Nodes = nodes
	path := filepath.Join(w.t.TempDir(), "talosconfig")
	data, err := cfg.Bytes()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// fakeNode is a Talos node as the client sees it.
type fakeNode struct {
	machineapi.UnimplementedMachineServiceServer
	world    *world
	name     string
	addr     string
	memberID uint64
	state    state.State
	typ      machinetype.Type
	members  []*machineapi.EtcdMember // nil: no quorum
	own      []*machineapi.EtcdMember // as the node's own etcd lists them; nil: as members

	bootTime  atomic.Uint64
	hangAll   atomic.Bool
	hangAlarm atomic.Bool

	hangMembers atomic.Bool
	memberLists atomic.Int32  // how often it was asked for them
	etcdIndex   atomic.Uint64 // grows with each answer
	clockAhead  time.Duration

	denied    atomic.Bool   // every call is refused, as for a role without rights
	unknown   resource.Type // a type, "" is none; that this version does not know
	deaf      atomic.Bool   // watches of resources bring nothing more
	stuck     atomic.Bool   // nor do those that begin now, after their head
	listed    atomic.Int32  // how often it was asked for its addresses
	events    chan *machineapi.Event
	reboots   atomic.Int32
	failAfter atomic.Bool // breaks the connection after it took a reboot
	grpc      *grpc.Server
}

// member is a control-plane node that world knows of, whether or not it runs.
func etcdMember(id uint64, name, addr string) *machineapi.EtcdMember {
	return &machineapi.EtcdMember{
		Id: id, Hostname: name,
		PeerUrls: []string{"https://" + net.JoinHostPort(addr, "2380")}, ClientUrls: []string{"https://" + net.JoinHostPort(addr, "2379")},
	}
}

// threeNodes are cp-1 to cp-3 at 10.5.0.2 to 10.5.0.4 with the VIP 10.5.0.50 on
// the first.
func threeNodes(w *world) []*fakeNode {
	members := []*machineapi.EtcdMember{
		etcdMember(0xa1, "cp-1", "10.5.0.2"), etcdMember(0xa2, "cp-2", "10.5.0.3"), etcdMember(0xa3, "cp-3", "10.5.0.4"),
	}
	nodes := make([]*fakeNode, 0, 3)
	for i, m := range members {
		n := w.node(m.Hostname, netip.AddrFrom4([4]byte{10, 5, 0, byte(2 + i)}).String(), m.Id)
		n.members = members
		n.configureVIP("10.5.0.50")
		nodes = append(nodes, n)
	}
	nodes[0].carry("10.5.0.50/32")
	w.alias("10.5.0.50:50000", "10.5.0.2:50000")
	return nodes
}

func (w *world) alias(addr, of string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports[addr] = w.ports[of]
}

// node starts a control-plane node.
func (w *world) node(name, addr string, memberID uint64) *fakeNode {
	w.t.Helper()
	n := &fakeNode{
		world: w, name: name, addr: addr, memberID: memberID, typ: machinetype.TypeControlPlane,
		state: state.WrapCore(namespaced.NewState(inmem.Build)),
	}
	n.bootTime.Store(1_700_000_000)
	n.carry(addr + "/24")
	n.carry("127.0.0.1/8")
	n.publish()
	n.listen()
	w.t.Cleanup(func() { n.grpc.Stop() })
	w.mu.Lock()
	w.nodes[addr] = n
	w.mu.Unlock()
	return n
}

func (n *fakeNode) publish() {
	nodeIP := k8s.NewNodeIP(k8s.NamespaceName, k8s.KubeletID)
	nodeIP.TypedSpec().Addresses = []netip.Addr{netip.MustParseAddr(n.addr)}
	typ := config.NewMachineType()
	typ.SetMachineType(n.typ)
	stage := runtime.NewMachineStatus()
	stage.TypedSpec().Stage = runtime.MachineStageRunning
	stage.TypedSpec().Status = runtime.MachineStatusStatus{UnmetConditions: []runtime.UnmetCondition{{Name: "services", Reason: "etcd"}}}
	local := etcd.NewMember(etcd.NamespaceName, etcd.LocalMemberID)
	local.TypedSpec().MemberID = etcd.FormatMemberID(n.memberID)
	link := network.NewLinkStatus(network.NamespaceName, "eth0")
	link.TypedSpec().HardwareAddr = []byte{2, 0, 0, 0, 0, byte(n.memberID)}
	pod := k8s.NewStaticPodStatus(k8s.NamespaceName, "kube-system/kube-apiserver-"+n.name)
	pod.TypedSpec().PodStatus = map[string]any{"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}
	for _, r := range []resource.Resource{nodeIP, typ, stage, local, link, pod} {
		n.put(r)
	}
}

func (n *fakeNode) put(r resource.Resource) {
	n.world.t.Helper()
	if err := n.state.Create(n.world.t.Context(), r); err != nil {
		n.world.t.Fatal(err)
	}
}

func addressStatus(prefix string) *network.AddressStatus {
	r := network.NewAddressStatus(network.NamespaceName, "eth0/"+prefix)
	r.TypedSpec().Address = netip.MustParsePrefix(prefix)
	r.TypedSpec().LinkName = "eth0"
	return r
}

func (n *fakeNode) carry(prefix string) { n.put(addressStatus(prefix)) }

func (n *fakeNode) shed(prefix string) {
	n.world.t.Helper()
	if err := n.state.Destroy(n.world.t.Context(), addressStatus(prefix).Metadata()); err != nil {
		n.world.t.Fatal(err)
	}
}

func (n *fakeNode) configureVIP(vips ...string) {
	r := etcd.NewConfig(etcd.NamespaceName, etcd.ConfigID)
	r.TypedSpec().AdvertiseExcludeSubnets = vips
	n.put(r)
}

func (n *fakeNode) discovers(hostname string, typ machinetype.Type, addrs ...string) {
	r := clusterres.NewMember(clusterres.NamespaceName, hostname)
	r.TypedSpec().Hostname, r.TypedSpec().MachineType = hostname, typ
	for _, a := range addrs {
		r.TypedSpec().Addresses = append(r.TypedSpec().Addresses, netip.MustParseAddr(a))
	}
	n.put(r)
}

// listen serves the Talos API as it is on a node: mutual TLS for its address.
func (n *fakeNode) listen() {
	t := n.world.t
	t.Helper()
	ca, err := x509.NewCertificateAuthorityFromCertificateAndKey(n.world.bundle.Certs.OS)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := x509.NewKeyPair(ca,
		x509.IPAddresses([]net.IP{net.ParseIP(n.addr), net.ParseIP("10.5.0.50"), net.ParseIP("10.9.9.9"), net.ParseIP("10.5.0.102")}),
		x509.DNSNames([]string{"localhost"}),
		x509.NotAfter(time.Now().Add(time.Hour)), x509.ExtKeyUsage([]stdx509.ExtKeyUsage{stdx509.ExtKeyUsageServerAuth}))
	if err != nil {
		t.Fatal(err)
	}
	clients := stdx509.NewCertPool()
	clients.AppendCertsFromPEM(n.world.bundle.Certs.OS.Crt)
	n.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{*pair.Certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients})),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			to, err := n.admit(ctx)
			if err != nil || to == n {
				return orHandle(ctx, req, h, err)
			}
			return to.serve(ctx, req, info.FullMethod)
		}),
		grpc.StreamInterceptor(func(_ any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			to, err := n.admit(ss.Context())
			if err != nil {
				return err
			}
			return to.stream(ss, info.FullMethod, h)
		}),
	)
	machineapi.RegisterMachineServiceServer(n.grpc, n)
	timeapi.RegisterTimeServiceServer(n.grpc, struct {
		timeapi.UnsafeTimeServiceServer
		clock
	}{clock: clock{n}})
	cosiv1alpha1.RegisterStateServer(n.grpc, n.cosi())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.world.mu.Lock()
	n.world.ports[net.JoinHostPort(n.addr, "50000")] = l.Addr().String()
	n.world.mu.Unlock()
	go func() { _ = n.grpc.Serve(l) }()
}

// route returns the node that a call is for.
func (n *fakeNode) route(ctx context.Context) (*fakeNode, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if len(md.Get("nodes")) > 0 {
		return nil, status.Error(codes.InvalidArgument, "one-2-many proxying is not wanted")
	}
	names := md.Get("node")
	if len(names) == 0 {
		return n, nil
	}
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	if to := n.world.nodes[names[0]]; to != nil {
		return to, nil
	}
	return nil, status.Errorf(codes.Unavailable, "connection error: desc = \"transport: Error while dialing: dial tcp %s:50000: connect: no route to host\"", names[0])
}

// admit returns the node that a call is for, and refuses as a node would.
func (n *fakeNode) admit(ctx context.Context) (*fakeNode, error) {
	if n.denied.Load() {
		return nil, status.Error(codes.PermissionDenied, "not authorized")
	}
	to, err := n.route(ctx)
	if n.hangAll.Load() || err == nil && to.hangAll.Load() {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return to, err
}

func orHandle(ctx context.Context, req any, h grpc.UnaryHandler, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return h(ctx, req)
}

// serve answers a call that another node forwarded.
func (n *fakeNode) serve(ctx context.Context, req any, method string) (any, error) {
	decode := func(v any) error {
		proto.Merge(v.(proto.Message), req.(proto.Message))
		return nil
	}
	for srv, desc := range map[any]grpc.ServiceDesc{n: machineapi.MachineService_ServiceDesc, clock{n}: timeapi.TimeService_ServiceDesc, n.cosi(): cosiv1alpha1.State_ServiceDesc} {
		for _, m := range desc.Methods {
			if "/"+desc.ServiceName+"/"+m.MethodName == method {
				return m.Handler(srv, ctx, decode, nil)
			}
		}
	}
	return nil, status.Error(codes.Unimplemented, method)
}

func (n *fakeNode) cosi() *server.State {
	return server.NewState(state.Filter(n.state, func(_ context.Context, a state.Access) error {
		if a.ResourceType == network.AddressStatusType && a.Verb == state.List {
			n.listed.Add(1)
		}
		if a.ResourceType == n.unknown {
			return status.Errorf(codes.PermissionDenied, "resource type %q is not supported", a.ResourceType)
		}
		return nil
	}))
}

func (n *fakeNode) Hostname(context.Context, *emptypb.Empty) (*machineapi.HostnameResponse, error) {
	return &machineapi.HostnameResponse{Messages: []*machineapi.Hostname{{Hostname: n.name}}}, nil
}

func (n *fakeNode) Version(context.Context, *emptypb.Empty) (*machineapi.VersionResponse, error) {
	return &machineapi.VersionResponse{Messages: []*machineapi.Version{{
		Version: &machineapi.VersionInfo{Tag: "v1.13.9"}, Platform: &machineapi.PlatformInfo{Name: "metal", Mode: "metal"},
	}}}, nil
}

func (n *fakeNode) SystemStat(context.Context, *emptypb.Empty) (*machineapi.SystemStatResponse, error) {
	return &machineapi.SystemStatResponse{Messages: []*machineapi.SystemStat{{BootTime: n.bootTime.Load()}}}, nil
}

func (n *fakeNode) ServiceList(context.Context, *emptypb.Empty) (*machineapi.ServiceListResponse, error) {
	return &machineapi.ServiceListResponse{Messages: []*machineapi.ServiceList{{Services: []*machineapi.ServiceInfo{
		{Id: "etcd", State: "Running", Health: &machineapi.ServiceHealth{Healthy: true}},
		{Id: "machined", State: "Running", Health: &machineapi.ServiceHealth{Unknown: true}},
	}}}}, nil
}

func (n *fakeNode) EtcdMemberList(ctx context.Context, req *machineapi.EtcdMemberListRequest) (*machineapi.EtcdMemberListResponse, error) {
	n.memberLists.Add(1)
	if n.hangMembers.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if req.GetQueryLocal() && n.own != nil {
		return &machineapi.EtcdMemberListResponse{Messages: []*machineapi.EtcdMembers{{Members: n.own}}}, nil
	}
	if n.members == nil {
		return nil, status.Error(codes.Unknown, "etcdserver: no leader")
	}
	return &machineapi.EtcdMemberListResponse{Messages: []*machineapi.EtcdMembers{{Members: n.members}}}, nil
}

func (n *fakeNode) EtcdStatus(context.Context, *emptypb.Empty) (*machineapi.EtcdStatusResponse, error) {
	return &machineapi.EtcdStatusResponse{Messages: []*machineapi.EtcdStatus{{MemberStatus: &machineapi.EtcdMemberStatus{
		MemberId: n.memberID, Leader: 0, RaftTerm: 7, RaftIndex: n.etcdIndex.Add(1), ProtocolVersion: "3.6.12",
	}}}}, nil
}

// clock is a fakeNode's time service.
type clock struct{ *fakeNode }

func (c clock) Time(context.Context, *emptypb.Empty) (*timeapi.TimeResponse, error) {
	return &timeapi.TimeResponse{Messages: []*timeapi.Time{{Localtime: timestamppb.New(time.Now().Add(c.clockAhead)), Remotetime: timestamppb.Now()}}}, nil
}

func (c clock) TimeCheck(ctx context.Context, _ *timeapi.TimeRequest) (*timeapi.TimeResponse, error) {
	return c.Time(ctx, nil)
}

func (n *fakeNode) EtcdAlarmList(ctx context.Context, _ *emptypb.Empty) (*machineapi.EtcdAlarmListResponse, error) {
	if n.hangAlarm.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &machineapi.EtcdAlarmListResponse{Messages: []*machineapi.EtcdAlarm{{MemberAlarms: []*machineapi.EtcdMemberAlarm{
		{MemberId: 0xa2, Alarm: machineapi.EtcdMemberAlarm_NOSPACE}, {MemberId: 0xa1, Alarm: machineapi.EtcdMemberAlarm_NONE},
	}}}}, nil
}

func (n *fakeNode) Reboot(_ context.Context, req *machineapi.RebootRequest) (*machineapi.RebootResponse, error) {
	n.reboots.Add(1)
	if n.failAfter.Load() {
		n.world.mu.Lock()
		defer n.world.mu.Unlock()
		for _, c := range n.world.conns[net.JoinHostPort(n.addr, "50000")] {
			_ = c.Conn.Close()
		}
		return nil, errors.New("the connection broke")
	}
	return &machineapi.RebootResponse{Messages: []*machineapi.Reboot{{ActorId: req.GetMode().String()}}}, nil
}

// remove makes an address refuse, and the other nodes unable to forward to it.
func (w *world) remove(addr string) {
	w.hide(net.JoinHostPort(addr, "50000"))
	w.isolate(addr)
}

// hide makes an address refuse the client, while the nodes still reach it.
func (w *world) hide(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ports, addr)
}

// isolate keeps the other nodes from forwarding to a node, until rejoin.
func (w *world) isolate(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes["gone "+addr] = w.nodes[addr]
	delete(w.nodes, addr)
}

func (w *world) rejoin(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[addr] = w.nodes["gone "+addr]
}

// breakAll closes every connection to an address, as a restart does.
func (w *world) breakAll(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns[addr] {
		_ = c.Conn.Close()
	}
}

func (n *fakeNode) setType(typ machinetype.Type) {
	n.world.t.Helper()
	r := config.NewMachineType()
	if err := n.state.Destroy(n.world.t.Context(), r.Metadata()); err != nil {
		n.world.t.Fatal(err)
	}
	r.SetMachineType(typ)
	n.put(r)
}
