package talosapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/types/known/emptypb"
)

// EtcdMemberList returns the members as this node's member has them. Unless
// query_local is set, the read is linearizable and needs a leader.
func (s *machineService) EtcdMemberList(ctx context.Context, req *machine.EtcdMemberListRequest) (*machine.EtcdMemberListResponse, error) {
	client, err := s.cfg.Etcd()
	if err != nil {
		return nil, err
	}
	var opts []clientv3.OpOption
	if req.GetQueryLocal() {
		opts = append(opts, clientv3.WithSerializable())
	}
	resp, err := client.MemberList(ctx, opts...)
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

// EtcdStatus returns the state of this node's member. It works without quorum.
func (s *machineService) EtcdStatus(ctx context.Context, _ *emptypb.Empty) (*machine.EtcdStatusResponse, error) {
	client, err := s.cfg.Etcd()
	if err != nil {
		return nil, err
	}
	st, err := client.Status(ctx, client.Endpoints()[0])
	if err != nil {
		return nil, err
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
	client, err := s.cfg.Etcd()
	if err != nil {
		return nil, err
	}
	resp, err := client.AlarmList(ctx)
	if err != nil {
		return nil, err
	}
	reply := &machine.EtcdAlarm{}
	for _, a := range resp.Alarms {
		kind := machine.EtcdMemberAlarm_NONE
		switch a.Alarm {
		case etcdserverpb.AlarmType_NOSPACE:
			kind = machine.EtcdMemberAlarm_NOSPACE
		case etcdserverpb.AlarmType_CORRUPT:
			kind = machine.EtcdMemberAlarm_CORRUPT
		}
		reply.MemberAlarms = append(reply.MemberAlarms, &machine.EtcdMemberAlarm{MemberId: a.MemberID, Alarm: kind})
	}
	return &machine.EtcdAlarmListResponse{Messages: []*machine.EtcdAlarm{reply}}, nil
}

// EtcdForfeitLeadership makes another voter the leader, if this node's member
// leads; else it answers with no member.
func (s *machineService) EtcdForfeitLeadership(ctx context.Context, _ *machine.EtcdForfeitLeadershipRequest) (*machine.EtcdForfeitLeadershipResponse, error) {
	client, err := s.cfg.Etcd()
	if err != nil {
		return nil, err
	}
	st, err := client.Status(ctx, client.Endpoints()[0])
	if err != nil {
		return nil, err
	}
	reply := &machine.EtcdForfeitLeadership{}
	if self := st.Header.GetMemberId(); st.Leader == self {
		if reply.Member, err = transferLeadership(ctx, client, self); err != nil {
			return nil, err
		}
	}
	return &machine.EtcdForfeitLeadershipResponse{Messages: []*machine.EtcdForfeitLeadership{reply}}, nil
}

// transferLeadership moves the leadership away from the member and returns
// the name of the new leader.
func transferLeadership(ctx context.Context, client *clientv3.Client, self uint64) (string, error) {
	resp, err := client.MemberList(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(resp.Members, func(m *etcdserverpb.Member) bool { return m.ID != self && !m.IsLearner })
	if i < 0 {
		return "", errors.New("cannot forfeit leadership, only one member")
	}
	if _, err := client.MoveLeader(ctx, resp.Members[i].ID); err != nil {
		return "", fmt.Errorf("failed to move leader: %w", err)
	}
	return resp.Members[i].Name, nil
}
