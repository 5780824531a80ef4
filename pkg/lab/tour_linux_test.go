package lab

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/api/cluster"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"k8s.io/client-go/tools/clientcmd"
)

// tour is a lab and stock clients of it. The calls go to cp-1, unless their
// context names another node.
type tour struct {
	*testing.T
	lab    *Lab
	admin  *talosclient.Client
	reader *talosclient.Client
	ended  string // address of the node whose etcd was ended
}

// stop is one thing to see on a tour: a call, and whether its answer is true.
type stop struct {
	name string
	see  func(context.Context, *tour) error
}

// TestTour asks the nodes everything that they can be asked, and holds each
// answer against what is so.
func TestTour(t *testing.T) {
	l := start(t)
	r := reach{t, l}
	v := &tour{T: t, lab: l, admin: r.talos("10.5.0.2", "admin"), reader: r.talos("10.5.0.2", "reader")}
	v.holder()
	stops := slices.Concat(tourOfNode(), tourOfServices(), tourOfEtcd(), tourOfLogs(), tourOfFiles(), tourOfRoutes(), tourOfSequences())
	for _, s := range stops {
		t.Run(s.name, func(t *testing.T) {
			v.T = t
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := s.see(ctx, v); err != nil {
				t.Error(err)
			}
		})
	}
}

// refused checks that a call failed with the code and text.
func refused(err error, code codes.Code, text string) error {
	if got := grpcStatus(err); got.Code() != code || !strings.Contains(got.Message(), text) {
		return untrue("the call = %v; want %v %q", err, code, text)
	}
	return nil
}

// untruth is an answer that is not what it should be. It tells the call's
// error, which may be none, and so it wraps none.
type untruth string

func (u untruth) Error() string { return string(u) }

func untrue(format string, args ...any) error { return untruth(fmt.Sprintf(format, args...)) }

func grpcStatus(err error) *grpcstatus.Status { return grpcstatus.Convert(err) }

func tourOfNode() []stop {
	return []stop{
		{"Version says what the lab was told", func(ctx context.Context, v *tour) error {
			resp, err := v.reader.Version(ctx)
			if tag := resp.GetMessages()[0].GetVersion().GetTag(); err != nil || tag != DefaultTalosVersion {
				return untrue("Version = %s, %v; want %s", tag, err, DefaultTalosVersion)
			}
			return nil
		}},
		{"Memory is the host's", func(ctx context.Context, v *tour) error {
			resp, err := v.reader.Memory(ctx)
			if err != nil {
				return err
			}
			if m := resp.GetMessages()[0].GetMeminfo(); m.GetMemtotal() < m.GetMemavailable() || m.GetMemavailable() == 0 || m.GetActiveanon() == 0 {
				return fmt.Errorf("Memory = %v; want total, available and anonymous memory", m)
			}
			return nil
		}},
		{"LoadAvg is there", func(ctx context.Context, v *tour) error {
			_, err := v.reader.MachineClient.LoadAvg(ctx, &emptypb.Empty{})
			return err
		}},
		{"Processes are the node's own and no others", func(ctx context.Context, v *tour) error {
			resp, err := v.reader.Processes(ctx)
			if err != nil {
				return err
			}
			var args []string
			for _, p := range resp.GetMessages()[0].GetProcesses() {
				args = append(args, fmt.Sprint(p.GetPid(), " ", p.GetArgs()))
				if p.GetResidentMemory() == 0 || p.GetThreads() == 0 {
					return fmt.Errorf("process %v has no memory or no threads", p)
				}
			}
			all := strings.Join(args, "\n")
			if len(args) != 3 || !strings.Contains(all, "1 vipctl lab-process machine") || !strings.Contains(all, "lab-process etcd") {
				return fmt.Errorf("Processes = %s; want the machine as 1, etcd and the apiserver", all)
			}
			return nil
		}},
		{"NetworkDeviceStats counts on", func(ctx context.Context, v *tour) error {
			sent := func() uint64 {
				resp, err := v.reader.MachineClient.NetworkDeviceStats(ctx, &emptypb.Empty{})
				if err != nil {
					return 0
				}
				for _, d := range resp.GetMessages()[0].GetDevices() {
					if d.GetName() == "eth0" {
						return d.GetTxBytes()
					}
				}
				return 0
			}
			if before, after := sent(), sent(); before == 0 || after <= before {
				return fmt.Errorf("bytes sent by eth0 = %d, then %d; want more after an answer", before, after)
			}
			return nil
		}},
		{"Netstat shows who listens and who is connected", func(ctx context.Context, v *tour) error {
			req := &machineapi.NetstatRequest{
				Filter: machineapi.NetstatRequest_ALL, Feature: &machineapi.NetstatRequest_Feature{Pid: true},
				L4Proto: &machineapi.NetstatRequest_L4Proto{Tcp: true, Tcp6: true}, Netns: &machineapi.NetstatRequest_NetNS{Hostnetwork: true},
			}
			resp, err := v.reader.Netstat(ctx, req)
			if err != nil {
				return err
			}
			var listens, caller bool
			for _, s := range resp.GetMessages()[0].GetConnectrecord() {
				listens = listens || s.GetLocalport() == 50000 && s.GetState() == machineapi.ConnectRecord_LISTEN && s.GetProcess().GetPid() == 1
				caller = caller || s.GetLocalport() == 50000 && s.GetRemoteip() == "10.5.0.1" && s.GetState() == machineapi.ConnectRecord_ESTABLISHED
			}
			if !listens || !caller {
				return fmt.Errorf("Netstat shows the API's listener: %t, this very call: %t; want both", listens, caller)
			}
			return nil
		}},
		{"Time is near ours", func(ctx context.Context, v *tour) error {
			resp, err := v.reader.TimeClient.Time(ctx, &emptypb.Empty{})
			if err != nil {
				return err
			}
			if off := time.Since(resp.GetMessages()[0].GetLocaltime().AsTime()); off < -time.Second || off > 5*time.Second {
				return fmt.Errorf("the node's clock is off by %v; want the host's clock", off)
			}
			return nil
		}},
	}
}

