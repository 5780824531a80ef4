//go:build linux

package operator

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// cleanup runs one step of giving up on a context of its own, which the end
// of ctx cannot reach, within Talos's time limit. A step that fails does not
// keep the next from being taken: etcd is expected to be out of reach when the
// node shuts down or is cut off.
func (o *operator) cleanup(ctx context.Context, step string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := do(ctx); err != nil {
		o.Log.Debug("failed to "+step, "error", err)
	}
}

// resign deletes the election's key, so that the next in the queue wins.
func (o *operator) resign(ctx context.Context, client *clientv3.Client, election *concurrency.Election) {
	o.cleanup(ctx, "resign", func(ctx context.Context) error {
		return o.deleteKey(ctx, client, election.Key(), election.Rev())
	})
}

// deleteKey deletes a key if it is still the one of that create revision. It
// is what concurrency.Election.Resign does, which does not say whether the key
// was there.
func (o *operator) deleteKey(ctx context.Context, client *clientv3.Client, key string, created int64) error {
	response, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", created)).
		Then(clientv3.OpDelete(key)).
		Commit()
	if err != nil {
		return err
	}
	if response.Succeeded {
		o.record(truth.Resigned, key)
	}
	return nil
}

// revoke stops to keep the lease alive and revokes it, which deletes what key
// is left of this campaign: a ghost in the queue would hold up the others for
// as long as its lease lasts. An old Talos revokes on a context that may have
// ended, and then fails.
func (o *operator) revoke(ctx context.Context, session *concurrency.Session) {
	if o.LeavesLease && ctx.Err() != nil {
		session.Orphan()
		return
	}
	o.cleanup(ctx, "revoke the lease", func(ctx context.Context) error {
		session.Orphan()
		if _, err := session.Client().Revoke(ctx, session.Lease()); err != nil {
			return err
		}
		o.record(truth.LeaseRevoked, leaseID(session))
		return nil
	})
}

// lostLease says that the client gave its lease up for lost: no keep-alive was
// answered in time, or etcd said that the lease is gone. A session that ended
// because ctx did was not lost.
func (o *operator) lostLease(ctx context.Context, session *concurrency.Session) {
	if ctx.Err() != nil {
		return
	}
	o.record(truth.LeaseLost, leaseID(session))
	o.Log.Info("etcd session closed")
}

func leaseID(session *concurrency.Session) string { return fmt.Sprintf("%x", int64(session.Lease())) }

func sessionDone(session *concurrency.Session) bool {
	select {
	case <-session.Done():
		return true
	default:
		return false
	}
}
