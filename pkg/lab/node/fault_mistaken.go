//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	etcdres "github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
)

// Two faults in which a VIP is mistaken for an address of the node's own.

// peerVIPFile is the file on the machine's disk that names the VIP that its
// etcd advertises, if it does.
func (m *machine) peerVIPFile() string { return m.path("etcd-peer-vip") }

// advertised returns the addresses at which the node's etcd tells its peers to
// find it: its own and, by the fault, a VIP.
func (m *machine) advertised() []netip.Addr {
	addrs := []netip.Addr{m.cfg.Addr.Addr()}
	text, err := os.ReadFile(m.peerVIPFile())
	if err != nil {
		return addrs // as a rule there is none
	}
	if vip, err := netip.ParseAddr(string(text)); err == nil {
		addrs = append(addrs, vip)
	}
	return addrs
}

// advertiseVIP makes the VIP one of the peer URLs of the node's etcd member, as
// Talos did that did not tell it from the node's addresses. etcd lets one
// member have it at a time. Its own URL stays, and so the cluster is healthy:
// peers that try the VIP find nobody there who listens for them.
func (f *faults) advertiseVIP(ctx context.Context, args faultArgs) error {
	vip, err := f.vip(args[argVIP])
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.m.peerVIPFile(), []byte(vip.String()), 0o600); err != nil {
		return err
	}
	if err := f.updatePeers(ctx); err != nil {
		return errors.Join(err, os.Remove(f.m.peerVIPFile()))
	}
	f.m.publishAdvertised()
	return nil
}

// advertiseOwn takes that back.
func (f *faults) advertiseOwn(ctx context.Context, _ faultArgs) error {
	if err := os.Remove(f.m.peerVIPFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.updatePeers(ctx); err != nil {
		return err
	}
	f.m.publishAdvertised()
	return nil
}

// updatePeers gives the node's member the peer URLs of the advertised
// addresses, as Talos's etcd.AdvertisedPeerController does.
func (f *faults) updatePeers(ctx context.Context) error {
	var urls []string
	for _, a := range f.m.advertised() {
		urls = append(urls, etcd.PeerURL(a))
	}
	return f.withOwnMember(ctx, func(client *clientv3.Client, id uint64) error {
		return insist(ctx, func() error {
			if _, err := client.MemberUpdate(ctx, id, urls); err != nil {
				return fmt.Errorf("update the member: %w", err)
			}
			return nil
		})
	})
}

func (m *machine) publishAdvertised() {
	put(m, "etcd.SpecController", etcdres.NewSpec(etcdres.NamespaceName, etcdres.SpecID), func(r *etcdres.Spec) {
		r.TypedSpec().AdvertisedAddresses = m.advertised()
	})
}

// nodeIP is the address that the kubelet takes for the node's.
func (m *machine) nodeIP() netip.Addr {
	if vip := m.mistaken.Load(); vip != nil {
		return *vip
	}
	return m.cfg.Addr.Addr()
}

func (m *machine) publishNodeIP() {
	put(m, "k8s.NodeIPController", k8s.NewNodeIP(k8s.NamespaceName, k8s.KubeletID), func(r *k8s.NodeIP) {
		r.TypedSpec().Addresses = []netip.Addr{m.nodeIP()}
	})
}

// mistakeVIP makes the VIP the node's address to the kubelet. On Talos the
// kubelet is started anew for that, and an owner lets go; here it goes on.
func (f *faults) mistakeVIP(_ context.Context, args faultArgs) error {
	vip, err := f.vip(args[argVIP])
	if err != nil {
		return err
	}
	f.m.mistaken.Store(&vip)
	f.m.publishNodeIP()
	return nil
}

func (f *faults) ownNodeIP(context.Context, faultArgs) error {
	f.m.mistaken.Store(nil)
	f.m.publishNodeIP()
	return nil
}
