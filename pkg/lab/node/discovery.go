//go:build linux

package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/protobuf/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/vipctl/vipctl/pkg/lab/talosapi"
)

// discoveryRetry is the pause before a peer that did not answer is asked again.
const discoveryRetry = 2 * time.Second

// discovery keeps the other nodes' entries among the members. It stands in for
// Talos's discovery service: each node asks the others for their addresses
// over the Talos API. Like the service, it keeps what it knew last of a node
// that is silent.
type discovery struct {
	m   *machine
	tls *tls.Config
}

// run asks every peer until the context ends.
func (d *discovery) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range slices.Concat(d.m.cfg.Peers, d.m.cfg.Workers) {
		if p.Name != d.m.cfg.Name {
			wg.Go(func() { d.follow(ctx, p) })
		}
	}
	wg.Wait()
}

func (d *discovery) follow(ctx context.Context, p Peer) {
	for ctx.Err() == nil {
		_ = d.watch(ctx, p) // a peer that is silent is no news
		pause(ctx, discoveryRetry)
	}
}

// watch follows the peer's addresses until that fails.
func (d *discovery) watch(ctx context.Context, p Peer) error {
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(p.Addr.String(), strconv.Itoa(talosapi.Port)),
		grpc.WithTransportCredentials(credentials.NewTLS(d.tls)), grpc.WithContextDialer(dialAlive))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, talosapi.ReaderMetadata()...))
	defer cancel()
	peer := state.WrapCore(client.NewAdapter(cosiv1alpha1.NewStateClient(conn), client.WithDisableWatchRetry()))
	events := make(chan safe.WrappedStateEvent[*network.NodeAddress])
	ptr := network.NewNodeAddress(network.NamespaceName, network.FilteredNodeAddressID(network.NodeAddressCurrentID, "no-k8s")).Metadata()
	if err := safe.StateWatch(ctx, peer, ptr, events); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-events:
			if err := e.Error(); err != nil {
				return err
			}
			if e.Type() != state.Created && e.Type() != state.Updated {
				continue
			}
			r, err := e.Resource()
			if err != nil {
				return fmt.Errorf("addresses of %s: %w", p.Name, err)
			}
			d.m.publishMember(p, r.TypedSpec().Addresses)
		}
	}
}

// dialAlive connects so that a peer whose power was cut is noticed, within 15 s
// of its silence or when it is back. gRPC's own pings would be refused.
func dialAlive(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 2}}
	return d.DialContext(ctx, "tcp", addr)
}
