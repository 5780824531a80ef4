//go:build linux

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strconv"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
)

// removeMember removes the node's member, as `talosctl etcd remove-member` on
// another node does: etcd ends by itself, and again each time Talos starts it.
// The other members refuse while that would cost them the quorum.
func (f *faults) removeMember(ctx context.Context, _ faultArgs) error {
	client, err := f.etcd(false)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return f.expel(ctx, client)
}

// expel removes the node's member through the others, if it is one.
func (f *faults) expel(ctx context.Context, client *clientv3.Client) error {
	return insist(ctx, func() error {
		member, err := findMember(ctx, client, f.peerURL())
		if err != nil || member == nil {
			return err
		}
		_, err = client.MemberRemove(ctx, member.ID)
		return err
	})
}

func (f *faults) peerURL() string { return etcd.PeerURL(f.m.cfg.Addr.Addr()) }

// rejoin does what a Talos node does that was reset: with an empty data
// directory it is added as a learner, starts, and is promoted when it has
// caught up (v1.13.9 internal/app/machined/pkg/system/services/etcd.go).
// It may be done again when it failed halfway.
func (f *faults) rejoin(ctx context.Context, _ faultArgs) error {
	if f.m.sequencer.goingDown() {
		return errors.New("the machine is going down")
	}
	client, err := f.etcd(false)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	if !f.m.etcd.waitWanted(ctx) { // or the boot would start it in the midst of this
		return errors.New("etcd was not started yet, or is held down")
	}
	f.m.stopEtcd()
	if err := f.expel(ctx, client); err != nil {
		return fmt.Errorf("remove the old member: %w", err)
	}
	if err := os.RemoveAll(f.m.path("etcd")); err != nil {
		return err
	}
	var added *clientv3.MemberAddResponse
	err = insist(ctx, func() (err error) {
		added, err = client.MemberAddAsLearner(ctx, []string{f.peerURL()})
		return err
	})
	if err != nil {
		return fmt.Errorf("add the member: %w", err)
	}
	members, err := f.initialCluster(added.Members)
	if err != nil {
		return err
	}
	f.m.joining.Store(&members)
	f.m.startEtcd()
	err = insist(ctx, func() error {
		_, err := client.MemberPromote(ctx, added.Member.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("promote the member: %w", err)
	}
	return nil
}

// initialCluster returns the members as a joining one is told of them. One
// that never started has no name.
func (f *faults) initialCluster(members []*etcdserverpb.Member) ([]etcd.Peer, error) {
	var peers []etcd.Peer
	for _, m := range members {
		for _, peer := range m.PeerURLs {
			u, err := url.Parse(peer)
			if err != nil {
				return nil, err
			}
			at, err := netip.ParseAddrPort(u.Host)
			if err != nil {
				return nil, fmt.Errorf("peer URL %s: %w", peer, err)
			}
			name := cmp.Or(m.Name, strconv.FormatUint(m.ID, 16))
			if peer == f.peerURL() {
				name = f.m.cfg.Name
			}
			peers = append(peers, etcd.Peer{Name: name, Addr: at.Addr(), Port: at.Port()})
		}
	}
	return peers, nil
}
