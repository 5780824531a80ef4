package talosapi

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	timeapi "github.com/siderolabs/talos/pkg/machinery/api/time"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

// newTroubled serves an API that can be in trouble on a loopback address.
func newTroubled(t *testing.T, change func(*Config)) (*fleet, *Trouble) {
	t.Helper()
	c, trouble := newFleet(t), &Trouble{}
	ln, err := trouble.Listen(func() (net.Listener, error) {
		ln, err := net.Listen("tcp", netip.AddrPortFrom(loopback, c.port).String())
		if err == nil {
			c.port = uint16(ln.Addr().(*net.TCPAddr).Port)
		}
		return ln, err
	})
	if err != nil {
		t.Fatal(err)
	}
	st, err := NewState(t.Context(), "v1.13.9")
	if err != nil {
		t.Fatal(err)
	}
	server, err := c.secrets.TalosServerTLS("node", []netip.Addr{loopback})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Hostname: called("node"), TalosVersion: "v1.13.9", BootTime: 42, State: st, Events: NewEventLog(nil),
		Sequencer: &fakeNode{}, Services: &fakeNode{}, Etcd: func() (*clientv3.Client, error) { return nil, errNoEtcd },
		ServerTLS: server, IsLocal: func(string) bool { return false }, Trouble: trouble,
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v; want nil after Stop", err)
		}
	})
	return c, trouble
}

// patience is how long an answer is waited for that a busy machine may be late
// with, or that must not come.
func patience(want codes.Code) time.Duration {
	if want == codes.DeadlineExceeded {
		return 300 * time.Millisecond
	}
	return 10 * time.Second
}

var loopback = netip.MustParseAddr("127.0.0.1")

// version asks for the version, on a new connection where cl is nil, with little
// patience where no answer is expected.
func (c *fleet) version(t *testing.T, cl *client.Client, want codes.Code) error {
	t.Helper()
	if cl == nil {
		cl = c.client("127.0.0.1", "os:reader")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience(want))
	defer cancel()
	_, err := cl.Version(ctx)
	return err
}

func TestTroubleOnTheWire(t *testing.T) {
	c, trouble := newTroubled(t, nil)
	expired, err := c.secrets.TalosServerCertificate("node", []netip.Addr{loopback}, -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	alien, err := foreign.TalosServerCertificate("node", []netip.Addr{loopback}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	nameless, err := c.secrets.TalosServerCertificate("", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	show := func(cert tls.Certificate) func(bool) {
		return func(on bool) {
			if on {
				trouble.Present(&cert)
			} else {
				trouble.Present(nil)
			}
		}
	}
	for _, tt := range []struct {
		name string
		set  func(on bool)
		code codes.Code
		says string // in the error of a new connection
		open codes.Code
	}{
		{"it hangs before TLS", func(on bool) { trouble.Hang(FromAccept, on) }, codes.DeadlineExceeded, "", codes.DeadlineExceeded},
		{"it hangs inside of TLS", func(on bool) { trouble.Hang(FromHandshake, on) }, codes.DeadlineExceeded, "", codes.DeadlineExceeded},
		{"it drips before TLS", func(on bool) { trouble.Drip(FromAccept, on) }, codes.DeadlineExceeded, "", codes.DeadlineExceeded},
		{"it drips inside of TLS", func(on bool) { trouble.Drip(FromHandshake, on) }, codes.DeadlineExceeded, "", codes.DeadlineExceeded},
		{"it speaks no TLS", func(on bool) { trouble.Garbage(FromAccept, on) }, codes.Unavailable, "first record does not look like a TLS handshake", codes.Unavailable},
		{"it speaks no HTTP/2", func(on bool) { trouble.Garbage(FromHandshake, on) }, codes.Unavailable, "server preface", codes.Unavailable},
		{"its certificate expired", show(expired), codes.Unavailable, "certificate has expired", codes.OK},
		{"its certificate is foreign", show(alien), codes.Unavailable, "certificate signed by unknown authority", codes.OK},
		{"its certificate names nobody", show(nameless), codes.Unavailable, "doesn't contain any IP SANs", codes.OK},
		{"it answers at length", trouble.Oversize, codes.ResourceExhausted, "received message larger than max (4194", codes.ResourceExhausted},
		{"it refuses", func(on bool) {
			if err := trouble.Refuse(on); err != nil {
				t.Error(err)
			}
		}, codes.Unavailable, "refused", codes.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			open := c.client("127.0.0.1", "os:reader")
			if err := c.version(t, open, codes.OK); err != nil {
				t.Fatalf("Version before = %v; want nil", err)
			}
			tt.set(true)
			if err := c.version(t, open, tt.open); status.Code(err) != tt.open {
				t.Errorf("Version on an open connection = %v; want %v", err, tt.open)
			}
			if err := c.version(t, nil, tt.code); status.Code(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Version on a new connection = %v; want %v: ...%s", err, tt.code, tt.says)
			}
			tt.set(false)
			if err := c.version(t, nil, codes.OK); err != nil {
				t.Errorf("Version after = %v; want nil", err)
			}
		})
	}
}

func TestTroubleAfterTheHandshakeLeavesTLSWhole(t *testing.T) {
	c, trouble := newTroubled(t, nil)
	handshake := func(want codes.Code) error {
		data, err := c.secrets.Talosconfig("test", nil, nil, "os:reader", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", netip.AddrPortFrom(loopback, c.port).String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(patience(want)))
		cfg, err := clientconfig.FromBytes(data)
		if err != nil {
			t.Fatal(err)
		}
		creds, err := client.CertificateFromConfigContext(cfg.Contexts["test"])
		if err != nil {
			t.Fatal(err)
		}
		return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*creds}, NextProtos: []string{"h2"}}).Handshake()
	}
	for name, set := range map[string]func(Stage, bool){"Hang": trouble.Hang, "Drip": trouble.Drip, "Garbage": trouble.Garbage} {
		set(FromHandshake, true)
		if err := handshake(codes.OK); err != nil {
			t.Errorf("TLS under %s(FromHandshake) = %v; want nil", name, err)
		}
		set(FromHandshake, false)
		set(FromAccept, true)
		if err := handshake(codes.DeadlineExceeded); err == nil {
			t.Errorf("TLS under %s(FromAccept) = nil; want an error", name)
		}
		set(FromAccept, false)
	}
}