func tourOfServices() []stop {
	return []stop{
		{"a service says how it is", func(ctx context.Context, v *tour) error {
			list, err := v.reader.ServiceInfo(ctx, "etcd")
			if err != nil || len(list) != 1 || list[0].Service.GetState() != "Running" || !list[0].Service.GetHealth().GetHealthy() {
				return untrue("ServiceInfo(etcd) = %v, %v; want one that runs and is healthy", list, err)
			}
			return nil
		}},
		{"the kubelet restarts", func(ctx context.Context, v *tour) error {
			resp, err := v.admin.ServiceRestart(ctx, "kubelet")
			if err != nil || resp.GetMessages()[0].GetResp() != `Service "kubelet" restarted` {
				return untrue("ServiceRestart(kubelet) = %v, %v", resp, err)
			}
			list, err := v.reader.ServiceInfo(ctx, "kubelet")
			if err != nil || list[0].Service.GetState() != "Running" {
				return untrue("ServiceInfo(kubelet) after its restart = %v, %v; want that it runs", list, err)
			}
			return nil
		}},
		{"a kubelet that runs starts", func(ctx context.Context, v *tour) error {
			resp, err := v.admin.ServiceStart(ctx, "kubelet")
			if err != nil || resp.GetMessages()[0].GetResp() != `Service "kubelet" started` {
				return untrue("ServiceStart(kubelet) = %v, %v", resp, err)
			}
			return nil
		}},
		{"the kubelet can't be stopped", func(ctx context.Context, v *tour) error {
			_, err := v.admin.ServiceStop(ctx, "kubelet")
			return refused(err, codes.Unknown, `service "kubelet" doesn't support stop operation via API`)
		}},
		{"etcd can't be restarted", func(ctx context.Context, v *tour) error {
			_, err := v.admin.ServiceRestart(ctx, "etcd")
			return refused(err, codes.Unknown, `service "etcd" doesn't support restart operation via API`)
		}},
		{"a reader restarts nothing", func(ctx context.Context, v *tour) error {
			_, err := v.reader.ServiceRestart(ctx, "kubelet")
			return refused(err, codes.PermissionDenied, "not authorized")
		}},
		{"the cluster is healthy", seeHealth},
	}
}

