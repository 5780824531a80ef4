package fleet

import (
	"context"
	"net"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/types/known/emptypb"
)

// machineService answers for one node. What no look asks is Unimplemented.
type machineService struct {
	machine.UnimplementedMachineServiceServer
	cluster *Cluster
	node    int
	boot    uint64 // seconds of Unix time
}

func (s *machineService) Hostname(context.Context, *emptypb.Empty) (*machine.HostnameResponse, error) {
	return &machine.HostnameResponse{Messages: []*machine.Hostname{{Hostname: s.cluster.Nodes[s.node].Name}}}, nil
}

func (s *machineService) Version(context.Context, *emptypb.Empty) (*machine.VersionResponse, error) {
	return &machine.VersionResponse{Messages: []*machine.Version{{
		Version:  &machine.VersionInfo{Tag: TalosVersion},
		Platform: &machine.PlatformInfo{Name: "metal", Mode: "metal"},
	}}}, nil
}

func (s *machineService) SystemStat(context.Context, *emptypb.Empty) (*machine.SystemStatResponse, error) {
	return &machine.SystemStatResponse{Messages: []*machine.SystemStat{{BootTime: s.boot}}}, nil
}

func (s *machineService) ServiceList(context.Context, *emptypb.Empty) (*machine.ServiceListResponse, error) {
	list := &machine.ServiceList{}
	for _, id := range []string{"apid", "etcd", "kubelet", "machined"} {
		list.Services = append(list.Services, &machine.ServiceInfo{Id: id, State: "Running", Health: &machine.ServiceHealth{Healthy: true}})
	}
	return &machine.ServiceListResponse{Messages: []*machine.ServiceList{list}}, nil
}

func (s *machineService) EtcdMemberList(context.Context, *machine.EtcdMemberListRequest) (*machine.EtcdMemberListResponse, error) {
	reply := &machine.EtcdMembers{}
	for i, n := range s.cluster.Nodes {
		reply.Members = append(reply.Members, &machine.EtcdMember{
			Id: memberID(i), Hostname: n.Name,
			PeerUrls:   []string{"https://" + net.JoinHostPort(n.Addr.String(), "2380")},
			ClientUrls: []string{"https://" + net.JoinHostPort(n.Addr.String(), "2379")},
		})
	}
	return &machine.EtcdMemberListResponse{Messages: []*machine.EtcdMembers{reply}}, nil
}

func (s *machineService) EtcdStatus(context.Context, *emptypb.Empty) (*machine.EtcdStatusResponse, error) {
	return &machine.EtcdStatusResponse{Messages: []*machine.EtcdStatus{{MemberStatus: &machine.EtcdMemberStatus{
		MemberId: memberID(s.node), Leader: memberID(s.cluster.Owner), ProtocolVersion: "3.6.12", StorageVersion: "3.6.0",
		RaftTerm: 2, RaftIndex: 1000, RaftAppliedIndex: 1000, DbSize: 4 << 20, DbSizeInUse: 3 << 20,
	}}}}, nil
}

func (s *machineService) EtcdAlarmList(context.Context, *emptypb.Empty) (*machine.EtcdAlarmListResponse, error) {
	return &machine.EtcdAlarmListResponse{Messages: []*machine.EtcdAlarm{{}}}, nil
}
