package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	timeres "github.com/siderolabs/talos/pkg/machinery/resources/time"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// apiNode is whose API is in trouble, and healthy whose is not.
const (
	apiNode, apiAddr = "cp-2", "10.5.0.3"
	healthy          = "10.5.0.2"
)

// patience is how long a test waits for an answer that must not come, and
// plenty for one that must. A node answers within milliseconds; the processors
// are noisy.
const (
	patience = time.Second
	plenty   = 15 * time.Second
)

// ask asks a node for its version on a new connection.
func (r reach) ask(addr string, want codes.Code) error {
	r.t.Helper()
	c := r.talos(addr, "reader")
	defer func() { _ = c.Close() }()
	limit := plenty
	if want == codes.DeadlineExceeded {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), limit)
	defer cancel()
	_, err := c.Version(ctx)
	return err
}

// hello does a TLS handshake with a node's API, until the limit at the longest,
// and returns what came of it.
func (r reach) hello(addr string, limit time.Duration) (tls.ConnectionState, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), limit)
	defer cancel()
	raw, err := r.dial(ctx, "tcp", net.JoinHostPort(addr, "50000"))
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = raw.Close() }()
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	err = conn.HandshakeContext(ctx)
	return conn.ConnectionState(), err
}

// fault injects a fault on apiNode, or undoes it.
func (r reach) fault(name string, on bool, args map[string]string) {
	r.t.Helper()
	req, do := FaultRequest{Fault: name, Node: apiNode, Args: args}, r.lab.Inject
	if !on {
		req.Args, do = nil, r.lab.Undo
	}
	if err := do(r.t.Context(), req); err != nil {
		r.t.Fatalf("%s (on: %v) = %v", name, on, err)
	}
}

// through asks a healthy node for its own version and apiNode's, and returns
// what apiNode's part says.
func (r reach) through(c *talosclient.Client) error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	v, err := c.MachineClient.Version(talosclient.WithNodes(ctx, healthy, apiAddr), &emptypb.Empty{})
	if err != nil {
		return err
	}
	for _, m := range v.GetMessages() {
		md := m.GetMetadata()
		if md.GetHostname() == apiAddr && md.GetError() != "" {
			return grpcstatus.ErrorProto(md.GetStatus())
		}
		if md.GetHostname() == healthy && m.GetVersion().GetTag() == "" {
			r.t.Errorf("Version of %s through itself = %v; want its version", healthy, m)
		}
	}
	return nil
}

func TestTroubledAPI(t *testing.T) {
	l := start(t)
	r := reach{t, l}
	proxy := r.talos(healthy, "reader")
	handshake := map[string]string{"after": "handshake"}
	for _, tt := range []struct {
		name  string
		fault string
		args  map[string]string
		code  codes.Code
		says  string     // in the error of a call
		tls   bool       // the handshake succeeds
		via   codes.Code // through another node, which has a connection already
	}{
		{"it hangs", "api-hang", nil, codes.DeadlineExceeded, "", false, codes.DeadlineExceeded},
		{"it hangs once TLS is there", "api-hang", handshake, codes.DeadlineExceeded, "", true, codes.DeadlineExceeded},
		{"it drips", "api-drip", nil, codes.DeadlineExceeded, "", false, codes.DeadlineExceeded},
		{"it drips once TLS is there", "api-drip", handshake, codes.DeadlineExceeded, "", true, codes.DeadlineExceeded},
		{"its certificate expired", "api-expired-cert", nil, codes.Unavailable, "certificate has expired", true, codes.OK},
		{"its certificate is of another cluster", "api-foreign-cert", nil, codes.Unavailable, "unknown authority", true, codes.OK},
		{"its certificate names nobody", "api-wrong-name", nil, codes.Unavailable, "doesn't contain any IP SANs", true, codes.OK},
		{"it answers 40 MiB", "api-oversize", nil, codes.ResourceExhausted, "larger than max", true, codes.ResourceExhausted},
		{"it speaks no TLS", "api-garbage", nil, codes.Unavailable, "first record does not look like a TLS handshake", false, codes.Unavailable},
		{"it speaks no HTTP/2", "api-garbage", handshake, codes.Unavailable, "server preface", true, codes.Unavailable},
		{"it refuses", "api-refuse", nil, codes.Unavailable, "refused", false, codes.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := reach{t, l}
			eventually(t, "the other node reaches it", func() bool { return r.through(proxy) == nil })
			r.fault(tt.fault, true, tt.args)
			if err := r.ask(apiAddr, tt.code); grpcstatus.Code(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Version = %v; want %v: ...%s", err, tt.code, tt.says)
			}
			limit := patience
			if tt.tls {
				limit = plenty
			}
			if _, err := r.hello(apiAddr, limit); (err == nil) != tt.tls {
				t.Errorf("TLS handshake = %v; want success: %v", err, tt.tls)
			}
			if err := r.ask(healthy, codes.OK); err != nil {
				t.Errorf("Version of another node = %v; want nil", err)
			}
			if tt.via != codes.DeadlineExceeded { // or it would take all that its caller has
				if err := r.through(proxy); grpcstatus.Code(err) != tt.via {
					t.Errorf("Version through another node = %v; want %v", err, tt.via)
				}
			}
			r.fault(tt.fault, false, nil)
			if err := r.ask(apiAddr, codes.OK); err != nil {
				t.Errorf("Version after the undo = %v; want nil", err)
			}
		})
	}
	t.Run("a wrong argument injects nothing", func(t *testing.T) {
		for _, req := range []FaultRequest{
			{Fault: "api-hang", Args: map[string]string{"after": "lunch"}},
			{Fault: "clock-skew", Args: map[string]string{"offset": "soon"}},
			{Fault: "clock-skew"},
		} {
			req.Node = apiNode
			if err := l.Inject(t.Context(), req); err == nil {
				t.Errorf("Inject(%v) = nil; want an error", req)
			}
		}
		if _, n := status(t, l, apiNode); len(n.Faults) > 0 {
			t.Errorf("faults of %s = %v; want none", apiNode, n.Faults)
		}
	})
	t.Run("its clock is off", func(t *testing.T) { skewed(reach{t, l}) })
	t.Run("maintenance mode", func(t *testing.T) { maintained(reach{t, l}, proxy) })
}

