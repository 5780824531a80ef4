package talosapi

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// bootIDPath is the one file that Read gives out: the kernel's, which is the
// host's and does not change, is replaced by the node's own.
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
	return &machine.HostnameResponse{Messages: []*machine.Hostname{{Hostname: s.cfg.Hostname}}}, nil
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

// ServiceRestart restarts the kubelet, the only system service that Talos
// restarts by request.
func (s *machineService) ServiceRestart(_ context.Context, req *machine.ServiceRestartRequest) (*machine.ServiceRestartResponse, error) {
	if err := s.refuse(req.GetId(), "restart"); err != nil {
		return nil, err
	}
	if err := s.cfg.Services.RestartKubelet(); err != nil {
		return nil, err
	}
	return &machine.ServiceRestartResponse{Messages: []*machine.ServiceRestart{{
		Resp: fmt.Sprintf("Service %q restarted", req.GetId()),
	}}}, nil
}

// ServiceStop is refused for every service, the kubelet too.
func (s *machineService) ServiceStop(_ context.Context, req *machine.ServiceStopRequest) (*machine.ServiceStopResponse, error) {
	if err := s.exists(req.GetId()); err != nil {
		return nil, err
	}
	return nil, unsupported(req.GetId(), "stop")
}

// refuse returns Talos's error unless the service is the kubelet.
func (s *machineService) refuse(id, verb string) error {
	if err := s.exists(id); err != nil {
		return err
	}
	if id != "kubelet" {
		return unsupported(id, verb)
	}
	return nil
}

func (s *machineService) exists(id string) error {
	if !slices.ContainsFunc(s.cfg.Services.List(), func(i *machine.ServiceInfo) bool { return i.GetId() == id }) {
		return fmt.Errorf("service %q not defined", id)
	}
	return nil
}

func unsupported(id, verb string) error {
	return fmt.Errorf("service %q doesn't support %s operation via API", id, verb)
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
	if err := stream.Send(&machine.Event{}); err != nil {
		return err
	}
	return s.cfg.Events.stream(stream.Context(), req, stream.Send)
}

// Read streams the boot ID; no other file is there.
func (s *machineService) Read(req *machine.ReadRequest, stream grpc.ServerStreamingServer[common.Data]) error {
	if req.GetPath() != bootIDPath {
		return errors.New("stat " + req.GetPath() + ": no such file or directory")
	}
	return stream.Send(&common.Data{Bytes: []byte(s.cfg.BootID + "\n")})
}
