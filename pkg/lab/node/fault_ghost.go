//go:build linux

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/operator"
)

// campaigns are the etcd clients of the node's VIP operators.
type campaigns struct {
	mu      sync.Mutex // guards clients
	clients map[netip.Addr]*clientv3.Client
}

// note keeps the client of the VIP's campaign that begins.
func (c *campaigns) note(vip netip.Addr, client *clientv3.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients == nil {
		c.clients = map[netip.Addr]*clientv3.Client{}
	}
	c.clients[vip] = client
}

// abandon cuts a campaign off from etcd, so that it leaves its key and its
// lease behind. The operator campaigns anew.
func (c *campaigns) abandon(vip netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if client := c.clients[vip]; client != nil {
		_ = client.ActiveConnection().Close() // first, or the campaign's last request may pass
		_ = client.Close()
	}
}

// ghost is a key in an election's queue that no operator stands behind.
type ghost struct {
	client *clientv3.Client // keeps its lease alive; nil if there is none
	lease  clientv3.LeaseID
}

// leaveGhost leaves a key in the VIP's election and keeps its lease alive.
//
// A candidate's own key stays in its place in the queue, while its operator
// queues up anew: what Talos before v1.12.11 and v1.13.8 did when a waiting
// operator was stopped. Where the node is the owner, or no candidate, a key is
// added at the queue's end.
func (f *faults) leaveGhost(ctx context.Context, args faultArgs) (err error) {
	vip, err := f.vip(args[argVIP])
	if err != nil {
		return err
	}
	self, err := os.Hostname()
	if err != nil {
		return err
	}
	f.ghosts.client, err = f.etcd(true)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.end("ghost")
			_ = f.ghosts.client.Close()
		}
	}()
	name := cmp.Or(args[argHostname], self)
	key, err := waiting(ctx, f.ghosts.client, vip, self)
	switch {
	case err != nil:
		return err
	case key == nil:
		return f.queueGhost(ctx, vip, name)
	}
	f.ghosts.lease = clientv3.LeaseID(key.Lease)
	if err := f.keepGhost(ctx); err != nil {
		return err
	}
	f.m.campaigns.abandon(vip)
	if name == self {
		return nil
	}
	_, err = f.ghosts.client.Put(ctx, string(key.Key), name, clientv3.WithLease(f.ghosts.lease)) // keeps its place
	return err
}

// waiting returns the key by which the host waits in the VIP's election, nil
// if it leads or is not there.
func waiting(ctx context.Context, client *clientv3.Client, vip netip.Addr, host string) (*mvccpb.KeyValue, error) {
	queue, err := client.Get(ctx, operator.ElectionPrefix(vip)+"/", clientv3.WithPrefix(),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		return nil, fmt.Errorf("read the election: %w", err)
	}
	i := slices.IndexFunc(queue.Kvs, func(kv *mvccpb.KeyValue) bool { return string(kv.Value) == host })
	if i < 1 {
		return nil, nil
	}
	return queue.Kvs[i], nil
}

// queueGhost adds a key at the end of the queue.
func (f *faults) queueGhost(ctx context.Context, vip netip.Addr, name string) error {
	lease, err := f.ghosts.client.Grant(ctx, int64(f.m.cfg.LeaseTTL/time.Second))
	if err != nil {
		return err
	}
	f.ghosts.lease = lease.ID
	if err := f.keepGhost(ctx); err != nil {
		return err
	}
	key := fmt.Sprintf("%s/%x", operator.ElectionPrefix(vip), int64(lease.ID))
	_, err = f.ghosts.client.Put(ctx, key, name, clientv3.WithLease(lease.ID))
	return err
}

// keepGhost keeps the ghost's lease alive from now on.
func (f *faults) keepGhost(ctx context.Context) error {
	client, lease := f.ghosts.client, f.ghosts.lease
	if _, err := client.KeepAliveOnce(ctx, lease); err != nil {
		return fmt.Errorf("keep the lease alive: %w", err)
	}
	f.keep("ghost", func(ctx context.Context) {
		answers, err := client.KeepAlive(ctx, lease)
		if err != nil {
			f.m.log.Printf("keep the ghost's lease alive: %v", err)
			return
		}
		for range answers {
		}
	})
	return nil
}

// banGhost revokes the ghost's lease, and so deletes its key.
func (f *faults) banGhost(ctx context.Context, _ faultArgs) error {
	_, err := f.ghosts.client.Revoke(ctx, f.ghosts.lease)
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return err
	}
	f.end("ghost")
	_ = f.ghosts.client.Close() // nothing is left to ask
	f.ghosts = ghost{}
	return nil
}
