package talosapi

import (
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	clusterapi "github.com/siderolabs/talos/pkg/machinery/api/cluster"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/client"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestParseSockets(t *testing.T) {
	const heads = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	tests := []struct {
		name, line string
		want       *machine.ConnectRecord
	}{
		{"a connection with something to send again",
			"   1: 0200050A:C350 0100050A:9C40 01 00000010:00000020 01:00000014 00000003  1000        7 4242 2 00000000deadbeef 20 4 30 10 -1\n",
			&machine.ConnectRecord{
				L4Proto: "tcp", Localip: "10.5.0.2", Localport: 50000, Remoteip: "10.5.0.1", Remoteport: 40000,
				State: machine.ConnectRecord_ESTABLISHED, Txqueue: 16, Rxqueue: 32, Tr: 1, Timerwhen: 20, Retrnsmt: 3,
				Uid: 1000, Timeout: 7, Inode: 4242, Ref: 2, Pointer: 0xdeadbeef, Process: &machine.ConnectRecord_Process{},
			}},
		{"a listener on every address of IPv6",
			"   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0000000000000000\n",
			&machine.ConnectRecord{
				L4Proto: "tcp", Localip: "::", Localport: 6443, Remoteip: "::", State: machine.ConnectRecord_LISTEN,
				Inode: 7, Ref: 1, Process: &machine.ConnectRecord_Process{},
			}},
	}
	for _, tt := range tests {
		got, err := parseSockets("tcp", heads+tt.line)
		if err != nil || len(got) != 1 || !proto.Equal(got[0], tt.want) {
			t.Errorf("parseSockets(%s) = %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
	for _, bad := range []string{"   1: 0200050A:C350\n", strings.Replace(tests[0].line, "0200050A", "02", 1), strings.Replace(tests[0].line, "4242", "x", 1)} {
		if got, err := parseSockets("tcp", heads+bad); err == nil {
			t.Errorf("parseSockets(%q) = %v; want an error", bad, got)
		}
	}
}

func TestFilterSockets(t *testing.T) {
	listener := &machine.ConnectRecord{Remoteip: "0.0.0.0"}
	connected := &machine.ConnectRecord{Remoteip: "10.5.0.1", Remoteport: 1}
	for filter, want := range map[machine.NetstatRequest_Filter][2]bool{
		machine.NetstatRequest_ALL: {true, true}, machine.NetstatRequest_LISTENING: {true, false}, machine.NetstatRequest_CONNECTED: {false, true},
	} {
		if got := [2]bool{passes(filter, listener), passes(filter, connected)}; got != want {
			t.Errorf("%v passes a listener and a connection = %v; want %v", filter, got, want)
		}
	}
}

func TestParseMeminfo(t *testing.T) {
	got := parseMeminfo("MemTotal:       24683904 kB\nActive(anon):    7 kB\nHugePages_Total:       3\nDirectMap4k: 5 kB\nNovelty: 1 kB\nSlab:\n")
	want := &machine.MemInfo{Memtotal: 24683904, Activeanon: 7, Hugepagestotal: 3, Directmap4K: 5}
	if !proto.Equal(got, want) {
		t.Errorf("parseMeminfo() = %v; want %v", got, want)
	}
}

func TestParseNetDev(t *testing.T) {
	devices, total := parseNetDev("Inter-|   Receive  |  Transmit\n face |bytes packets\n" +
		"  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n    lo:100 0 0 0 0 0 0 0 100 0 0 0 0 0 0 0\n")
	want := &machine.NetDev{Name: "eth0", RxBytes: 1, RxPackets: 2, RxErrors: 3, RxDropped: 4, RxFifo: 5, RxFrame: 6, RxCompressed: 7, RxMulticast: 8,
		TxBytes: 9, TxPackets: 10, TxErrors: 11, TxDropped: 12, TxFifo: 13, TxCollisions: 14, TxCarrier: 15, TxCompressed: 16}
	if len(devices) != 2 || !proto.Equal(devices[0], want) || total.GetRxBytes() != 101 || total.GetName() != "eth0, lo" {
		t.Errorf("parseNetDev() = %v, %v; want %v first, and 101 bytes received in sum", devices, total, want)
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("42 (a) (b c) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 9 0 100 4096 2 18446744073709551615 1 1\n")
	if err != nil || got.GetPid() != 42 || got.GetCommand() != "a) (b c" || got.GetState() != "S" || got.GetPpid() != 1 ||
		got.GetCpuTime() != 2 || got.GetThreads() != 9 || got.GetVirtualMemory() != 4096 || got.GetResidentMemory() == 0 {
		t.Errorf("parseStat() = %v, %v", got, err)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 1"} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = %v; want an error", bad, got)
		}
	}
}

func TestLineLog(t *testing.T) {
	g := newLineLog()
	for range 3 * linesKept {
		g.add("old\n")
	}
	_, _ = g.Write([]byte("a\nb"))
	g.add(strings.Repeat("x", 2*lineLength))
	var got []string
	send := func(d *common.Data) error { got = append(got, string(d.GetBytes())); return nil }
	if err := g.stream(t.Context(), 3, false, send); err != nil || !reflect.DeepEqual(got[:2], []string{"a\n", "b\n"}) || len(got[2]) != lineLength {
		t.Errorf("the last 3 lines = %.20q, %v; want a, b and a long one cut", got, err)
	}
	got = nil
	if err := g.stream(t.Context(), -1, false, send); err != nil || len(got) < linesKept || len(got) > 2*linesKept {
		t.Errorf("the log has %d lines, %v; want about %d", len(got), err, linesKept)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got = nil
	done := make(chan error)
	go func() {
		done <- g.stream(ctx, 0, true, func(d *common.Data) error { cancel(); return send(d) })
	}()
	for ctx.Err() == nil { // until the follower is there
		g.add("new\n")
	}
	if err := <-done; !errors.Is(err, context.Canceled) || got[0] != "new\n" {
		t.Errorf("following = %q, %v; want new lines until it is canceled", got, err)
	}
}

func TestEventIDsSort(t *testing.T) {
	l := NewEventLog(nil)
	var ids []string
	for range 300 {
		l.Publish(&machine.RestartEvent{}, "")
		ids = append(ids, l.events[len(l.events)-1].GetId())
	}
	if !slices.IsSorted(ids) || len(ids[0]) != 20 || checkEventID(ids[0]) != nil || checkEventID("") != nil || checkEventID("junk") == nil {
		t.Errorf("IDs = %v...; want them in order, 20 long and told from junk", ids[:2])
	}
}

func TestWorkersHaveNoEtcd(t *testing.T) {
	c := newFleet(t, "127.0.0.1")
	kind := config.NewMachineType()
	kind.SetMachineType(machinetype.TypeWorker)
	if err := c.nodes["127.0.0.1"].state.Create(t.Context(), kind); err != nil {
		t.Fatal(err)
	}
	cl := c.client("127.0.0.1", "os:admin")
	ctx := t.Context()
	for api, call := range map[string]func() error{
		"member list": func() error { _, err := cl.EtcdMemberList(ctx, &machine.EtcdMemberListRequest{}); return err },
		"etcd status": func() error { _, err := cl.EtcdStatus(ctx); return err },
		"etcd snapshot": func() error {
			r, err := cl.EtcdSnapshot(ctx, &machine.EtcdSnapshotRequest{})
			if err == nil {
				_, err = io.ReadAll(r)
			}
			return err
		},
		"kubeconfig": func() error { _, err := cl.Kubeconfig(ctx); return err },
		"cluster health check": func() error {
			stream, err := cl.ClusterHealthCheck(ctx, time.Second, &clusterapi.ClusterInfo{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	} {
		want := api + " is only available on control plane nodes"
		if err := call(); client.StatusCode(err) != codes.Unimplemented || status.Convert(err).Message() != want {
			t.Errorf("%s on a worker = %v; want Unimplemented %q", api, err, want)
		}
	}
}

func TestHealthCheckSaysWhatItWaitsFor(t *testing.T) {
	c := newFleet(t, "127.0.0.1")
	kind := config.NewMachineType()
	kind.SetMachineType(machinetype.TypeControlPlane)
	if err := c.nodes["127.0.0.1"].state.Create(t.Context(), kind); err != nil {
		t.Fatal(err)
	}
	stream, err := c.client("127.0.0.1", "os:reader").ClusterHealthCheck(t.Context(), 2*time.Second,
		&clusterapi.ClusterInfo{ControlPlaneNodes: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for err == nil {
		var msg *clusterapi.HealthCheckProgress
		if msg, err = stream.Recv(); err == nil {
			said = append(said, msg.GetMessage())
		}
	}
	want := []string{
		`discovered nodes: ["127.0.0.1"]`, "waiting for etcd to be healthy: ...",
		`waiting for etcd to be healthy: 127.0.0.1: no events recorded yet for service "etcd"`,
	}
	if !slices.Equal(said, want) || client.StatusCode(err) != codes.DeadlineExceeded {
		t.Errorf("HealthCheck said %q and ended with %v; want %q and DeadlineExceeded", said, err, want)
	}
}

func TestReadGivesOutOnlyTheNodesFiles(t *testing.T) {
	s := &machineService{cfg: Config{BootID: "id", Hostname: called("cp-1")}}
	for path, want := range map[string]string{"/proc/sys/kernel/random/boot_id": "id\n", "/etc/hostname": "cp-1\n"} {
		if got, err := s.readFile(path); err != nil || string(got) != want {
			t.Errorf("readFile(%s) = %q, %v; want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"/etc/passwd", "/proc/1/environ", "/proc/self/root/etc/passwd", "/proc/thread-self/environ", "/proc", "/", "proc/meminfo"} {
		if got, err := s.readFile(path); err == nil {
			t.Errorf("readFile(%s) = %d bytes; want that it is not there", path, len(got))
		}
	}
}
