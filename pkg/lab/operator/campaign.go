//go:build linux

package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// campaign runs for the VIP once: it waits for the node's preconditions and
// for its turn, carries the address, and gives up. The deferred calls are the
// order of giving up, last one first: address, resignation, lease, client,
// gate. It returns nil after a give-up that nothing was wrong with.
func (o *operator) campaign(ctx context.Context) error {
	if err := o.Gate.Enter(ctx); err != nil {
		return fmt.Errorf("wait for preconditions: %w", err)
	}
	defer o.cleanup(ctx, "leave the kubelet's lifecycle", o.Gate.Leave)

	// Ends what this campaign has going in the background, on every way out.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var err error
	if o.name, err = o.Hostname(); err != nil || o.name == "" {
		return errors.Join(errors.New("refusing to join election without a hostname"), err)
	}
	client, err := o.Client(ctx)
	if err != nil {
		return fmt.Errorf("local etcd client: %w", err)
	}
	defer func() { _ = client.Close() }()

	session, err := concurrency.NewSession(client,
		concurrency.WithTTL(int(o.TTL/time.Second)), concurrency.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("etcd session: %w", err)
	}
	o.record(truth.LeaseGranted, leaseID(session))
	defer o.revoke(ctx, session)

	election := concurrency.NewElection(session, ElectionPrefix(o.VIP))
	if err := o.resignPrevious(ctx, client, election); err != nil {
		return err
	}
	won, err := o.awaitTurn(ctx, session, election)
	if err != nil || !won {
		return err
	}
	return o.own(ctx, session, election)
}

// resignPrevious ends an election that this host name still leads, for
// example from before a crash, so that nobody waits for its lease to expire.
func (o *operator) resignPrevious(ctx context.Context, client *clientv3.Client, election *concurrency.Election) error {
	leader, err := election.Leader(ctx)
	if errors.Is(err, concurrency.ErrElectionNoLeader) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("current owner: %w", err)
	}
	kv := leader.Kvs[0]
	if string(kv.Value) != o.name {
		return nil
	}
	o.Log.Info("resigning from previous election")
	if err := o.deleteKey(ctx, client, string(kv.Key), kv.CreateRevision); err != nil {
		return fmt.Errorf("resign from previous election: %w", err)
	}
	return nil
}

// awaitTurn enters the queue, which is ordered by the keys' create revisions,
// and waits for its head. It returns false if the candidate gave up.
func (o *operator) awaitTurn(ctx context.Context, session *concurrency.Session, election *concurrency.Election) (bool, error) {
	turn := make(chan error, 1) // buffered: nobody waits for it after a give-up
	campaign := ctx
	if o.LeavesLease { // etcd's client would delete the key when ctx ends
		campaign = context.WithoutCancel(ctx)
	}
	go func(name string) { turn <- election.Campaign(campaign, name) }(o.name)
	select {
	case err := <-turn:
		if err != nil {
			return false, fmt.Errorf("campaign: %w", err)
		}
		return true, nil
	case <-session.Done():
		o.lostLease(ctx, session)
		return false, nil
	case <-ctx.Done():
		return false, nil
	case <-o.lostWaiting(ctx):
		return false, nil
	}
}

// own carries the address until there is a reason to let go.
func (o *operator) own(ctx context.Context, session *concurrency.Session, election *concurrency.Election) error {
	o.record(truth.Elected, election.Key())
	defer o.resign(ctx, session.Client(), election)
	if sessionDone(session) {
		// The lease went while we waited: the queue fell to us for an instant,
		// on a key that is gone already.
		o.lostLease(ctx, session)
		return nil
	}
	lost := o.Gate.Lost(ctx) // before others can see the address and act on it
	if err := o.takeAddress(); err != nil {
		return err
	}
	o.Log.Info("enabled shared IP")
	o.awaitReasonToLetGo(ctx, session, election, lost)
	o.Log.Info("removing shared IP")
	if ctx.Err() != nil {
		return nil // stopped: the address waits for the resignation
	}
	return o.dropAddress()
}

// awaitReasonToLetGo watches the session, the election and the gate.
func (o *operator) awaitReasonToLetGo(ctx context.Context, session *concurrency.Session, election *concurrency.Election, lost <-chan struct{}) {
	observed := election.Observe(ctx)
	for {
		select {
		case <-session.Done():
			o.lostLease(ctx, session)
			return
		case <-ctx.Done():
			return
		case <-lost:
			return
		case response, ok := <-observed:
			if !ok {
				return
			}
			if leader := leaderOf(response); leader != o.name {
				o.Log.Info("detected new leader", "leader", leader)
				return
			}
		}
	}
}

func leaderOf(response clientv3.GetResponse) string { return string(response.Kvs[0].Value) }

func (o *operator) lostWaiting(ctx context.Context) <-chan struct{} {
	if gate, ok := o.Gate.(CandidateGate); ok {
		return gate.LostWaiting(ctx)
	}
	return o.Gate.Lost(ctx)
}
