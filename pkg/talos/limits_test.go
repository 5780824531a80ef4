package talos

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/protobuf"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// What true nodes of the largest clusters and machines say is not refused.
func TestBoundsLetLargeAnswersPass(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer proto.Message
	}{
		// Talos keeps 64 events of a service (v1.13.9 internal/app/machined/pkg/
		// system/events), and has some 15 services beside those of extensions.
		{"forty services that were restarted for ever", restarted(40, 64)},
		{"what a machine of 1,024 processors counts", counted(1024, 16_384)},
	} {
		if size := proto.Size(tt.answer); size > singleLimit {
			t.Errorf("%s: %d bytes; want at most singleLimit, %d", tt.name, size, singleLimit)
		}
	}
	for _, tt := range []struct {
		name string
		list []resource.Resource
	}{
		// kube-proxy puts the address of every service on the link kube-ipvs0.
		{"the addresses of 10,000 services of two families", many(20_000, func(i int) resource.Resource {
			addr := netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)})
			if i >= 10_000 {
				addr = netip.AddrFrom16([16]byte{0xfd, 15: byte(i), 14: byte(i >> 8), 13: 1, 8: 0x12, 7: 0x34, 6: 0x56})
			}
			r := network.NewAddressStatus(network.NamespaceName, fmt.Sprintf("kube-ipvs0/%s/%d", addr, addr.BitLen()))
			*r.TypedSpec() = network.AddressStatusSpec{Address: netip.PrefixFrom(addr, addr.BitLen()), Local: addr, LinkName: "kube-ipvs0", LinkIndex: 7}
			return r
		})},
		{"5,000 nodes that discovery knows", many(5000, func(i int) resource.Resource {
			r := clusterres.NewMember(clusterres.NamespaceName, fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", i>>8, i&0xff))
			*r.TypedSpec() = clusterres.MemberSpec{
				NodeID: strings.Repeat("x", 44), Hostname: r.Metadata().ID(), MachineType: machinetype.TypeWorker, OperatingSystem: "Talos (v1.13.9)",
				Addresses: []netip.Addr{netip.MustParseAddr("10.0.11.22"), netip.MustParseAddr("2001:db8:1234:5678::1122")},
			}
			return r
		})},
		{"the links of 500 pods", many(500, func(i int) resource.Resource {
			r := network.NewLinkStatus(network.NamespaceName, fmt.Sprintf("veth%08x", i))
			r.TypedSpec().HardwareAddr, r.TypedSpec().PermanentAddr = []byte("abcdef"), []byte("abcdef")
			r.TypedSpec().Kind, r.TypedSpec().QueueDisc, r.TypedSpec().Driver, r.TypedSpec().DriverVersion = "veth", "noqueue", "veth", "1.0"
			return r
		})},
		{"40 static pods", many(40, func(i int) resource.Resource {
			r := k8s.NewStaticPodStatus(k8s.NamespaceName, fmt.Sprintf("kube-system/pod-%d", i))
			r.TypedSpec().PodStatus = map[string]any{"phase": "Running", "conditions": strings.Repeat("x", 16<<10)}
			return r
		})},
	} {
		if size := listSize(t, tt.list); size > answerLimit {
			t.Errorf("%s: %d bytes; want at most answerLimit, %d", tt.name, size, answerLimit)
		}
	}
}

func many(n int, of func(int) resource.Resource) []resource.Resource {
	list := make([]resource.Resource, n)
	for i := range list {
		list[i] = of(i)
	}
	return list
}

// listSize is what a list counts for, as the server of Talos's runtime sends it.
func listSize(t *testing.T, list []resource.Resource) (size int) {
	t.Helper()
	for _, r := range list {
		r.Metadata().SetVersion(r.Metadata().Version().Next())
		if err := r.Metadata().SetOwner("network.AddressStatusController"); err != nil {
			t.Fatal(err)
		}
		p, err := protobuf.FromResource(r)
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		size += max(proto.Size(&cosiv1alpha1.ListResponse{Resource: m}), leastOfList)
	}
	return size
}

func restarted(services, events int) *machineapi.ServiceListResponse {
	list := &machineapi.ServiceList{}
	for i := range services {
		id := fmt.Sprintf("ext-some-service-%d", i)
		info := &machineapi.ServiceInfo{Id: id, State: "Waiting", Events: &machineapi.ServiceEvents{}, Health: &machineapi.ServiceHealth{LastMessage: id}}
		for range events {
			info.Events.Events = append(info.Events.Events, &machineapi.ServiceEvent{State: "Waiting", Ts: timestamppb.New(time.Unix(1<<31, 1<<29)),
				Msg: fmt.Sprintf("Error running Containerd(%s), going to restart forever: task %q failed: exit code 255", id, id)})
		}
		list.Services = append(list.Services, info)
	}
	return &machineapi.ServiceListResponse{Messages: []*machineapi.ServiceList{list}}
}

func counted(processors, interrupts int) *machineapi.SystemStatResponse {
	stat := &machineapi.SystemStat{BootTime: 1 << 40}
	for range processors {
		stat.Cpu = append(stat.Cpu, &machineapi.CPUStat{User: 1.5, Nice: 1.5, System: 1.5, Idle: 1.5, Iowait: 1.5, Irq: 1.5, SoftIrq: 1.5, Steal: 1.5, Guest: 1.5, GuestNice: 1.5})
	}
	for range interrupts {
		stat.Irq = append(stat.Irq, 1<<28)
	}
	return &machineapi.SystemStatResponse{Messages: []*machineapi.SystemStat{stat}}
}
