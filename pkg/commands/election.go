package commands

import (
	"context"
	"errors"
	"slices"
	"sync"
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
	timeout time.Duration // for each answer
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

// hustings are the elections that etcd is asked for in one look. Their methods
// do nothing on nil.
type hustings struct {
	*election
	ctx    context.Context //nolint:containedctx // of the look
	round  *etcd.Round
	client *etcd.Client // nil until a node gave the certificate
}

// begin asks for elections until ctx ends: as soon as a node has given etcd's
// certificates, of each VIP and node that becomes known.
func (e *election) begin(ctx context.Context) *hustings {
	if e == nil {
		return nil
	}
	return &hustings{election: e, ctx: ctx, round: etcd.NewRound(ctx)}
}

// open returns what is told of etcd's certificates, nil where nobody asks.
func (h *hustings) open() func(*talos.EtcdCredentials, error) {
	if h == nil {
		return nil
	}
	return func(credentials *talos.EtcdCredentials, err error) {
		if err == nil {
			h.client, err = etcd.New(credentials.TLS(), h.timeout)
		}
		if err != nil {
			h.missed(err)
		}
		h.round.Open(h.client, err)
	}
}

// learned begins to ask about what became known.
func (h *hustings) learned(news talos.Learned) {
	if h == nil {
		return
	}
	for _, addr := range news.VIPs {
		h.round.VIP(addr)
	}
	for _, addr := range news.Nodes {
		h.round.Node(addr)
	}
}

// fill waits for the answers and writes them into the snapshot; and asks again
// about what might be the trace of a change.
func (h *hustings) fill(nodes *talos.Client, snap *cluster.Snapshot) {
	if h == nil {
		return
	}
	h.round.Fill(snap)
	if h.client == nil {
		return
	}
	refuses := func(n cluster.Node) bool { return h.round.Distrusts(n.Addr) }
	settle(h.ctx, nodes, believe(h.ctx, nodes, refuses, h.with, h.client, snap), snap)
}

// with asks etcd with these certificates.
func (h *hustings) with(credentials *talos.EtcdCredentials) (queues, error) {
	return etcd.New(credentials.TLS(), h.timeout)
}

// campaigners are asked whether they campaign. They are a *talos.Client.
type campaigners interface {
	Campaigns(ctx context.Context, node, via string) cluster.Seen[[]string]
}

// queues are asked for on the nodes of a snapshot. They are an *etcd.Client's.
type queues interface {
	Collect(context.Context, *cluster.Snapshot)
}

// settle asks again while there are new candidates that do not campaign.
func settle(ctx context.Context, nodes campaigners, etcd queues, snap *cluster.Snapshot) {
	for range settleTimes {
		before := snap.Idle()
		if len(before) == 0 || ctx.Err() != nil {
			return
		}
		askAgain(ctx, nodes, etcd, snap, before)
		came := func(one cluster.Idle) bool { return !slices.Contains(before, one) }
		if !slices.ContainsFunc(snap.Idle(), came) {
			return
		}
	}
}

// settleTimes is how often to ask again while candidates come and go.
const settleTimes = 3

// askAgain asks the idle candidates once more whether they campaign, and then
// for the queue.
//
// The queue and the nodes are asked side by side. A node that just joined may
// have been asked before it did, and one that just let go, after. But Talos has
// its finalizer from before its key is written until after that is deleted: a key
// that is there both before and after its node said that it does not campaign is
// nobody's.
func askAgain(ctx context.Context, nodes campaigners, etcd queues, snap *cluster.Snapshot, idle []cluster.Idle) {
	var wg sync.WaitGroup
	each := func(do func(*cluster.Node)) {
		for i := range snap.Nodes {
			if n := &snap.Nodes[i]; slices.ContainsFunc(idle, func(one cluster.Idle) bool { return one.Node == n.Name }) {
				wg.Go(func() { do(n) })
			}
		}
		wg.Wait()
	}
	each(func(n *cluster.Node) { n.Campaigns = nodes.Campaigns(ctx, n.Name, n.Via) })
	again := &cluster.Snapshot{VIPs: slices.Clone(snap.VIPs)}
	for _, n := range snap.Nodes {
		if snap.ToldElection(n.Name) {
			again.Nodes = append(again.Nodes, n)
		}
	}
	etcd.Collect(ctx, again)
	if !snap.Renew(again) {
		each(func(n *cluster.Node) { n.Campaigns = cluster.Missed[[]string](errNoSecondQueue) })
	}
}

// errNoSecondQueue is why it is not known of an idle candidate whether it
// campaigns: without a second queue its word cannot be weighed.
var errNoSecondQueue = errors.New("etcd told no queue after it was asked")

// missed says on stderr, once, why nobody's etcd is asked, and what would help.
func (e *election) missed(err error) {
	if e.warned || errors.Is(err, context.Canceled) {
		return
	}
	e.warned = true
	e.streams.Errorf("warning: the election was not asked for: %v", err)
	if hint := cli.HintOf(err); hint != "" {
		e.streams.Errorf("hint: %s", hint)
	}
}
