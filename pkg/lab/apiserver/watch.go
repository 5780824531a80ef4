//go:build linux

package apiserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// Times of a watch, as kube-apiserver has them (Kubernetes v1.36
// staging/src/k8s.io/apiserver: --min-request-timeout, bookmarkFrequency).
const (
	minWatchTime  = 30 * time.Minute // at least, and up to twice as long
	bookmarkEvery = time.Minute
)

// watching is one client's watch.
type watching struct {
	*query
	store  *store
	ending <-chan struct{}
	out    *stream
	// revision is the last one that the client knows.
	revision int64
}

// watch streams what happens to the objects until the client hangs up, the
// time is over or the server ends.
func (a *api) watch(w http.ResponseWriter, q *query) error {
	revision, err := q.version()
	if err != nil {
		return err
	}
	timeout := q.timeout
	if timeout == 0 {
		timeout = minWatchTime + rand.N(minWatchTime)
	}
	ctx, cancel := context.WithTimeout(q.ctx, timeout)
	defer cancel()
	// A member without a leader ends the watch: its client asks another.
	ctx = clientv3.WithRequireLeader(ctx)
	s := &watching{query: q, store: a.store, ending: a.ending, out: &stream{w: w, query: q}, revision: revision}
	if revision == 0 || q.initial {
		if err := s.begin(ctx); err != nil {
			return err
		}
	}
	s.out.flush() // the client waits for the header
	s.follow(ctx)
	return nil
}

// begin sends what there is, as if it came just now.
func (s *watching) begin(ctx context.Context) error {
	all, revision, _, err := s.store.list(ctx, s.resource, s.within(), page{})
	if err != nil {
		return err
	}
	s.revision = revision
	for _, o := range s.matching(all) {
		s.out.object(watch.Added, o)
	}
	if s.initial {
		s.out.bookmark(revision, map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return nil
}

// follow sends what happens from now on.
func (s *watching) follow(ctx context.Context) {
	news := s.store.client.Watch(ctx, s.etcdKey(), clientv3.WithRange(s.etcdEnd()),
		clientv3.WithRev(s.revision+1), clientv3.WithPrevKV())
	ticker := time.NewTicker(bookmarkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.ending:
			return
		case <-ticker.C:
			if s.bookmarks {
				_ = s.store.client.RequestProgress(ctx) // the next tick asks again
			}
		case resp, open := <-news:
			if !open || !s.pass(resp) {
				return
			}
		}
	}
}

// pass sends one answer of etcd's and says whether there may be more.
func (s *watching) pass(resp clientv3.WatchResponse) bool {
	switch {
	case resp.CompactRevision != 0:
		s.out.failure(apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", s.revision, resp.CompactRevision)))
		return false
	case resp.Err() != nil:
		s.out.failure(apierrors.NewInternalError(resp.Err()))
		return false
	case resp.IsProgressNotify():
		if s.bookmarks {
			s.out.bookmark(resp.Header.Revision, nil)
		}
	}
	for _, event := range resp.Events {
		if err := s.one(event); err != nil {
			s.out.failure(apierrors.NewInternalError(err))
			return false
		}
		s.revision = event.Kv.ModRevision
	}
	return s.out.err == nil
}

// one sends one change, as it looks to a client who sees only what its
// selectors match.
func (s *watching) one(event *clientv3.Event) error {
	var before, after object
	var err error
	if event.PrevKv != nil {
		if before, err = s.store.decode(s.resource, event.PrevKv); err != nil {
			return err
		}
		// What is gone carries the revision at which it went.
		before.SetResourceVersion(strconv.FormatInt(event.Kv.ModRevision, 10))
	}
	if event.Type == clientv3.EventTypePut {
		if after, err = s.store.decode(s.resource, event.Kv); err != nil {
			return err
		}
	}
	had, has := before != nil && s.matches(before), after != nil && s.matches(after)
	switch {
	case had && has:
		s.out.object(watch.Modified, after)
	case has:
		s.out.object(watch.Added, after)
	case had && after != nil:
		s.out.object(watch.Deleted, after)
	case had:
		s.out.object(watch.Deleted, before)
	}
	return nil
}

// stream writes a watch's events, one JSON value a line.
type stream struct {
	w     http.ResponseWriter
	query *query
	begun bool
	err   error // of the first write that failed
}

func (s *stream) object(kind watch.EventType, o object) {
	s.write(kind, s.query.render([]object{o}, o, nil))
}

func (s *stream) failure(err *apierrors.StatusError) { s.write(watch.Error, statusOf(err)) }

func (s *stream) bookmark(revision int64, annotations map[string]string) {
	o := s.query.resource.typed(s.query.resource.fresh())
	o.SetResourceVersion(strconv.FormatInt(revision, 10))
	o.SetAnnotations(annotations)
	// In a table, too, the revision is where clients look: in the row's object.
	s.write(watch.Bookmark, s.query.render([]object{o}, o, nil))
}

func (s *stream) write(kind watch.EventType, o runtime.Object) {
	s.begin()
	if s.err == nil {
		s.err = encodeLine(s.w, metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Object: o}})
	}
	s.flush()
}

func (s *stream) begin() {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", s.query.mediaType())
		s.w.Header().Set("Cache-Control", "no-cache, private")
		s.w.WriteHeader(http.StatusOK)
	}
}

func (s *stream) flush() {
	s.begin()
	if err := http.NewResponseController(s.w).Flush(); s.err == nil {
		s.err = err
	}
}