// offset returns by how much a node's clock is ahead of its time server's.
func (r reach) offset(addr string) time.Duration {
	r.t.Helper()
	resp, err := r.talos(addr, "reader").Time(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	m := resp.GetMessages()[0]
	return m.GetLocaltime().AsTime().Sub(m.GetRemotetime().AsTime()).Round(time.Second)
}

func skewed(r reach) {
	for _, offset := range []time.Duration{90 * time.Second, -90 * time.Second} {
		r.fault("clock-skew", true, map[string]string{"offset": offset.String()})
		if got := r.offset(apiAddr); got != offset {
			r.t.Errorf("localtime - remotetime = %v; want %v", got, offset)
		}
		if got := r.offset(healthy); got != 0 {
			r.t.Errorf("localtime - remotetime of another node = %v; want 0", got)
		}
		st, err := safe.StateGet[*timeres.Status](r.t.Context(), r.talos(apiAddr, "reader").COSI, timeres.NewStatus().Metadata())
		if err != nil || !st.TypedSpec().Synced {
			r.t.Errorf("TimeStatus = %v, %v; want synced: the node does not know", st, err)
		}
		r.fault("clock-skew", false, nil)
		if got := r.offset(apiAddr); got != 0 {
			r.t.Errorf("localtime - remotetime after the undo = %v; want 0", got)
		}
	}
}

// insecure returns a client that believes every certificate and shows none,
// as "talosctl --insecure" does.
func (r reach) insecure(addr string) *talosclient.Client {
	r.t.Helper()
	c, err := talosclient.New(r.t.Context(), talosclient.WithTLSConfig(&tls.Config{InsecureSkipVerify: true}), talosclient.WithEndpoints(addr),
		talosclient.WithGRPCDialOptions(grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return r.dial(ctx, "tcp", addr)
		})))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// stage returns the stage that a node says it is in; unknown while it is silent.
func (r reach) stage(c *talosclient.Client) runtime.MachineStage {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	ms, err := safe.StateGet[*runtime.MachineStatus](ctx, c.COSI, runtime.NewMachineStatus().Metadata())
	if err != nil {
		return runtime.MachineStageUnknown
	}
	return ms.TypedSpec().Stage
}

// members returns the IDs of the etcd members by name, as a node knows them.
func (r reach) members(c *talosclient.Client) map[string]uint64 {
	r.t.Helper()
	resp, err := c.EtcdMemberList(r.t.Context(), &machineapi.EtcdMemberListRequest{})
	if err != nil {
		r.t.Fatal(err)
	}
	ids := map[string]uint64{}
	for _, m := range resp.GetMessages()[0].GetMembers() {
		ids[m.GetHostname()] = m.GetId()
	}
	return ids
}

