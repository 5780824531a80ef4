//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"golang.org/x/sync/errgroup"

	"github.com/vipctl/vipctl/pkg/talos"
)

// looks are ways to look at the owner. What a client reads of its talosconfig
// is read once, for all of them.
type looks struct {
	nodes []string
	file  *clientconfig.Config
	cfg   *talos.Config
}

func newLooks(nodes []string) (*looks, error) {
	file, err := clientconfig.Open(os.Getenv("TALOSCONFIG"))
	if err != nil {
		return nil, err
	}
	cfg, err := talos.Load(talos.Options{})
	return &looks{nodes: nodes, file: file, cfg: cfg}, err
}

// bare does what cannot be left out: to each node a connection, and a List of
// its addresses over that.
func (l *looks) bare(ctx context.Context) error {
	var all errgroup.Group
	for _, node := range l.nodes {
		all.Go(func() error {
			api, err := talosclient.New(ctx, talosclient.WithConfig(l.file), talosclient.WithEndpoints(node))
			if err != nil {
				return err
			}
			defer func() { _ = api.Close() }()
			found, err := safe.StateList[*network.AddressStatus](ctx, api.COSI,
				resource.NewMetadata(network.NamespaceName, network.AddressStatusType, "", resource.VersionUndefined))
			if err == nil && found.Len() == 0 {
				err = fmt.Errorf("%s has no address", node)
			}
			return err
		})
	}
	return all.Wait()
}

// witness asks for what the address witness rests on, and finds the nodes by
// itself, which the bare client need not.
func (l *looks) witness(ctx context.Context) error { return l.collect(ctx, talos.Addresses) }

// facts asks for all that vipctl owner shows of the nodes.
func (l *looks) facts(ctx context.Context) error { return l.collect(ctx, talos.Ownership) }

// collect looks as vipctl does.
func (l *looks) collect(ctx context.Context, facts talos.Facts) (err error) {
	c, err := talos.New(l.cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	snap, err := c.Collect(ctx, talos.CollectOptions{Facts: facts})
	if err != nil {
		return err
	}
	if len(snap.Nodes) != len(l.nodes) || len(snap.VIPs) == 0 {
		return fmt.Errorf("%d nodes and %d VIPs were found; want %d nodes", len(snap.Nodes), len(snap.VIPs), len(l.nodes))
	}
	for _, n := range snap.Nodes {
		if !n.Addresses.Known() {
			return fmt.Errorf("%s: %s", n.Name, n.Addresses.Err())
		}
	}
	return nil
}
