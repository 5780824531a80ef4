package talosapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// onlyControlPlane refuses what workers do not have (Talos v1.13.9
// internal/app/internal/machinehelper).
func onlyControlPlane(ctx context.Context, st state.State, api string) error {
	kind, err := safe.StateGetByID[*config.MachineType](ctx, st, config.MachineTypeID)
	switch {
	case state.IsNotFoundError(err):
		return status.Errorf(codes.Unimplemented, "machine type is not set, cannot use %s API", api)
	case err != nil:
		return fmt.Errorf("failed to get machine type: %w", err)
	case !kind.MachineType().IsControlPlane():
		return status.Errorf(codes.Unimplemented, "%s is only available on control plane nodes", api)
	}
	return nil
}

// member returns a client of the node's own member.
func (s *machineService) member(ctx context.Context, api string) (*clientv3.Client, error) {
	if err := onlyControlPlane(ctx, s.cfg.State, api); err != nil {
		return nil, err
	}
	client, err := s.cfg.Etcd()
	if err != nil {
		return nil, fmt.Errorf("failed to create etcd client: %w", err)
	}
	return client, nil
}

// members returns a client of any member of the cluster, which the caller
// ends with done.
func (s *machineService) members(ctx context.Context, api string) (client *clientv3.Client, done func(), err error) {
	if err := onlyControlPlane(ctx, s.cfg.State, api); err != nil {
		return nil, nil, err
	}
	if client, err = s.cfg.EtcdCluster(); err != nil {
		return nil, nil, fmt.Errorf("failed to create etcd client: %w", err)
	}
	return client, func() { _ = client.Close() }, nil
}

// EtcdMemberList returns the members as the cluster has them, or this node's
// member if query_local is set. Either way the read is linearizable and needs
// a leader.
func (s *machineService) EtcdMemberList(ctx context.Context, req *machine.EtcdMemberListRequest) (*machine.EtcdMemberListResponse, error) {
	ask := s.members
	if req.GetQueryLocal() {
		ask = func(ctx context.Context, api string) (*clientv3.Client, func(), error) {
			client, err := s.member(ctx, api)
			return client, func() {}, err
		}
	}
	client, done, err := ask(ctx, "member list")
	if err != nil {
		return nil, err
	}
	defer done()
	resp, err := client.MemberList(clientv3.WithRequireLeader(ctx))
	if err != nil {
		return nil, err
	}
	reply := &machine.EtcdMembers{}
	for _, m := range resp.Members {
		reply.LegacyMembers = append(reply.LegacyMembers, m.Name)
		reply.Members = append(reply.Members, &machine.EtcdMember{
			Id: m.ID, Hostname: m.Name, PeerUrls: m.PeerURLs, ClientUrls: m.ClientURLs, IsLearner: m.IsLearner,
		})
	}
	return &machine.EtcdMemberListResponse{Messages: []*machine.EtcdMembers{reply}}, nil
}

// EtcdRemoveMemberByID removes a member from the cluster. What is left on its
// node is the node's business.
func (s *machineService) EtcdRemoveMemberByID(ctx context.Context, req *machine.EtcdRemoveMemberByIDRequest) (*machine.EtcdRemoveMemberByIDResponse, error) {
	client, done, err := s.members(ctx, "etcd remove member")
	if err != nil {
		return nil, err
	}
	defer done()
	_, err = client.MemberRemove(clientv3.WithRequireLeader(ctx), req.GetMemberId())
	switch {
	case errors.Is(err, rpctypes.ErrMemberNotFound):
		return nil, status.Errorf(codes.NotFound, "failed to remove member %d: %v", req.GetMemberId(), err)
	case err != nil:
		return nil, fmt.Errorf("failed to remove member: failed to remove member %d: %w", req.GetMemberId(), err)
	}
	return &machine.EtcdRemoveMemberByIDResponse{Messages: []*machine.EtcdRemoveMemberByID{{}}}, nil
}

// EtcdStatus returns the state of this node's member. It works without quorum.
func (s *machineService) EtcdStatus(ctx context.Context, _ *emptypb.Empty) (*machine.EtcdStatusResponse, error) {
	client, err := s.member(ctx, "etcd status")
	if err != nil {
		return nil, err
	}
	st, err := client.Status(ctx, client.Endpoints()[0])
	if err != nil {
		return nil, fmt.Errorf("failed to query etcd status: %w", err)
	}
	return &machine.EtcdStatusResponse{Messages: []*machine.EtcdStatus{{MemberStatus: &machine.EtcdMemberStatus{
		MemberId:         st.Header.GetMemberId(),
		ProtocolVersion:  st.Version,
		StorageVersion:   st.StorageVersion,
		DbSize:           st.DbSize,
		DbSizeInUse:      st.DbSizeInUse,
		Leader:           st.Leader,
		RaftIndex:        st.RaftIndex,
		RaftTerm:         st.RaftTerm,
		RaftAppliedIndex: st.RaftAppliedIndex,
		Errors:           st.Errors,
		IsLearner:        st.IsLearner,
	}}}}, nil
}

