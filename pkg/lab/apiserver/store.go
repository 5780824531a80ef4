//go:build linux

package apiserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// store keeps objects in the node's etcd as kube-apiserver does: an object's
// resource version is the revision that wrote it, a list's that of the read.
type store struct {
	client  *clientv3.Client
	catalog *catalog
}

// decode makes an object of what etcd has.
func (s *store) decode(r *resource, kv *mvccpb.KeyValue) (object, error) {
	into := r.fresh()
	if _, _, err := s.catalog.lax.Decode(kv.Value, &r.GroupVersionKind, into); err != nil {
		return nil, fmt.Errorf("decode %s: %w", kv.Key, err)
	}
	into.SetResourceVersion(strconv.FormatInt(kv.ModRevision, 10))
	return r.typed(into), nil
}

// encode makes the value for etcd. The resource version is not part of it.
func (s *store) encode(r *resource, o object) (string, error) {
	version := o.GetResourceVersion()
	o.SetResourceVersion("")
	defer o.SetResourceVersion(version)
	var out bytes.Buffer
	err := s.catalog.lax.Encode(r.typed(o), &out)
	return out.String(), err
}

func (s *store) get(ctx context.Context, r *resource, namespace, name string) (object, error) {
	resp, err := s.client.Get(ctx, r.key(namespace, name))
	if err != nil {
		return nil, err
	}
	if len(resp.Kvs) == 0 {
		return nil, apierrors.NewNotFound(r.groupResource(), name)
	}
	return s.decode(r, resp.Kvs[0])
}

// page is what a list is asked for.
type page struct {
	limit    int64
	revision int64  // 0: now
	start    string // the key to go on at; "": from the start
}

// list returns the objects of a namespace, or of all, the revision that they
// were read at, and where the next page starts, "" if there is none.
func (s *store) list(ctx context.Context, r *resource, namespace string, p page) (all []object, revision int64, next string, err error) {
	prefix := r.below(namespace)
	start := prefix
	if p.start != "" {
		start = p.start
	}
	resp, err := s.client.Get(ctx, start, clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)),
		clientv3.WithLimit(p.limit), clientv3.WithRev(p.revision))
	if err != nil {
		return nil, 0, "", err
	}
	for _, kv := range resp.Kvs {
		o, err := s.decode(r, kv)
		if err != nil {
			return nil, 0, "", err
		}
		all = append(all, o)
	}
	revision = resp.Header.Revision
	if p.revision != 0 {
		revision = p.revision
	}
	if resp.More {
		next = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
	return all, revision, next, nil
}

// token is a list's "continue": the revision and the key to go on at.
type token struct {
	Revision int64  `json:"rv"`
	Start    string `json:"start"`
}

func (t token) String() string {
	data, _ := json.Marshal(t) // a token always marshals
	return base64.RawURLEncoding.EncodeToString(data)
}

func parseToken(s string) (t token, err error) {
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	if err != nil {
		return t, apierrors.NewBadRequest("continue key is not valid: " + err.Error())
	}
	return t, nil
}

// create writes a new object, which has its name, unless dry.
func (s *store) create(ctx context.Context, r *resource, o object, dry bool) (object, error) {
	o.SetUID(types.UID(uuid.NewString()))
	o.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second).UTC()))
	value, err := s.encode(r, o)
	if err != nil {
		return nil, err
	}
	key := r.key(o.GetNamespace(), o.GetName())
	absent := clientv3.Compare(clientv3.ModRevision(key), "=", 0)
	txn := s.client.Txn(ctx).If(absent)
	if !dry {
		txn = txn.Then(clientv3.OpPut(key, value))
	}
	resp, err := txn.Commit()
	if err != nil {
		return nil, err
	}
	if !resp.Succeeded {
		return nil, apierrors.NewAlreadyExists(r.groupResource(), o.GetName())
	}
	if !dry {
		o.SetResourceVersion(strconv.FormatInt(resp.Header.Revision, 10))
	}
	return r.typed(o), nil
}

// errChanged is a write that found an object changed since it was read.
func errChanged(r *resource, name string) error {
	return apierrors.NewConflict(r.groupResource(), name,
		errors.New("the object has been modified; please apply your changes to the latest version and try again"))
}

// update replaces an object by what change makes of it. If change gives it no
// resource version, or the one that was read, and another writer comes first,
// it is asked again; a version that is not the current one is a conflict.
func (s *store) update(ctx context.Context, r *resource, namespace, name string, dry bool, change func(old object) (object, error)) (object, error) {
	for {
		old, err := s.get(ctx, r, namespace, name)
		if err != nil {
			return nil, err
		}
		current := old.GetResourceVersion()
		o, err := change(old.DeepCopyObject().(object))
		if err != nil {
			return nil, err
		}
		if v := o.GetResourceVersion(); v != "" && v != current {
			return nil, errChanged(r, name)
		}
		o.SetUID(old.GetUID())
		o.SetCreationTimestamp(old.GetCreationTimestamp())
		o.SetResourceVersion(current)
		done, err := s.replace(ctx, r, old, o, dry)
		if done || err != nil {
			return o, err
		}
	}
}

// replace writes o in old's place, unless dry or nothing changed, and says
// whether old was still there.
func (s *store) replace(ctx context.Context, r *resource, old, o object, dry bool) (bool, error) {
	was, err := s.encode(r, old)
	if err != nil {
		return false, err
	}
	value, err := s.encode(r, o)
	if err != nil {
		return false, err
	}
	if dry || value == was {
		return true, nil
	}
	key := r.key(old.GetNamespace(), old.GetName())
	resp, err := s.client.Txn(ctx).If(unchanged(key, old)).Then(clientv3.OpPut(key, value)).Commit()
	if err != nil || !resp.Succeeded {
		return false, err
	}
	o.SetResourceVersion(strconv.FormatInt(resp.Header.Revision, 10))
	return true, nil
}

func unchanged(key string, o object) clientv3.Cmp {
	version, _ := strconv.ParseInt(o.GetResourceVersion(), 10, 64) // decode wrote it
	return clientv3.Compare(clientv3.ModRevision(key), "=", version)
}

// remove deletes an object if it is as the preconditions say, and returns what
// it was.
func (s *store) remove(ctx context.Context, r *resource, namespace, name string, dry bool, pre metav1.Preconditions) (object, error) {
	for {
		o, err := s.get(ctx, r, namespace, name)
		if err != nil {
			return nil, err
		}
		if pre.UID != nil && *pre.UID != o.GetUID() || pre.ResourceVersion != nil && *pre.ResourceVersion != o.GetResourceVersion() {
			return nil, apierrors.NewConflict(r.groupResource(), name, fmt.Errorf("the preconditions do not hold: uid is %s, resource version %s", o.GetUID(), o.GetResourceVersion()))
		}
		if dry {
			return o, nil
		}
		key := r.key(namespace, name)
		resp, err := s.client.Txn(ctx).If(unchanged(key, o)).Then(clientv3.OpDelete(key)).Commit()
		if err != nil || resp.Succeeded {
			return o, err
		}
	}
}

// empty deletes everything in a namespace.
func (s *store) empty(ctx context.Context, namespace string) error {
	for _, r := range s.catalog.resources {
		if !r.namespaced {
			continue
		}
		if _, err := s.client.Delete(ctx, r.below(namespace), clientv3.WithPrefix()); err != nil {
			return err
		}
	}
	return nil
}