// seeHealth follows the checks to the end. A node that is not yet known to
// Kubernetes is looked for again after 30 s only, as on Talos.
func seeHealth(ctx context.Context, v *tour) error {
	const patience = 50 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience+time.Second)
	defer cancel()
	eventually(v.T, "cp-1 knows all members", func() bool {
		members, err := safe.StateListAll[*clusterres.Member](ctx, v.reader.COSI)
		return err == nil && members.Len() == 3
	})
	stream, err := v.admin.ClusterHealthCheck(ctx, patience, &cluster.ClusterInfo{})
	if err != nil {
		return err
	}
	var said []string
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the health check = %w after %q; want that it passes", err, said)
		}
		said = append(said, msg.GetMessage())
	}
	if want := `discovered nodes: ["10.5.0.2" "10.5.0.3" "10.5.0.4"]`; said[0] != want {
		return fmt.Errorf("the health check begins %q; want %q", said[0], want)
	}
	for _, want := range healthOutcomes() {
		if !slices.Contains(said, want) {
			return fmt.Errorf("the health check says %q; want %q among it", said, want)
		}
	}
	return nil
}

// healthOutcomes is what Talos says of a healthy cluster without CNI,
// kube-proxy and coredns.
func healthOutcomes() (all []string) {
	for _, name := range []string{
		"etcd to be healthy", "etcd members to be consistent across nodes", "etcd members to be control plane nodes",
		"apid to be ready", "all nodes memory sizes", "all nodes disk sizes", "no diagnostics", "kubelet to be healthy",
		"all nodes to finish boot sequence", "all k8s nodes to report", "all control plane static pods to be running",
		"all control plane components to be ready", "all k8s nodes to report schedulable",
	} {
		all = append(all, "waiting for "+name+": OK")
	}
	for _, name := range []string{"all k8s nodes to report ready", "kube-proxy to report ready", "coredns to report ready"} {
		all = append(all, "waiting for "+name+": SKIP")
	}
	return all
}

func tourOfEtcd() []stop {
	return []stop{
		{"etcd's members are the nodes, asked here or anywhere", func(ctx context.Context, v *tour) error {
			for _, local := range []bool{true, false} {
				resp, err := v.reader.EtcdMemberList(ctx, &machineapi.EtcdMemberListRequest{QueryLocal: local})
				if err != nil {
					return err
				}
				var names []string
				for _, m := range resp.GetMessages()[0].GetMembers() {
					names = append(names, m.GetHostname())
				}
				if slices.Sort(names); !slices.Equal(names, []string{"cp-1", "cp-2", "cp-3"}) {
					return fmt.Errorf("members (local: %t) = %v; want cp-1 to cp-3", local, names)
				}
			}
			return nil
		}},
		{"one member leads, and forfeits it when asked", seeForfeit},
		{"no alarm is raised, and none disarmed", func(ctx context.Context, v *tour) error {
			list, err := v.reader.EtcdAlarmList(ctx)
			if err != nil || len(list.GetMessages()[0].GetMemberAlarms()) > 0 {
				return untrue("EtcdAlarmList = %v, %v; want none", list, err)
			}
			gone, err := v.admin.EtcdAlarmDisarm(ctx)
			if err != nil || len(gone.GetMessages()[0].GetMemberAlarms()) > 0 {
				return untrue("EtcdAlarmDisarm = %v, %v; want none", gone, err)
			}
			return nil
		}},
		{"a member defragments", func(ctx context.Context, v *tour) error {
			_, err := v.admin.EtcdDefragment(ctx)
			return err
		}},
		{"a member that is none can't be removed", func(ctx context.Context, v *tour) error {
			return refused(v.admin.EtcdRemoveMemberByID(ctx, &machineapi.EtcdRemoveMemberByIDRequest{MemberId: 42}), codes.NotFound, "member not found")
		}},
		{"a snapshot ends with its own hash", func(ctx context.Context, v *tour) error {
			r, err := v.admin.EtcdSnapshot(ctx, &machineapi.EtcdSnapshotRequest{})
			if err != nil {
				return err
			}
			data, err := io.ReadAll(r)
			if err != nil || len(data) < 16<<10 {
				return untrue("snapshot of %d bytes, %v; want a database", len(data), err)
			}
			db, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
			if want := sha256.Sum256(db); !bytes.Equal(sum, want[:]) || !bytes.Contains(db, []byte("talos:v1:vip:election:10.5.0.50/")) {
				return errors.New("the snapshot's hash is wrong, or the election is not in it")
			}
			return nil
		}},
		{"etcd ends as a container, and another member is asked", seeEtcdEnd},
	}
}

