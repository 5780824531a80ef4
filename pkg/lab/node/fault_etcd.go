//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
)

// raiseNoSpace raises the alarm that a member without disk space raises. etcd
// keeps it, and refuses every write to the cluster, until it is disarmed.
func (f *faults) raiseNoSpace(ctx context.Context, _ faultArgs) error {
	return f.withOwnMember(ctx, func(client *clientv3.Client, id uint64) error {
		_, err := etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Alarm(ctx, &etcdserverpb.AlarmRequest{
			Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: id, Alarm: etcdserverpb.AlarmType_NOSPACE,
		})
		return err
	})
}

func (f *faults) disarmNoSpace(ctx context.Context, _ faultArgs) error {
	return f.withOwnMember(ctx, func(client *clientv3.Client, id uint64) error {
		_, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: id, Alarm: etcdserverpb.AlarmType_NOSPACE})
		return err
	})
}

// withOwnMember does something about the node's member, which need not run.
func (f *faults) withOwnMember(ctx context.Context, do func(client *clientv3.Client, id uint64) error) error {
	client, err := f.etcd(true)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	member, err := findMember(ctx, client, etcd.PeerURL(f.m.cfg.Addr.Addr()))
	if err != nil {
		return err
	}
	if member == nil {
		return errors.New("the node's etcd is not a member of the cluster")
	}
	return do(client, member.ID)
}

// findMember returns the member with that peer URL, nil if there is none.
func findMember(ctx context.Context, client *clientv3.Client, peer string) (*etcdserverpb.Member, error) {
	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the members: %w", err)
	}
	i := slices.IndexFunc(list.Members, func(m *etcdserverpb.Member) bool { return slices.Contains(m.PeerURLs, peer) })
	if i < 0 {
		return nil, nil
	}
	return list.Members[i], nil
}

// addLearner adds a learner that nobody starts, as a join leaves it that was
// given up. etcd refuses a second one (--max-learners is 1), and refuses for a
// while after a member was out of reach.
func (f *faults) addLearner(ctx context.Context, _ faultArgs) error {
	client, err := f.etcd(true)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return insist(ctx, func() error {
		_, err := client.MemberAddAsLearner(ctx, []string{f.learnerURL()})
		return err
	})
}

// removeLearner removes it; that somebody did so already is fine.
func (f *faults) removeLearner(ctx context.Context, _ faultArgs) error {
	client, err := f.etcd(true)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	learner, err := findMember(ctx, client, f.learnerURL())
	if err != nil || learner == nil {
		return err
	}
	_, err = client.MemberRemove(ctx, learner.ID)
	return err
}

// learnerURL is where nobody is: the highest of the segment's addresses that
// is no VIP. The same in each boot.
func (f *faults) learnerURL() string {
	last := lastAddr(f.m.cfg.Addr).Prev() // the last one is the broadcast address
	for slices.Contains(f.m.cfg.AllVIPs, last) {
		last = last.Prev()
	}
	return etcd.PeerURL(last)
}

// lastAddr returns the prefix's last address.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(b) // as long as it was
	return last
}