// EtcdAlarmList returns the alarms that are raised. It asks for consensus, and
// hangs without quorum.
func (s *machineService) EtcdAlarmList(ctx context.Context, _ *emptypb.Empty) (*machine.EtcdAlarmListResponse, error) {
	client, err := s.member(ctx, "etcd alarm list")
	if err != nil {
		return nil, err
	}
	resp, err := client.AlarmList(ctx)
	if err != nil {
		return nil, fmt.Errorf("failed to list etcd alarms: %w", err)
	}
	return &machine.EtcdAlarmListResponse{Messages: []*machine.EtcdAlarm{{MemberAlarms: alarms(resp.Alarms)}}}, nil
}

// EtcdAlarmDisarm disarms every alarm and returns those that there were.
func (s *machineService) EtcdAlarmDisarm(ctx context.Context, _ *emptypb.Empty) (*machine.EtcdAlarmDisarmResponse, error) {
	client, err := s.member(ctx, "etcd alarm disarm")
	if err != nil {
		return nil, err
	}
	resp, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	if err != nil {
		return nil, fmt.Errorf("failed to disarm etcd alarm: %w", err)
	}
	return &machine.EtcdAlarmDisarmResponse{Messages: []*machine.EtcdAlarmDisarm{{MemberAlarms: alarms(resp.Alarms)}}}, nil
}

func alarms(list []*etcdserverpb.AlarmMember) []*machine.EtcdMemberAlarm {
	kinds := map[etcdserverpb.AlarmType]machine.EtcdMemberAlarm_AlarmType{
		etcdserverpb.AlarmType_NOSPACE: machine.EtcdMemberAlarm_NOSPACE,
		etcdserverpb.AlarmType_CORRUPT: machine.EtcdMemberAlarm_CORRUPT,
	}
	var all []*machine.EtcdMemberAlarm
	for _, a := range list {
		all = append(all, &machine.EtcdMemberAlarm{MemberId: a.GetMemberID(), Alarm: kinds[a.GetAlarm()]})
	}
	return all
}

// EtcdDefragment defragments this node's member, which answers nothing else
// meanwhile.
func (s *machineService) EtcdDefragment(ctx context.Context, _ *emptypb.Empty) (*machine.EtcdDefragmentResponse, error) {
	client, err := s.member(ctx, "etcd defragment")
	if err != nil {
		return nil, err
	}
	if _, err := client.Defragment(ctx, client.Endpoints()[0]); err != nil {
		return nil, fmt.Errorf("failed to defragment etcd: %w", err)
	}
	return &machine.EtcdDefragmentResponse{Messages: []*machine.EtcdDefragment{{}}}, nil
}

// EtcdForfeitLeadership makes another voter the leader, if this node's member
// leads; else it answers with no member.
func (s *machineService) EtcdForfeitLeadership(ctx context.Context, _ *machine.EtcdForfeitLeadershipRequest) (*machine.EtcdForfeitLeadershipResponse, error) {
	client, err := s.member(ctx, "etcd forfeit leadership")
	if err != nil {
		return nil, err
	}
	ctx = clientv3.WithRequireLeader(ctx)
	to, err := forfeit(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("failed to forfeit leadership: %w", err)
	}
	return &machine.EtcdForfeitLeadershipResponse{Messages: []*machine.EtcdForfeitLeadership{{Member: to}}}, nil
}

// forfeit moves the leadership away from the client's member, if it leads, and
// returns the name of the new leader.
func forfeit(ctx context.Context, client *clientv3.Client) (string, error) {
	resp, err := client.MemberList(ctx)
	if err != nil {
		return "", fmt.Errorf("failed to list etcd members: %w", err)
	}
	if len(resp.Members) == 1 {
		return "", errors.New("cannot forfeit leadership, only one member")
	}
	st, err := client.Status(ctx, client.Endpoints()[0])
	if err != nil {
		return "", err
	}
	self := st.Header.GetMemberId()
	if st.Leader != self {
		return "", nil
	}
	// The first other one, a learner too: then etcd refuses, as on Talos.
	i := slices.IndexFunc(resp.Members, func(m *etcdserverpb.Member) bool { return m.ID != self })
	_, err = client.MoveLeader(ctx, resp.Members[i].ID)
	switch {
	case errors.Is(err, rpctypes.ErrNotLeader): // not any more
		return "", nil
	case err != nil:
		return "", err
	}
	return resp.Members[i].Name, nil
}