func seeForfeit(ctx context.Context, v *tour) error {
	leader := func() (string, error) {
		for _, n := range []string{"10.5.0.2", "10.5.0.3", "10.5.0.4"} {
			resp, err := v.reader.EtcdStatus(talosclient.WithNode(ctx, n))
			if err != nil {
				return "", err
			}
			if m := resp.GetMessages()[0].GetMemberStatus(); m.GetLeader() == m.GetMemberId() {
				return n, nil
			}
		}
		return "", errors.New("no member leads")
	}
	old, err := leader()
	if err != nil {
		return err
	}
	resp, err := v.admin.EtcdForfeitLeadership(talosclient.WithNode(ctx, old), &machineapi.EtcdForfeitLeadershipRequest{})
	if err != nil {
		return err
	}
	to := resp.GetMessages()[0].GetMember()
	now, err := leader()
	if want := addrByName()[to]; err != nil || now != want || now == old {
		return untrue("EtcdForfeitLeadership of %s = %q and then %s leads, %v; want another, the one that it says", old, to, now, err)
	}
	return nil
}

// seeEtcdEnd ends etcd on a node that does not hold the VIP.
func seeEtcdEnd(ctx context.Context, v *tour) error {
	v.ended = map[string]string{"cp-1": "10.5.0.3"}[v.holder()]
	if v.ended == "" {
		v.ended = "10.5.0.2"
	}
	there := talosclient.WithNode(ctx, v.ended)
	err := v.admin.Restart(there, "system", common.ContainerDriver_CONTAINERD, "nope")
	if err := refused(err, codes.Unknown, `container "nope" not found`); err != nil {
		return err
	}
	if err := v.admin.Restart(there, "system", common.ContainerDriver_CONTAINERD, "etcd"); err != nil {
		return err
	}
	eventually(v.T, "etcd is away", func() bool { return !v.etcdHealthy(ctx) })
	if resp, err := v.reader.EtcdMemberList(there, &machineapi.EtcdMemberListRequest{}); err != nil || len(resp.GetMessages()[0].GetMembers()) != 3 {
		return untrue("EtcdMemberList while the node's own member is away = %v, %v; want what another says", resp, err)
	}
	return nil
}

func (v *tour) etcdHealthy(ctx context.Context) bool {
	list, err := v.reader.ServiceInfo(talosclient.WithNode(ctx, v.ended), "etcd")
	return err == nil && list[0].Service.GetHealth().GetHealthy()
}

// holder is the node that took the VIP last.
func (v *tour) holder() (name string) {
	eventually(v.T, "one node holds the VIP", func() bool {
		st, _ := status(v.T, v.lab, "cp-1")
		if len(st.VIPs) != 1 || len(st.VIPs[0].Holders) != 1 {
			return false
		}
		name = st.VIPs[0].Holders[0]
		return true
	})
	return name
}

// addrs are the nodes' addresses.
func addrByName() map[string]string {
	return map[string]string{"cp-1": "10.5.0.2", "cp-2": "10.5.0.3", "cp-3": "10.5.0.4"}
}

