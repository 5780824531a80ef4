package talos

import (
	"cmp"
	"context"
	"crypto/tls"
	stdx509 "crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"github.com/siderolabs/crypto/x509"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	timeapi "github.com/siderolabs/talos/pkg/machinery/api/time"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

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
	text        string // in place of what it says of its versions, services and etcd's errors, where not ""

	denied    atomic.Bool   // every call is refused, as for a role without rights
	backup    atomic.Bool   // but for the members, as for os:etcd:backup
	unknown   resource.Type // a type, "" is none; that this version does not know
	late      resource.Type // a type, "" is none; that it answers 200 ms after the others
	deaf      atomic.Bool   // watches of resources bring nothing more
	stuck     atomic.Bool   // nor do those that begin now, after their head
	slow      atomic.Int64  // nanoseconds that each message of addresses takes
	tomorrow  atomic.Bool   // watches of resources bring events of unknown types too
	listed    atomic.Int32  // how often it was asked for its addresses
	events    chan *machineapi.Event
	reboots   atomic.Int32
	failAfter atomic.Bool // breaks the connection after it took a reboot
	grpc      *grpc.Server
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
		x509.IPAddresses([]net.IP{net.ParseIP(n.addr), net.ParseIP("10.5.0.50"), net.ParseIP("10.9.9.9"), net.ParseIP("10.5.0.102"), net.ParseIP("10.5.0.104"), net.ParseIP("10.5.0.60")}),
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
				n.world.waits(ctx, n.addr, info.FullMethod)
				return orHandle(ctx, req, h, err)
			}
			n.world.waits(ctx, to.addr, info.FullMethod)
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
	timeapi.RegisterTimeServiceServer(n.grpc, timeService{clock: clock{n}})
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
	method, _ := grpc.Method(ctx)
	if spared := n.backup.Load() && strings.HasSuffix(method, "/EtcdMemberList"); n.denied.Load() && !spared {
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
	for srv, desc := range map[any]grpc.ServiceDesc{n: machineapi.MachineService_ServiceDesc, timeService{clock: clock{n}}: timeapi.TimeService_ServiceDesc, n.cosi(): cosiv1alpha1.State_ServiceDesc} {
		for _, m := range desc.Methods {
			if "/"+desc.ServiceName+"/"+m.MethodName == method {
				return m.Handler(srv, ctx, decode, nil)
			}
		}
	}
	return nil, status.Error(codes.Unimplemented, method)
}

func (n *fakeNode) cosi() *server.State {
	return server.NewState(state.Filter(n.state, func(ctx context.Context, a state.Access) error {
		if a.ResourceType == network.AddressStatusType && a.Verb == state.List {
			n.listed.Add(1)
		}
		n.world.waits(ctx, n.addr, a.ResourceType)
		if a.ResourceType == n.late {
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
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
	if n.text != "" {
		return &machineapi.VersionResponse{Messages: []*machineapi.Version{{
			Version: &machineapi.VersionInfo{Tag: n.text}, Platform: &machineapi.PlatformInfo{Name: n.text, Mode: n.text},
		}}}, nil
	}
	return &machineapi.VersionResponse{Messages: []*machineapi.Version{{
		Version: &machineapi.VersionInfo{Tag: "v1.13.9"}, Platform: &machineapi.PlatformInfo{Name: "metal", Mode: "metal"},
	}}}, nil
}

func (n *fakeNode) SystemStat(context.Context, *emptypb.Empty) (*machineapi.SystemStatResponse, error) {
	return &machineapi.SystemStatResponse{Messages: []*machineapi.SystemStat{{BootTime: n.bootTime.Load()}}}, nil
}

func (n *fakeNode) ServiceList(context.Context, *emptypb.Empty) (*machineapi.ServiceListResponse, error) {
	if n.text != "" {
		return &machineapi.ServiceListResponse{Messages: []*machineapi.ServiceList{{Services: []*machineapi.ServiceInfo{{Id: n.text, State: n.text}}}}}, nil
	}
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
		MemberId: n.memberID, Leader: 0, RaftTerm: 7, RaftIndex: n.etcdIndex.Add(1), ProtocolVersion: cmp.Or(n.text, "3.6.12"), Errors: []string{n.text, "memberID:1 alarm:" + n.text}[:min(len(n.text), 2)],
	}}}}, nil
}

// clock is a fakeNode's time service.
type clock struct{ *fakeNode }

// timeService is a clock as it is registered.
type timeService struct {
	timeapi.UnsafeTimeServiceServer
	clock
}

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

func (n *fakeNode) setType(typ machinetype.Type) {
	n.world.t.Helper()
	r := config.NewMachineType()
	if err := n.state.Destroy(n.world.t.Context(), r.Metadata()); err != nil {
		n.world.t.Fatal(err)
	}
	r.SetMachineType(typ)
	n.put(r)
}