// maintained boots apiNode without a configuration, and back.
func maintained(r reach, proxy *talosclient.Client) {
	t := r.t
	before := r.members(proxy)
	eventually(t, "the other node reaches it", func() bool { return r.through(proxy) == nil })
	es, err := proxy.EtcdStatus(talosclient.WithNode(t.Context(), apiAddr))
	if err != nil {
		t.Fatal(err)
	}
	applied := es.GetMessages()[0].GetMemberStatus().GetRaftAppliedIndex()
	booted := last(events(t, r.lab), apiNode, truth.Booted)

	r.fault("maintenance", true, nil)
	c := r.insecure(apiAddr)
	eventually(t, apiNode+" is in maintenance", func() bool { return r.stage(c) == runtime.MachineStageMaintenance })
	r.inMaintenance(c)
	if err := r.through(proxy); grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("Version through another node = %v; want Unavailable", err)
	}
	if err := r.ask(healthy, codes.OK); err != nil {
		t.Errorf("Version of another node = %v; want nil", err)
	}
	if _, n := status(t, r.lab, apiNode); fmt.Sprint(n.Faults) != "[maintenance]" || n.Power != PowerOn {
		t.Errorf("status = %+v; want that maintenance lasts over the reboot", n)
	}

	r.fault("power-off", true, nil)
	r.fault("power-off", false, nil)
	c = r.insecure(apiAddr)
	eventually(t, apiNode+" is in maintenance after a power cut, too", func() bool { return r.stage(c) == runtime.MachineStageMaintenance })

	r.fault("maintenance", false, nil)
	eventually(t, apiNode+" booted again", func() bool { return last(events(t, r.lab), apiNode, truth.Booted) > booted })
	if err := r.ask(apiAddr, codes.OK); err != nil {
		t.Errorf("Version after the undo = %v; want nil", err)
	}
	direct := r.talos(apiAddr, "reader")
	if after := r.members(direct); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("etcd members after the undo = %v; want %v", after, before)
	}
	es, err = direct.EtcdStatus(t.Context())
	if err != nil || es.GetMessages()[0].GetMemberStatus().GetRaftAppliedIndex() < applied {
		t.Errorf("EtcdStatus after the undo = %v, %v; want that no entry up to %d is lost", es, err, applied)
	}
	// gRPC between the nodes backs off for up to 15 s, while direct calls work.
	eventually(t, "the other node reaches it again", func() bool { return r.through(proxy) == nil })
	if _, n := status(t, r.lab, apiNode); len(n.Faults) > 0 {
		t.Errorf("faults after the undo = %v; want none", n.Faults)
	}
}

// inMaintenance checks what the node says and does not say.
func (r reach) inMaintenance(c *talosclient.Client) {
	t := r.t
	if err := r.ask(apiAddr, codes.Unavailable); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("Version with the talosconfig = %v; want that the authority is unknown", err)
	}
	if state, err := r.hello(apiAddr, plenty); err != nil || state.PeerCertificates[0].Subject.CommonName != "maintenance-service.talos.dev" {
		t.Errorf("certificate = %v, %v; want the maintenance service's", state.PeerCertificates, err)
	}
	if v, err := c.Version(t.Context()); err != nil || v.GetMessages()[0].GetFeatures() != nil {
		t.Errorf("Version = %v, %v; want no word of features", v, err)
	}
	addresses, err := safe.StateListAll[*network.AddressStatus](t.Context(), c.COSI)
	if err != nil {
		t.Fatal(err)
	}
	own := netip.MustParseAddr(apiAddr)
	for a := range addresses.All() {
		if ip := a.TypedSpec().Address.Addr(); ip != own && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			t.Errorf("address %v on a node in maintenance; want %v only", ip, own)
		}
	}
	services, err := c.ServiceList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range services.GetMessages()[0].GetServices() {
		if s.GetId() == "etcd" || s.GetId() == "kubelet" {
			t.Errorf("service %s is %s in maintenance; want that there is none", s.GetId(), s.GetState())
		}
	}
	for _, port := range []string{"2379", "2380", "6443"} {
		if conn, err := r.dial(t.Context(), "tcp", net.JoinHostPort(apiAddr, port)); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("dial port %s = %v, %v; want that it is refused", port, conn, err)
		}
	}
	if err := c.Reboot(t.Context()); grpcstatus.Code(err) != codes.PermissionDenied {
		t.Errorf("Reboot as a reader = %v; want PermissionDenied", err)
	}
	if _, err := c.EtcdStatus(t.Context()); grpcstatus.Code(err) != codes.Unimplemented {
		t.Errorf("EtcdStatus = %v; want Unimplemented", err)
	}
}