// drain returns what a stream of data brings until it ends.
func drain(stream grpc.ServerStreamingClient[common.Data], err error) (string, error) {
	var all strings.Builder
	for err == nil {
		var data *common.Data
		data, err = stream.Recv()
		all.Write(data.GetBytes())
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all.String(), err
}

func tourOfLogs() []stop {
	return []stop{
		{"the owner's kernel log has the way of the VIP", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Dmesg(talosclient.WithNode(ctx, addrByName()[v.holder()]), false, false))
			for _, want := range []string{
				`]: [talos] assigned address {"component": "controller-runtime", "controller": "network.AddressSpecController", "address": "10.5.0.50/32", "link": "eth0"}` + "\n",
				`]: [talos] sent gratuitous ARP {"component": "controller-runtime", "controller": "network.AddressSpecController", "address": "10.5.0.50", "link": "eth0"}` + "\n",
				`]: [talos] enabled shared IP {"component": "controller-runtime", "controller": "network.OperatorSpecController", "operator": "vip", "link": "eth0", "ip": "10.5.0.50"}` + "\n",
			} {
				if !strings.Contains(text, want) {
					return untrue("dmesg = %.2000s, %v; want %q in it", text, err, want)
				}
			}
			return err
		}},
		{"the controllers' log has it too, with levels", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Logs(talosclient.WithNode(ctx, addrByName()[v.holder()]), "system", common.ContainerDriver_CONTAINERD, "controller-runtime", false, -1))
			if !strings.Contains(text, "\x1b[34mINFO\x1b[0m enabled shared IP {") {
				return untrue("controller-runtime = %q, %v; want that it enabled the shared IP", text, err)
			}
			return err
		}},
		{"a tail is as long as asked for", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Logs(ctx, "system", common.ContainerDriver_CONTAINERD, "machined", false, 3))
			if strings.Count(text, "\n") != 3 || !strings.HasPrefix(text, "[talos] ") {
				return untrue("3 lines of machined = %q, %v", text, err)
			}
			return err
		}},
		{"a followed log grows", func(ctx context.Context, v *tour) error {
			const line = "service[kubelet](Stopping)"
			before, err := drain(v.reader.Dmesg(ctx, false, false))
			if err != nil {
				return err
			}
			stream, err := v.reader.Dmesg(ctx, true, false)
			if err != nil {
				return err
			}
			if _, err := v.admin.ServiceRestart(ctx, "kubelet"); err != nil {
				return err
			}
			for seen := 0; seen <= strings.Count(before, line); {
				data, err := stream.Recv()
				if err != nil {
					return err
				}
				seen += strings.Count(string(data.GetBytes()), line)
			}
			return nil
		}},
		{"etcd's own words are kept", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Logs(ctx, "system", common.ContainerDriver_CONTAINERD, "etcd", false, -1))
			if !strings.Contains(text, "\twarn\t") {
				return untrue("etcd's log = %q, %v; want a warning of etcd", text, err)
			}
			return err
		}},
		{"the logs are listed", func(ctx context.Context, v *tour) error {
			resp, err := v.reader.LogsContainers(ctx)
			if ids := resp.GetMessages()[0].GetIds(); err != nil || !slices.Contains(ids, "etcd") || !slices.Contains(ids, "controller-runtime") {
				return untrue("LogsContainers = %v, %v; want etcd and controller-runtime among them", ids, err)
			}
			return nil
		}},
		{"a log that is none is refused", func(ctx context.Context, v *tour) error {
			_, err := drain(v.reader.Logs(ctx, "system", common.ContainerDriver_CONTAINERD, "nope", false, -1))
			return refused(err, codes.Unknown, `log "nope" was not registered`)
		}},
		{"a container that is none is refused", func(ctx context.Context, v *tour) error {
			_, err := drain(v.reader.Logs(ctx, "k8s.io", common.ContainerDriver_CRI, "nope", false, -1))
			return refused(err, codes.Unknown, `container "nope" not found`)
		}},
	}
}

