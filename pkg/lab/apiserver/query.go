//go:build linux

package apiserver

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// query is a request for a resource.
type query struct {
	ctx         context.Context
	verb        string // as authorisation names it: get, list, watch, ...
	resource    *resource
	namespace   string
	name        string
	subresource string

	values    url.Values
	labels    labels.Selector
	fields    fields.Selector
	timeout   time.Duration // of a watch; 0: the server's choice
	bookmarks bool
	initial   bool // a watch is to begin with what there is
	dry       bool
	table     bool // the client asks for a table
}

// parseQuery reads the request, or returns nil if its path names no resource.
func (c *catalog) parseQuery(r *http.Request) (*query, error) {
	q := c.parsePath(r.URL.Path)
	if q == nil {
		return nil, nil
	}
	q.ctx, q.values = r.Context(), r.URL.Query()
	q.dry = q.values.Get("dryRun") == metav1.DryRunAll
	q.bookmarks, q.initial = q.flag("allowWatchBookmarks"), q.flag("sendInitialEvents")
	q.verb = verb(r.Method, q.name, q.flag("watch"))
	var err error
	if q.table, err = wantsTable(r.Header.Values("Accept")); err != nil {
		return nil, err
	}
	return q, q.parseSelectors()
}

// parsePath finds what a path such as /api/v1/namespaces/NS/configmaps/NAME or
// /apis/GROUP/VERSION/RESOURCE is about.
func (c *catalog) parsePath(path string) *query {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	gv := schema.GroupVersion{}
	switch {
	case len(parts) > 2 && parts[0] == "api":
		gv.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		gv.Group, gv.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return nil
	}
	q := &query{}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		q.namespace, parts = parts[1], parts[2:]
	}
	q.resource = c.find(gv, parts[0])
	if q.resource == nil || !q.parseRest(parts[1:]) {
		return nil
	}
	return q
}

// parseRest reads what follows the resource, "[NAME[/status]]", and says
// whether there can be such a thing.
func (q *query) parseRest(parts []string) bool {
	if q.namespace != "" && !q.resource.namespaced || len(parts) > 2 {
		return false
	}
	if len(parts) == 0 {
		return true
	}
	q.name = parts[0]
	if q.resource.namespaced && q.namespace == "" {
		return false
	}
	if len(parts) == 2 {
		q.subresource = parts[1]
		return q.subresource == "status" && q.resource.setStatus != nil
	}
	return true
}

// verb is what a method means.
func verb(method, name string, watch bool) string {
	switch {
	case method == http.MethodGet && watch:
		return "watch"
	case method == http.MethodGet && name == "":
		return "list"
	case method == http.MethodGet:
		return "get"
	case method == http.MethodPost:
		return "create"
	case method == http.MethodPut:
		return "update"
	case method == http.MethodDelete && name == "":
		return "deletecollection"
	}
	return strings.ToLower(method) // patch, delete
}

func (q *query) flag(name string) bool {
	on, err := strconv.ParseBool(q.values.Get(name))
	return err == nil && on
}

func (q *query) parseSelectors() (err error) {
	if q.labels, err = labels.Parse(q.values.Get("labelSelector")); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("unable to parse requirement: %v", err))
	}
	if q.fields, err = fields.ParseSelector(q.values.Get("fieldSelector")); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	known := q.resource.selectable(q.resource.fresh())
	for _, requirement := range q.fields.Requirements() {
		if !known.Has(requirement.Field) {
			return apierrors.NewBadRequest("field label not supported: " + requirement.Field)
		}
	}
	if s := q.values.Get("timeoutSeconds"); s != "" {
		seconds, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return apierrors.NewBadRequest("timeoutSeconds: " + err.Error())
		}
		q.timeout = time.Duration(seconds) * time.Second
	}
	return nil
}

// version is the resource version that is asked for, 0 for any.
func (q *query) version() (int64, error) {
	s := q.values.Get("resourceVersion")
	if s == "" {
		return 0, nil
	}
	version, err := strconv.ParseInt(s, 10, 64)
	if err != nil || version < 0 {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("Invalid value for resourceVersion: %q", s))
	}
	return version, nil
}

func (q *query) matches(o object) bool {
	return q.labels.Matches(labels.Set(o.GetLabels())) && q.fields.Matches(q.resource.selectable(o)) &&
		(q.name == "" || q.name == o.GetName())
}

func (q *query) matching(all []object) []object {
	var some []object
	for _, o := range all {
		if q.matches(o) {
			some = append(some, o)
		}
	}
	return some
}

// within is the namespace that is asked for, which a selector may name too.
func (q *query) within() string {
	if name, ok := q.fields.RequiresExactMatch("metadata.namespace"); ok && q.namespace == "" && q.resource.namespaced {
		return name
	}
	return q.namespace
}

// etcdKey and etcdEnd are the range of what is asked for.
func (q *query) etcdKey() string { return q.resource.below(q.within()) }
func (q *query) etcdEnd() string { return clientv3.GetPrefixRangeEnd(q.etcdKey()) }

// wantsTable says whether a client that accepts these would rather have a
// table. One that takes no JSON at all is an error.
func wantsTable(accept []string) (bool, error) {
	clauses := strings.Join(accept, ",")
	if clauses == "" {
		return false, nil
	}
	for clause := range strings.SplitSeq(clauses, ",") {
		media, params, err := mime.ParseMediaType(clause)
		if err != nil || media != "application/json" && media != "application/*" && media != "*/*" {
			continue
		}
		switch params["as"] {
		case "":
			return false, nil
		case "Table":
			if params["v"] == "v1" && params["g"] == metav1.GroupName {
				return true, nil
			}
		}
	}
	return false, &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
		Message: "only the following media types are accepted: application/json",
	}}
}
