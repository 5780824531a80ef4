package talosapi

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// bootIDPath is the file by which clients tell one boot from another: the
// kernel's, which is the host's and does not change, is replaced by the node's
// own.
const bootIDPath = "/proc/sys/kernel/random/boot_id"

// machineService answers for this node. What it does not have is Unimplemented.
type machineService struct {
	machine.UnimplementedMachineServiceServer
	cfg Config
}

// Version says what runs here.
func (s *machineService) Version(context.Context, *emptypb.Empty) (*machine.VersionResponse, error) {
	return &machine.VersionResponse{Messages: []*machine.Version{{
		Version:  &machine.VersionInfo{Tag: s.cfg.TalosVersion, GoVersion: runtime.Version(), Os: "linux", Arch: runtime.GOARCH},
		Platform: &machine.PlatformInfo{Name: "metal", Mode: "metal"},
		Features: s.cfg.features(),
	}}}, nil
}

// Hostname returns the node's host name.
func (s *machineService) Hostname(context.Context, *emptypb.Empty) (*machine.HostnameResponse, error) {
	name, err := s.cfg.Hostname()
	if err != nil {
		return nil, err
	}
	return &machine.HostnameResponse{Messages: []*machine.Hostname{{Hostname: name}}}, nil
}

// SystemStat returns when this boot began; the counters of /proc/stat are the
// host's and stay empty.
func (s *machineService) SystemStat(context.Context, *emptypb.Empty) (*machine.SystemStatResponse, error) {
	return &machine.SystemStatResponse{Messages: []*machine.SystemStat{{
		BootTime: s.cfg.bootTime(),
		CpuTotal: &machine.CPUStat{},
		SoftIrq:  &machine.SoftIRQStat{},
	}}}, nil
}

// ServiceList returns the services, sorted by ID.
func (s *machineService) ServiceList(context.Context, *emptypb.Empty) (*machine.ServiceListResponse, error) {
	list := s.cfg.Services.List()
	slices.SortFunc(list, func(a, b *machine.ServiceInfo) int { return strings.Compare(a.GetId(), b.GetId()) })
	return &machine.ServiceListResponse{Messages: []*machine.ServiceList{{Services: list}}}, nil
}

// ServiceStart starts the kubelet, the only system service that Talos starts
// by request. A service that runs is as it was asked for.
func (s *machineService) ServiceStart(_ context.Context, req *machine.ServiceStartRequest) (*machine.ServiceStartResponse, error) {
	if err := s.startService(req.GetId()); err != nil {
		return nil, err
	}
	return &machine.ServiceStartResponse{Messages: []*machine.ServiceStart{{
		Resp: fmt.Sprintf("Service %q started", req.GetId()),
	}}}, nil
}

// ServiceRestart restarts the kubelet, or starts it if it does not run.
func (s *machineService) ServiceRestart(_ context.Context, req *machine.ServiceRestartRequest) (*machine.ServiceRestartResponse, error) {
	running, err := s.running(req.GetId())
	switch {
	case err != nil:
	case !running:
		err = s.startService(req.GetId())
	case req.GetId() != "kubelet":
		err = unsupported(req.GetId(), "restart")
	default:
		err = s.cfg.Services.RestartKubelet()
	}
	if err != nil {
		return nil, err
	}
	return &machine.ServiceRestartResponse{Messages: []*machine.ServiceRestart{{
		Resp: fmt.Sprintf("Service %q restarted", req.GetId()),
	}}}, nil
}

// ServiceStop is refused for every service, the kubelet too, unless it is
// stopped already.
func (s *machineService) ServiceStop(_ context.Context, req *machine.ServiceStopRequest) (*machine.ServiceStopResponse, error) {
	running, err := s.running(req.GetId())
	if err == nil && running {
		err = unsupported(req.GetId(), "stop")
	}
	if err != nil {
		return nil, err
	}
	return &machine.ServiceStopResponse{Messages: []*machine.ServiceStop{{
		Resp: fmt.Sprintf("Service %q stopped", req.GetId()),
	}}}, nil
}

func (s *machineService) startService(id string) error {
	running, err := s.running(id)
	switch {
	case err != nil || running:
		return err
	case id != "kubelet":
		return unsupported(id, "start")
	}
	return s.cfg.Services.StartKubelet()
}

// running reports whether a service runs, as far as requests go: Talos v1.13.9
// internal/app/machined/pkg/system/system.go, as are the texts of the refusals.
func (s *machineService) running(id string) (bool, error) {
	list := s.cfg.Services.List()
	i := slices.IndexFunc(list, func(i *machine.ServiceInfo) bool { return i.GetId() == id })
	if i < 0 {
		return false, fmt.Errorf("service %q not defined", id)
	}
	switch list[i].GetState() {
	case "Finished", "Failed", "Skipped":
		return false, nil
	}
	return true, nil
}

func unsupported(id, verb string) error {
	return fmt.Errorf("service %q doesn't support %s operation via API", id, verb)
}

// Restart ends a container by SIGTERM; what keeps it starts it again. Of the
// node's containers etcd is one that can be ended.
func (s *machineService) Restart(_ context.Context, req *machine.RestartRequest) (*machine.RestartResponse, error) {
	if err := inspectable(req.GetNamespace(), req.GetDriver()); err != nil {
		return nil, err
	}
	if req.GetNamespace() != constants.SystemContainerdNamespace || req.GetId() != "etcd" || s.cfg.Services.EndEtcd() != nil {
		return nil, fmt.Errorf("container %q not found", req.GetId())
	}
	return &machine.RestartResponse{Messages: []*machine.Restart{{}}}, nil
}

// Reboot starts a reboot. A server older than v1.12 does not know FORCE, and
// takes it for DEFAULT.
func (s *machineService) Reboot(_ context.Context, req *machine.RebootRequest) (*machine.RebootResponse, error) {
	return &machine.RebootResponse{Messages: []*machine.Reboot{{ActorId: s.cfg.Sequencer.Reboot(req.GetMode())}}}, nil
}

// Shutdown starts a shutdown.
func (s *machineService) Shutdown(_ context.Context, req *machine.ShutdownRequest) (*machine.ShutdownResponse, error) {
	return &machine.ShutdownResponse{Messages: []*machine.Shutdown{{ActorId: s.cfg.Sequencer.Shutdown(req.GetForce())}}}, nil
}

// Events streams the node's events, an empty one first.
func (s *machineService) Events(req *machine.EventsRequest, stream grpc.ServerStreamingServer[machine.Event]) error {
	if err := checkEventID(req.GetTailId()); err != nil {
		return err
	}
	if err := stream.Send(&machine.Event{}); err != nil {
		return err
	}
	return s.cfg.Events.stream(stream.Context(), req, stream.Send)
}