func tourOfFiles() []stop {
	read := func(ctx context.Context, v *tour, path string) (string, error) {
		r, err := v.admin.Read(ctx, path)
		if err != nil {
			return "", err
		}
		data, err := io.ReadAll(r)
		return string(data), err
	}
	return []stop{
		{"a file of /proc is the node's own", func(ctx context.Context, v *tour) error {
			text, err := read(ctx, v, "/proc/net/dev")
			if !strings.Contains(text, "eth0:") || strings.Count(text, "\n") != 4 {
				return untrue("/proc/net/dev = %q, %v; want lo and eth0 only", text, err)
			}
			return err
		}},
		{"a file of the host is not there", func(ctx context.Context, v *tour) error {
			for _, path := range []string{"/etc/passwd", "/proc/1/root/etc/passwd", "/proc/net/../1/environ", "/proc/self/environ"} {
				_, err := read(ctx, v, path)
				if err := refused(err, codes.NotFound, "stat "+path+": no such file or directory"); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a directory is no file", func(ctx context.Context, v *tour) error {
			_, err := read(ctx, v, "/proc/sys")
			return refused(err, codes.Unknown, "path must be a regular file")
		}},
		{"the kubeconfig opens the VIP", seeKubeconfig},
		{"a capture has what passes the link, and only that", seeCapture},
		{"a link that is none can't be captured", func(ctx context.Context, v *tour) error {
			r, err := v.admin.PacketCapture(ctx, &machineapi.PacketCaptureRequest{Interface: "eth9"})
			if err == nil {
				_, err = io.ReadAll(r)
			}
			return refused(err, codes.NotFound, `interface "eth9" not found`)
		}},
	}
}

func seeKubeconfig(ctx context.Context, v *tour) error {
	data, err := v.admin.Kubeconfig(ctx)
	if err != nil {
		return err
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return err
	}
	if cfg.Host != "https://10.5.0.50:6443" {
		return fmt.Errorf("the kubeconfig names %s; want the VIP", cfg.Host)
	}
	raw, err := drain(v.admin.MachineClient.Kubeconfig(ctx, &emptypb.Empty{}))
	if err != nil {
		return err
	}
	zip, err := gzip.NewReader(strings.NewReader(raw))
	if err != nil {
		return err
	}
	head, err := tar.NewReader(zip).Next()
	if err != nil || head.Name != "kubeconfig" {
		return untrue("the archive holds %v, %v; want a file kubeconfig", head, err)
	}
	return nil
}

// seeCapture captures ARP on cp-1 while the VIP moves there or away, and looks
// for the one gratuitous ARP.
func seeCapture(ctx context.Context, v *tour) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const loadHalf, jumpEqual, ret = 0x28, 0x15, 0x06
	stream, err := v.admin.PacketCapture(ctx, &machineapi.PacketCaptureRequest{Interface: "eth0", Promiscuous: true, SnapLen: 64,
		BpfFilter: []*machineapi.BPFInstruction{{Op: loadHalf, K: 12}, {Op: jumpEqual, Jf: 1, K: 0x0806}, {Op: ret, K: 64}, {Op: ret}}})
	if err != nil {
		return err
	}
	head := make([]byte, 24)
	if _, err := io.ReadFull(stream, head); err != nil {
		return err
	}
	if magic, link := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[20:]); magic != 0xa1b2c3d4 || link != 1 {
		return fmt.Errorf("the file begins %x; want a pcap of Ethernet", head)
	}
	owner := addrByName()[v.holder()]
	if _, err := v.admin.ServiceRestart(talosclient.WithNode(ctx, owner), "kubelet"); err != nil {
		return err
	}
	for {
		record := make([]byte, 16)
		if _, err := io.ReadFull(stream, record); err != nil {
			return err
		}
		at := time.Unix(int64(binary.LittleEndian.Uint32(record)), 0)
		frame := make([]byte, binary.LittleEndian.Uint32(record[8:]))
		if _, err := io.ReadFull(stream, frame); err != nil {
			return err
		}
		if frame[12] != 8 || frame[13] != 6 || len(frame) < 42 {
			return fmt.Errorf("captured %x; want ARP only", frame)
		}
		sender, target := [4]byte(frame[28:32]), [4]byte(frame[38:42])
		if vip := [4]byte{10, 5, 0, 50}; sender == vip && target == vip {
			if age := time.Since(at); age > 5*time.Second || age < -time.Second {
				return fmt.Errorf("the gratuitous ARP is said to be %v old", age)
			}
			return nil
		}
	}
}