func TestRefusingResetsOpenConnections(t *testing.T) {
	c, trouble := newTroubled(t, nil)
	conn, err := net.Dial("tcp", netip.AddrPortFrom(loopback, c.port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := c.version(t, nil, codes.OK); err != nil { // accepted after conn was
		t.Fatal(err)
	}
	if err := trouble.Refuse(true); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read on an open connection of a refused port = %v; want %v", err, syscall.ECONNRESET)
	}
}

func TestOversizeAnswerIsWholeForWhoTakesIt(t *testing.T) {
	c, trouble := newTroubled(t, nil)
	trouble.Oversize(true)
	v, err := c.client("127.0.0.1", "os:reader").Version(t.Context(), grpc.MaxCallRecvMsgSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	if size := proto.Size(v); size < 40<<20 || v.GetMessages()[0].GetVersion().GetTag() != "v1.13.9" {
		t.Errorf("Version = %v of %d bytes; want v1.13.9 in at least 40 MiB", v.GetMessages()[0].GetVersion(), size)
	}
}

func TestTroubleBeforeTheServerServes(t *testing.T) {
	var trouble Trouble
	if err := trouble.Refuse(true); err != nil {
		t.Fatal(err)
	}
	ln, err := trouble.Listen(func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") })
	if err != nil || ln.Addr() != nil {
		t.Fatalf("Listen while refused = %v, %v; want a listener that is not open", ln.Addr(), err)
	}
	accepted := make(chan error, 1)
	go func() { _, err := ln.Accept(); accepted <- err }()
	if err := trouble.Refuse(false); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := <-accepted; err != nil {
		t.Errorf("Accept after the port opened = %v; want nil", err)
	}
	_ = ln.Close()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept on a closed port = %v; want %v", err, net.ErrClosed)
	}
}

func TestTimeTellsTheSkew(t *testing.T) {
	clock := &Clock{}
	c, _ := newTroubled(t, func(cfg *Config) { cfg.Clock = clock })
	cl := c.client("127.0.0.1", "os:reader")
	for _, offset := range []time.Duration{0, 90 * time.Second, -2 * time.Minute} {
		clock.Set(offset)
		resp, err := cl.Time(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := resp.GetMessages()[0]
		got := m.GetLocaltime().AsTime().Sub(m.GetRemotetime().AsTime())
		if (got-offset).Abs() > 2*time.Second || m.GetServer() != "time.cloudflare.com" {
			t.Errorf("Time on a clock that is off by %v = %v from %s; want that, from time.cloudflare.com", offset, got, m.GetServer())
		}
		stat, err := cl.MachineClient.SystemStat(t.Context(), &emptypb.Empty{})
		if want := uint64(42 + int64(offset/time.Second)); err != nil || stat.GetMessages()[0].GetBootTime() != want {
			t.Errorf("SystemStat on a clock that is off by %v = %v, %v; want boot time %d", offset, stat, err, want)
		}
	}
	if _, err := cl.TimeCheck(t.Context(), ""); status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != "ntp server is required" {
		t.Errorf("TimeCheck(\"\") = %v; want InvalidArgument: ntp server is required", err)
	}
	if _, err := cl.TimeCheck(t.Context(), "/dev/ptp0"); err == nil || !strings.Contains(err.Error(), `error querying PTP device "/dev/ptp0"`) {
		t.Errorf("TimeCheck(/dev/ptp0) = %v; want that there is no such device", err)
	}
	if resp, err := timeapi.NewTimeServiceClient(cl.Conn()).TimeCheck(t.Context(), &timeapi.TimeRequest{Server: "10.0.0.1"}); err != nil || resp.GetMessages()[0].GetServer() != "10.0.0.1" {
		t.Errorf("TimeCheck(10.0.0.1) = %v, %v; want an answer from 10.0.0.1", resp, err)
	}
}

func TestMaintenanceMode(t *testing.T) {
	c, _ := newTroubled(t, func(cfg *Config) {
		server, err := pki.MaintenanceTLS("node", []netip.Addr{loopback})
		if err != nil {
			t.Fatal(err)
		}
		cfg.ServerTLS, cfg.Maintenance = server, true
	})
	if err := c.version(t, nil, codes.Unavailable); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("Version with the cluster's talosconfig = %v; want that the authority is unknown", err)
	}
	cl, err := client.New(t.Context(), client.WithTLSConfig(&tls.Config{InsecureSkipVerify: true}),
		client.WithEndpoints("127.0.0.1"), client.WithGRPCDialOptions(grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", netip.AddrPortFrom(loopback, c.port).String())
		})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	v, err := cl.Version(client.WithNodes(t.Context(), "10.5.0.9", "10.5.0.10"))
	if err != nil || len(v.GetMessages()) != 1 || v.GetMessages()[0].GetMetadata() != nil || v.GetMessages()[0].GetFeatures() != nil {
		t.Errorf("Version of other nodes = %v, %v; want this node's, without metadata and features", v, err)
	}
	for name, call := range map[string]func() error{
		"not authorized": func() error { return cl.Reboot(t.Context()) },
		"etcd status is only available on control plane nodes": func() error { _, err := cl.EtcdStatus(t.Context()); return err },
		"member list is only available on control plane nodes": func() error {
			_, err := cl.EtcdMemberList(t.Context(), &machine.EtcdMemberListRequest{})
			return err
		},
		"a node of a lab takes no configuration over its API": func() error {
			_, err := cl.ApplyConfiguration(t.Context(), &machine.ApplyConfigurationRequest{})
			return err
		},
	} {
		if err := call(); err == nil || status.Convert(err).Message() != name {
			t.Errorf("call = %v; want %s", err, name)
		}
	}
}

func TestOversizeAnswersCostNoMemory(t *testing.T) {
	var trouble Trouble
	trouble.Oversize(true)
	c := trouble.codec(proxy.Codec())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	data, err := c.Marshal(proxy.NewFrame([]byte("answer")))
	runtime.ReadMemStats(&after)
	if err != nil || data.Len() < 40<<20 {
		t.Fatalf("Marshal = %d bytes, %v; want at least 40 MiB", data.Len(), err)
	}
	if cost := after.TotalAlloc - before.TotalAlloc; cost > 1<<20 {
		t.Errorf("an answer of %d bytes takes %d bytes of memory; want at most 1 MiB", data.Len(), cost)
	}
}
