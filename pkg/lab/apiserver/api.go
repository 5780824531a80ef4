//go:build linux

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// requestTime is how long a request other than a watch may take
// (Kubernetes v1.36: requestTimeoutUpperBound of mutating requests, 34 s).
const requestTime = 34 * time.Second

// api serves the resources.
type api struct {
	catalog *catalog
	store   *store
	ending  <-chan struct{} // closed once the server is told to end, which ends watches
}

func newAPI(client *clientv3.Client, ending <-chan struct{}) *api {
	c := newCatalog()
	return &api{catalog: c, store: &store{client: client, catalog: c}, ending: ending}
}

// ServeHTTP answers a request of an authenticated client.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := a.catalog.parseQuery(r)
	switch {
	case err != nil:
	case q == nil:
		err = noSuchPath()
	default:
		if err = authorize(userOf(r.Context()), q); err == nil {
			err = a.answer(w, r, q)
		}
	}
	if err != nil {
		writeError(w, err)
	}
}

func (a *api) answer(w http.ResponseWriter, r *http.Request, q *query) error {
	switch {
	case q.resource.review != nil:
		return a.review(w, r, q)
	case q.verb == "watch":
		return a.watch(w, q)
	}
	ctx, cancel := context.WithTimeout(q.ctx, requestTime)
	defer cancel()
	q.ctx = ctx
	switch q.verb {
	case "get":
		o, err := a.store.get(ctx, q.resource, q.namespace, q.name)
		return respond(w, q, http.StatusOK, o, err)
	case "list":
		return a.list(w, q)
	case "create":
		if q.name != "" {
			break
		}
		o, err := a.create(r, q)
		return respond(w, q, http.StatusCreated, o, err)
	case "update", "patch":
		if q.name == "" {
			break
		}
		o, err := a.change(r, q)
		return respond(w, q, http.StatusOK, o, err)
	case "delete":
		return a.delete(w, r, q)
	}
	return apierrors.NewMethodNotSupported(q.resource.groupResource(), q.verb)
}

func respond(w http.ResponseWriter, q *query, code int, o object, err error) error {
	if err == nil {
		q.writeOne(w, code, o)
	}
	return err
}

func (a *api) review(w http.ResponseWriter, r *http.Request, q *query) error {
	if q.verb != "create" || q.name != "" {
		return apierrors.NewMethodNotSupported(q.resource.groupResource(), q.verb)
	}
	o, err := a.read(r, q)
	if err == nil {
		q.resource.review(userOf(r.Context()), q.resource.typed(o))
	}
	return respond(w, q, http.StatusCreated, o, err)
}

func (a *api) list(w http.ResponseWriter, q *query) error {
	p, err := q.page()
	if err != nil {
		return err
	}
	all, revision, next, err := a.store.list(q.ctx, q.resource, q.within(), p)
	if err != nil {
		return err
	}
	meta := metav1.ListMeta{ResourceVersion: strconv.FormatInt(revision, 10)}
	if next != "" {
		meta.Continue = token{Revision: revision, Start: next}.String()
	}
	q.writeList(w, q.matching(all), meta)
	return nil
}

// page reads which part of a list is asked for.
func (q *query) page() (p page, err error) {
	if s := q.values.Get("limit"); s != "" {
		if p.limit, err = strconv.ParseInt(s, 10, 64); err != nil {
			return p, apierrors.NewBadRequest("limit: " + err.Error())
		}
	}
	if s := q.values.Get("continue"); s != "" {
		t, err := parseToken(s)
		if err == nil && !strings.HasPrefix(t.Start, q.resource.below(q.within())) {
			err = apierrors.NewBadRequest("continue key is not valid: it belongs to another list")
		}
		p.revision, p.start = t.Revision, t.Start
		return p, err
	}
	if q.values.Get("resourceVersionMatch") == string(metav1.ResourceVersionMatchExact) {
		p.revision, err = q.version()
	}
	return p, err
}

func (a *api) create(r *http.Request, q *query) (object, error) {
	o, err := a.read(r, q)
	if err != nil {
		return nil, err
	}
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(o.GetGenerateName() + rand.String(5))
	}
	if err := checkName(q.resource, o.GetName()); err != nil {
		return nil, err
	}
	if o.GetResourceVersion() != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	if q.resource.namespaced {
		if _, err := a.store.get(q.ctx, a.catalog.find(core("").GroupVersion(), "namespaces"), "", q.namespace); err != nil {
			return nil, err
		}
	}
	if q.resource.complete != nil {
		q.resource.complete(o)
	}
	return a.store.create(q.ctx, q.resource, o, q.dry)
}

func checkName(r *resource, name string) error {
	path := field.NewPath("metadata", "name")
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(path, "name or generateName is required"))
	}
	for _, msg := range validation.IsDNS1123Subdomain(name) {
		if name != "" {
			errs = append(errs, field.Invalid(path, name, msg))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(r.GroupKind(), name, errs)
}

// change updates or patches an object, or its status only.
func (a *api) change(r *http.Request, q *query) (object, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	media := r.Header.Get("Content-Type")
	return a.store.update(q.ctx, q.resource, q.namespace, q.name, q.dry, func(old object) (object, error) {
		data, form := body, media
		if q.verb == "patch" {
			form = runtime.ContentTypeJSON
			if data, err = patched(q.resource, old, media, body); err != nil {
				return nil, err
			}
		}
		o, err := a.parse(q, form, data)
		if err != nil {
			return nil, err
		}
		if o.GetName() != q.name {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", o.GetName(), q.name))
		}
		if uid := o.GetUID(); uid != "" && uid != old.GetUID() {
			return nil, errChanged(q.resource, q.name)
		}
		return q.merge(old, o), nil
	})
}

// merge keeps of the old object what the request may not change: the status,
// or everything else.
func (q *query) merge(old, o object) object {
	switch {
	case q.resource.setStatus == nil:
		return o
	case q.subresource == "status":
		version := o.GetResourceVersion()
		q.resource.setStatus(old, o)
		old.SetResourceVersion(version)
		return old
	default:
		q.resource.setStatus(o, old)
		return o
	}
}

// lasting are the namespaces that cannot be deleted.
func lasting() []string { return []string{"default", "kube-system", "kube-public"} }

func (a *api) delete(w http.ResponseWriter, r *http.Request, q *query) error {
	options, err := a.deleteOptions(r)
	if err != nil {
		return err
	}
	q.dry = q.dry || slices.Contains(options.DryRun, metav1.DryRunAll)
	if q.resource.Kind == "Namespace" {
		if err := a.emptyNamespace(q); err != nil {
			return err
		}
	}
	o, err := a.store.remove(q.ctx, q.resource, q.namespace, q.name, q.dry, *options.Preconditions)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{Name: o.GetName(), Group: q.resource.Group, Kind: q.resource.plural, UID: o.GetUID()},
	})
	return nil
}

// emptyNamespace deletes what is in a namespace that is to be deleted.
func (a *api) emptyNamespace(q *query) error {
	switch {
	case slices.Contains(lasting(), q.name):
		return apierrors.NewForbidden(q.resource.groupResource(), q.name, errors.New("this namespace may not be deleted"))
	case q.dry:
		return nil
	}
	return a.store.empty(q.ctx, q.name)
}