func tourOfRoutes() []stop {
	return []stop{
		{"one call goes to many, and one that fails does not fail it", func(ctx context.Context, v *tour) error {
			resp, err := v.reader.Version(talosclient.WithNodes(ctx, "10.5.0.2", "10.5.0.3", "10.5.0.250"))
			if err != nil && resp == nil {
				return err
			}
			said := map[string]bool{}
			for _, m := range resp.GetMessages() {
				said[m.GetMetadata().GetHostname()] = m.GetVersion().GetTag() != ""
			}
			if !said["10.5.0.2"] || !said["10.5.0.3"] || said["10.5.0.250"] {
				return untrue("Version of many = %v, %v; want answers of two", resp, err)
			}
			return nil
		}},
		{"a target has no port", func(ctx context.Context, v *tour) error {
			_, err := v.reader.Version(talosclient.WithNode(ctx, "10.5.0.3:50000"))
			return refused(err, codes.Internal, `invalid target "10.5.0.3:50000"`)
		}},
		{"streams go to another node", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Logs(talosclient.WithNode(ctx, "10.5.0.4"), "system", common.ContainerDriver_CONTAINERD, "machined", false, 1))
			if text == "" {
				return untrue("machined of another node = %q, %v", text, err)
			}
			return err
		}},
	}
}

func tourOfSequences() []stop {
	return []stop{
		{"events since an ID, and none since what is no ID", func(ctx context.Context, v *tour) error {
			stream, err := v.reader.Events(ctx, talosclient.WithTailID("junk"))
			if err == nil {
				_, err = stream.Recv()
			}
			return refused(err, codes.Unknown, "error parsing tail_id")
		}},
		{"a reboot says its actor in its events, and the boot ID changes", func(ctx context.Context, v *tour) error {
			return seeReboot(ctx, v, "10.5.0.3")
		}},
		{"etcd that ended is back", func(ctx context.Context, v *tour) error {
			eventually(v.T, "etcd is back", func() bool { return v.etcdHealthy(ctx) })
			return nil
		}},
		{"a shutdown ends the machine", func(ctx context.Context, v *tour) error {
			if err := v.admin.Shutdown(talosclient.WithNode(ctx, "10.5.0.4"), talosclient.WithShutdownForce(true)); err != nil {
				return err
			}
			eventually(v.T, "cp-3 is off", func() bool { _, n := status(v.T, v.lab, "cp-3"); return n.Power == PowerOff })
			return nil
		}},
	}
}

func seeReboot(ctx context.Context, v *tour, node string) error {
	direct := reach{v.T, v.lab}.talos(node, "admin")
	bootID := func() string {
		r, err := direct.Read(ctx, "/proc/sys/kernel/random/boot_id")
		if err != nil {
			return ""
		}
		data, _ := io.ReadAll(r)
		return string(data)
	}
	before := bootID()
	events, err := direct.Events(ctx)
	if err != nil {
		return err
	}
	if hello, err := events.Recv(); err != nil || hello.GetData().GetTypeUrl() != "" {
		return untrue("the first event = %v, %v; want an empty one", hello, err)
	}
	resp, err := direct.RebootWithResponse(ctx)
	if err != nil {
		return err
	}
	actor := resp.GetMessages()[0].GetActorId()
	for {
		e, err := events.Recv()
		if err != nil {
			return fmt.Errorf("the events end with %w before the sequence of %s begins", err, actor)
		}
		if e.GetActorId() == actor && strings.HasSuffix(e.GetData().GetTypeUrl(), "machine.SequenceEvent") {
			break
		}
	}
	eventually(v.T, "the node is back with another boot ID", func() bool { id := bootID(); return id != "" && id != before && len(before) == 37 })
	return nil
}
