package commands

import (
	"context"
	"slices"
	"sync"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/talos"
)

// keepers have etcd's certificates. They are a *talos.Client.
type keepers interface {
	EtcdCredentials(ctx context.Context, node, via string) (*talos.EtcdCredentials, error)
}

// believe asks etcd anew where the certificates that came first are believed by too
// few: who gave them may be of another cluster, as after a bootstrap too many. Each
// node whose etcd refuses them is asked for its own, until with some of them a
// majority tells. Else the most count, and of as many those that came first.
//
// It returns whom to ask from then on.
func believe(ctx context.Context, nodes keepers, refuses func(cluster.Node) bool, open func(*talos.EtcdCredentials) (queues, error), first queues, snap *cluster.Snapshot) queues {
	few := func() bool { return 2*tellers(snap) <= len(snap.Nodes) }
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx) // who is too slow is not waited for
	defer cancel()
	offers, asked := make(chan *talos.EtcdCredentials, len(snap.Nodes)), 0
	for _, n := range snap.Nodes {
		if few() && refuses(n) {
			asked++
			wg.Go(func() {
				own, _ := nodes.EtcdCredentials(ctx, n.Name, n.Via)
				offers <- own // nil where it gives none: what others give may do
			})
		}
	}
	for ; asked > 0 && few(); asked-- {
		own := <-offers
		if own == nil {
			continue
		}
		etcd, err := open(own)
		if err != nil {
			continue
		}
		again := &cluster.Snapshot{Nodes: snap.Nodes, VIPs: slices.Clone(snap.VIPs)}
		etcd.Collect(ctx, again)
		if tellers(again) > tellers(snap) {
			first, snap.VIPs = etcd, again.VIPs
		}
	}
	return first
}

// tellers is how many nodes' etcd told of an election.
func tellers(snap *cluster.Snapshot) (n int) {
	for i := range snap.Nodes {
		if snap.ToldElection(snap.Nodes[i].Name) {
			n++
		}
	}
	return n
}
