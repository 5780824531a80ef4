package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/api/cluster"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
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
