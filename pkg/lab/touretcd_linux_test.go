package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"google.golang.org/grpc/codes"
)

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
