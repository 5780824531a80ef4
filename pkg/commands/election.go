package commands

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/etcd"
	"github.com/vipctl/vipctl/pkg/talos"
)

// election is that etcd is asked for the queue of each VIP. Its methods do nothing on nil.
type election struct {
	streams *cli.Streams
	timeout time.Duration // for the nodes and etcd together
	warned  bool
}

// bindElection adds the flag of the commands that can ask etcd.
func (f *Factory) bindElection(fs *pflag.FlagSet) {
	fs.BoolVar(&f.flags.Election, "election", false, "read the election's queue from etcd as well (needs os:admin)")
}

// election is nil unless it was asked for.
func (f *Factory) election() *election {
	if !f.flags.Election {
		return nil
	}
	return &election{streams: f.Streams, timeout: f.flags.Timeout}
}

// facts adds what a prediction takes: who leads etcd.
func (e *election) facts(facts talos.Facts) talos.Facts {
	if e == nil {
		return facts
	}
	return facts | talos.Elections
}

// hustings are the elections that etcd is being asked for. Their methods do
// nothing on nil.
type hustings struct {
	snap *cluster.Snapshot // its own, with the same nodes and VIPs
	done chan struct{}     // closed once snap is whole
}

// begin asks for the elections of the snapshot's VIPs, in what is left of the
// timeout since the snapshot was begun. Where etcd cannot be asked at all, every
// node's view says why.
func (e *election) begin(ctx context.Context, nodes *talos.Client, of *cluster.Snapshot) *hustings {
	if e == nil {
		return nil
	}
	h := &hustings{done: make(chan struct{}), snap: &cluster.Snapshot{Nodes: slices.Clone(of.Nodes), VIPs: slices.Clone(of.VIPs)}}
	end := of.TakenAt.Add(e.timeout)
	if late := time.Now().Add(grace); end.Before(late) {
		end = late
	}
	go func() {
		defer close(h.done)
		ctx, cancel := context.WithDeadline(ctx, end)
		defer cancel()
		client, err := connectEtcd(ctx, nodes, end)
		if err != nil {
			e.missed(h.snap, err)
			return
		}
		client.Collect(ctx, h.snap)
	}()
	return h
}

// fill waits for the answers and writes them into the snapshot.
func (h *hustings) fill(snap *cluster.Snapshot) {
	if h == nil {
		return
	}
	<-h.done
	for i := range snap.VIPs {
		snap.VIPs[i].Elections = h.snap.VIPs[i].Elections
	}
}

// connectEtcd turns the certificate that the nodes give into a client of their
// etcd.
func connectEtcd(ctx context.Context, nodes *talos.Client, end time.Time) (*etcd.Client, error) {
	credentials, err := nodes.EtcdCredentials(ctx)
	if err != nil {
		return nil, err
	}
	return etcd.New(credentials.TLS(), max(time.Until(end), time.Millisecond))
}

// missed writes into the snapshot that nobody's etcd was asked, and on stderr,
// once, what would help.
func (e *election) missed(snap *cluster.Snapshot, err error) {
	for i := range snap.VIPs {
		views := make([]cluster.ElectionView, len(snap.Nodes))
		for j, n := range snap.Nodes {
			views[j] = cluster.ElectionView{Node: n.Name, Election: cluster.Missed[cluster.Election](err)}
		}
		snap.VIPs[i].Elections = views
	}
	if e.warned || errors.Is(err, context.Canceled) {
		return
	}
	e.warned = true
	e.streams.Errorf("warning: the election was not asked for: %v", err)
	if hint := cli.HintOf(err); hint != "" {
		e.streams.Errorf("hint: %s", hint)
	}
}
