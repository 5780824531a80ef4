//go:build linux

package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"google.golang.org/grpc"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// electionPrefix begins the keys of every VIP's candidates (Talos v1.13.9
// network/operator/vip.go).
const electionPrefix = "talos:v1:vip:election:"

// lookEvery is how often the raft leader looks at leases that have less than a
// second left.
const lookEvery = 200 * time.Millisecond

// witness writes down what its member sees of elections: keys as the member
// applies them, and, while it leads, leases that expire.
//
// etcd does not say why it revoked a lease. A client's revocation comes while
// the lease is alive, and expiry when its time is up: the leader looks at what
// is left of each lease just before its last second, and so knows which it was.
type witness struct {
	rec    truth.Recorder
	server *etcdserver.EtcdServer

	mu         sync.Mutex           // guards following
	candidates map[string]candidate // by key
	leases     map[int64]*remaining // of candidates, by ID
}

type candidate struct {
	hostname string
	lease    int64
}

// remaining is what the leader last saw of a lease.
type remaining struct {
	low bool      // less than a second was left
	due time.Time // when to look again
}

// watchElections reports until ctx ends. The caller must call stop before the
// server is closed; it waits for the end.
func watchElections(ctx context.Context, server *etcdserver.EtcdServer, rec truth.Recorder) (stop func(), err error) {
	w := &witness{rec: rec, server: server, candidates: make(map[string]candidate), leases: make(map[int64]*remaining)}
	end := []byte(clientv3.GetPrefixRangeEnd(electionPrefix))
	stream := server.KV().NewWatchStream()
	if _, err := stream.Watch(clientv3.AutoWatchID, []byte(electionPrefix), end, 0); err != nil {
		stream.Close()
		return nil, fmt.Errorf("watch the elections: %w", err)
	}
	known, err := server.KV().Range(ctx, []byte(electionPrefix), end, mvcc.RangeOptions{})
	if err != nil {
		stream.Close()
		return nil, fmt.Errorf("read the elections: %w", err)
	}
	for i := range known.KVs {
		w.learn(&known.KVs[i])
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { w.watchKeys(ctx, stream) })
	wg.Go(func() { w.watchLeases(ctx) })
	wg.Go(func() { w.watchLeader(ctx) })
	return func() { cancel(); wg.Wait(); stream.Close() }, nil
}

// watchLeader reports whenever the member becomes the leader. A new leader
// gives every lease its full time again, and so a failover takes that much longer.
func (w *witness) watchLeader(ctx context.Context) {
	for led := false; ; {
		changed := w.server.LeaderChangedNotify()
		if leads := w.leads(); leads != led {
			if led = leads; led {
				w.rec.Record(truth.Event{Kind: truth.LeaderElected})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (w *witness) watchKeys(ctx context.Context, stream mvcc.WatchStream) {
	for {
		select {
		case <-ctx.Done():
			return
		case response := <-stream.Chan():
			at := truth.Now()
			for _, e := range response.Events {
				w.applied(ctx, at, e)
			}
		}
	}
}

// applied reports a change of a candidate's key. Every member does, and the
// lab's log keeps the first report: so none is lost when the leader changes.
func (w *witness) applied(ctx context.Context, at time.Duration, e mvccpb.Event) {
	key, kind := string(e.Kv.Key), truth.KeyWritten
	c := w.learn(e.Kv)
	if e.Type == mvccpb.DELETE {
		kind = truth.KeyDeleted
		if w.hasExpired(ctx, c.lease) {
			w.expired(at, c.lease)
		} else if !w.leads() {
			w.forget(c.lease)
		}
	}
	w.rec.Record(truth.Event{
		At: at, Kind: kind, Detail: fmt.Sprintf("%s (%s)", key, c.hostname),
		Once: fmt.Sprintf("%s %d %s", kind, e.Kv.ModRevision, key),
	})
}

// learn remembers a candidate from its key, or forgets it where the key has
// gone, and returns what was known of it. The lease may outlive the key.
func (w *witness) learn(kv *mvccpb.KeyValue) candidate {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := string(kv.Key)
	if kv.CreateRevision == 0 { // a tombstone
		c := w.candidates[key]
		delete(w.candidates, key)
		return c
	}
	c := candidate{string(kv.Value), kv.Lease}
	w.candidates[key] = c
	if c.lease != 0 && w.leases[c.lease] == nil {
		w.leases[c.lease] = &remaining{}
	}
	return c
}

func (w *witness) forget(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.leases, id)
}

// watchLeases looks at the candidates' leases while this member leads. It is
// apart from the keys, whose instants must not wait for it.
func (w *witness) watchLeases(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, id := range w.due() {
			if w.hasExpired(ctx, id) { // and had no key any more
				w.expired(truth.Now(), id)
			}
		}
	}
}

// due returns the leases that are to be looked at. What a member knew of them
// means nothing once it does not lead: the next leader renews them all.
func (w *witness) due() (ids []int64) {
	leads := w.leads()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, r := range w.leases {
		if !leads {
			*r = remaining{}
		} else if !time.Now().Before(r.due) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *witness) leads() bool { return w.server.Leader() == w.server.MemberID() }

// hasExpired looks at a lease, if this member leads. It reports whether the
// lease is gone and expired; a lease that is gone is forgotten.
func (w *witness) hasExpired(ctx context.Context, id int64) bool {
	if !w.leads() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	left, err := w.server.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id})
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.leases[id]
	switch {
	case r == nil:
		return false
	case errors.Is(err, lease.ErrLeaseNotFound):
		delete(w.leases, id)
		return r.low
	case err == nil:
		// TTL is what is left, without the fraction of its last second.
		r.low = left.TTL <= 0
		r.due = time.Now().Add(time.Duration(left.TTL)*time.Second - lookEvery)
	}
	return false
}

func (w *witness) expired(at time.Duration, id int64) {
	lease := fmt.Sprintf("%x", id)
	w.rec.Record(truth.Event{At: at, Kind: truth.LeaseExpired, Detail: lease, Once: string(truth.LeaseExpired) + " " + lease})
}

// keepAlives reports the keep-alives that the member answers. Only the member
// that was asked does: it passes them on to the leader by other ways.
func keepAlives(rec truth.Recorder) grpc.ServerOption {
	return grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if info.FullMethod == "/etcdserverpb.Lease/LeaseKeepAlive" {
			stream = keepAliveStream{stream, rec}
		}
		return handler(srv, stream)
	})
}

type keepAliveStream struct {
	grpc.ServerStream
	rec truth.Recorder
}

func (s keepAliveStream) SendMsg(m any) error {
	if r, ok := m.(*pb.LeaseKeepAliveResponse); ok && r.TTL > 0 { // 0: there is no such lease
		s.rec.Record(truth.Event{Kind: truth.LeaseKeptAlive, Detail: fmt.Sprintf("%x", r.ID)})
	}
	return s.ServerStream.SendMsg(m)
}
