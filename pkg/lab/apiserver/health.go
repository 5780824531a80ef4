//go:build linux

package apiserver

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/singleflight"
)

const (
	// etcdTimeout is how long etcd may take to answer (kube-apiserver's
	// default for --etcd-readycheck-timeout and --etcd-healthcheck-timeout).
	etcdTimeout = 2 * time.Second
	// healthKey is the key that kube-apiserver reads.
	healthKey = "/registry/health"
)

// health asks the node's etcd for a linearizable read, which a quorum must
// confirm. Requests that come while a read is under way share its answer: it
// is never older than the request by more than the read takes.
type health struct {
	client *clientv3.Client
	flight singleflight.Group
}

func newHealth(client *clientv3.Client) *health { return &health{client: client} }

// check returns nil once etcd has answered, or why it has not, after
// etcdTimeout at the latest.
func (h *health) check(ctx context.Context) error {
	result := h.flight.DoChan(healthKey, func() (any, error) {
		// Not the first request's context: others wait for the answer too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), etcdTimeout)
		defer cancel()
		_, err := h.client.Get(ctx, healthKey)
		return nil, err
	})
	select {
	case r := <-result:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}
