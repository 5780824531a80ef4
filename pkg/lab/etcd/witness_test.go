//go:build linux

package etcd_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// ttl is the shortest lease that etcd grants with its default timeouts.
const ttl = 2 * time.Second

// gather keeps what the members write from now on, as the lab's log does.
func gather(t *testing.T, members []*member) *truth.Log {
	t.Helper()
	log := &truth.Log{}
	for _, m := range members {
		go func() {
			for {
				select {
				case e := <-m.events:
					log.Record(e)
				case <-t.Context().Done():
					return
				}
			}
		}()
	}
	return log
}

// told returns the events of the kinds whose detail begins so, in their order.
func told(t *testing.T, log *truth.Log, detail string, kinds ...truth.Kind) (list []truth.Event) {
	t.Helper()
	for _, e := range log.Settled(t.Context()) {
		if slices.Contains(kinds, e.Kind) && len(e.Detail) >= len(detail) && e.Detail[:len(detail)] == detail {
			list = append(list, e)
		}
	}
	return list
}

// campaign wins an election through the member, and returns what ends it.
func campaign(ctx context.Context, t *testing.T, m *member) (*concurrency.Session, *concurrency.Election) {
	t.Helper()
	session, err := concurrency.NewSession(m.client(t), concurrency.WithTTL(int(ttl/time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	election := concurrency.NewElection(session, "talos:v1:vip:election:10.5.0.50")
	if err := election.Campaign(ctx, m.Name); err != nil {
		t.Fatal(err)
	}
	return session, election
}

func TestMembersTellExpiryFromResignation(t *testing.T) {
	members := newMembers(t, 3)
	for _, m := range members {
		m.start(t)
	}
	for _, m := range members {
		m.awaitReady(t)
	}
	log := gather(t, members)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends := []truth.Kind{truth.KeyWritten, truth.KeyDeleted, truth.LeaseExpired}
	for _, m := range members { // one of them leads
		session, election := campaign(ctx, t, m)
		lease, key := fmt.Sprintf("%x", int64(session.Lease())), election.Key()
		if err := election.Resign(ctx); err != nil {
			t.Fatal(err)
		}
		if err := session.Close(); err != nil { // revokes the lease
			t.Fatal(err)
		}
		got := told(t, log, key+" ("+m.Name+")", ends...)
		if len(got) != 2 || got[0].Kind != truth.KeyWritten || got[1].Kind != truth.KeyDeleted {
			t.Errorf("%s resigned: %v; want its key written and deleted, once each", m.Name, got)
		}

		session, election = campaign(ctx, t, m)
		lease2, key2 := fmt.Sprintf("%x", int64(session.Lease())), election.Key()
		time.Sleep(ttl) // kept alive meanwhile
		if _, err := session.Client().Revoke(ctx, session.Lease()); err != nil {
			t.Fatal(err)
		}
		if got := told(t, log, key2, ends...); len(got) != 2 || got[1].Kind != truth.KeyDeleted {
			t.Errorf("%s revoked its lease: %v; want its key written and deleted", m.Name, got)
		}
		for _, id := range []string{lease, lease2} {
			if got := told(t, log, id, truth.LeaseExpired); len(got) > 0 {
				t.Errorf("%s gave its lease up: %v; want no expiry", m.Name, got)
			}
		}

		session, election = campaign(ctx, t, m)
		holdsExpiry(t, log, m.Name, fmt.Sprintf("%x", int64(session.Lease())), election.Key(), session.Orphan)
	}
}

// holdsExpiry lets a lease expire and compares the instants.
func holdsExpiry(t *testing.T, log *truth.Log, name, lease, key string, orphan func()) {
	t.Helper()
	for end := time.Now().Add(patience); len(told(t, log, lease, truth.LeaseKeptAlive)) < 2; {
		if time.Now().After(end) {
			t.Fatalf("the lease of %s was not kept alive twice in %v", name, patience)
		}
	}
	orphan()
	gone := func() []truth.Event { return told(t, log, key, truth.KeyDeleted) }
	for end := time.Now().Add(patience); len(gone()) == 0; {
		if time.Now().After(end) {
			t.Fatalf("the key of %s is still there", name)
		}
	}
	kept, expired := told(t, log, lease, truth.LeaseKeptAlive), told(t, log, lease, truth.LeaseExpired)
	if len(kept) < 2 || len(expired) != 1 {
		t.Fatalf("%s went: kept alive %v, expired %v; want it kept alive, then expired once", name, kept, expired)
	}
	for _, k := range kept {
		if k.Node != name {
			t.Errorf("kept alive by %s; want %s, which was asked", k.Node, name)
		}
	}
	// etcd's lessor looks for expired leases every half second.
	age := expired[0].At - kept[len(kept)-1].At
	if age < ttl-100*time.Millisecond || age > ttl+2*time.Second {
		t.Errorf("the lease of %s expired %v after it was kept alive; want %v and up to a second more", name, age, ttl)
	}
	if deleted := gone()[0]; deleted.At > expired[0].At+time.Second || expired[0].At > deleted.At+time.Second {
		t.Errorf("the lease of %s expired at %v, its key went at %v; want that at once", name, expired[0].At, deleted.At)
	}
}
