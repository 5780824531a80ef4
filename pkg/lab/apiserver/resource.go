//go:build linux

package apiserver

import (
	"maps"
	"path"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
)

// object is anything that the API server keeps.
type object interface {
	runtime.Object
	metav1.Object
}

// resource is a kind of object that the API server serves.
type resource struct {
	schema.GroupVersionKind
	plural, singular string
	short            []string
	namespaced       bool
	all              bool // is part of what "kubectl get all" shows
	// prefix is below /registry, where kube-apiserver keeps them too
	// (Kubernetes v1.36 pkg/registry).
	prefix string
	// fresh makes an empty object.
	fresh func() object
	// setStatus copies the status, which has a subresource of its own, from
	// one object to another; nil where there is none.
	setStatus func(to, from object)
	// complete sets what a new object lacks; may be nil.
	complete func(object)
	// fields are what a field selector may ask for besides metadata.name and
	// metadata.namespace; may be nil.
	fields func(object) fields.Set
	// columns and cells are the table that clients show; the name comes first.
	columns []metav1.TableColumnDefinition
	cells   func(object) []any
	// review answers what a user asks of itself; nil for what is kept.
	review func(user, object)
}

func (r *resource) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: r.Group, Resource: r.plural}
}

// key is where an object lies in etcd.
func (r *resource) key(namespace, name string) string { return r.below(namespace) + name }

// below is the prefix of all objects of a namespace, or of all if it is "".
func (r *resource) below(namespace string) string {
	return path.Join("/registry", r.prefix, namespace) + "/"
}

// selectable are the fields of an object that a selector may ask for.
func (r *resource) selectable(o object) fields.Set {
	set := fields.Set{"metadata.name": o.GetName()}
	if r.namespaced {
		set["metadata.namespace"] = o.GetNamespace()
	}
	if r.fields != nil {
		maps.Copy(set, r.fields(o))
	}
	return set
}

// typed writes the kind into the object, as etcd and clients see it.
func (r *resource) typed(o object) object {
	o.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
	return o
}

// catalog is everything that the API server serves.
type catalog struct {
	resources []*resource
	strict    *json.Serializer // tells of unknown and doubled fields
	lax       *json.Serializer
	protobuf  *protobuf.Serializer // kubectl sends its own objects so
}

func newCatalog() *catalog {
	scheme := runtime.NewScheme()
	c := &catalog{resources: slices.Concat(clusterResources(), namespacedResources(), workloads())}
	c.resources = append(c.resources, c.reviews()...)
	for _, r := range c.resources {
		scheme.AddKnownTypeWithName(r.GroupVersionKind, r.fresh())
	}
	// A client says how to delete in the version of what it deletes, or in
	// none: kubectl does that.
	for _, gv := range append(c.versions(), metav1.SchemeGroupVersion) {
		scheme.AddKnownTypes(gv, &metav1.DeleteOptions{})
	}
	c.protobuf = protobuf.NewSerializer(scheme, scheme)
	c.strict = json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Strict: true})
	c.lax = json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{})
	return c
}

// find returns the resource of that name, or nil.
func (c *catalog) find(gv schema.GroupVersion, plural string) *resource {
	for _, r := range c.resources {
		if r.GroupVersion() == gv && r.plural == plural {
			return r
		}
	}
	return nil
}

// versions are the groups and versions served, in order.
func (c *catalog) versions() []schema.GroupVersion {
	var all []schema.GroupVersion
	for _, r := range c.resources {
		if !slices.Contains(all, r.GroupVersion()) {
			all = append(all, r.GroupVersion())
		}
	}
	return all
}

// of returns the resources of a group and version.
func (c *catalog) of(gv schema.GroupVersion) []*resource {
	return slices.DeleteFunc(slices.Clone(c.resources), func(r *resource) bool { return r.GroupVersion() != gv })
}

// categories are the names that clients ask for several resources by.
func (r *resource) categories() []string {
	if r.all {
		return []string{"all"}
	}
	return nil
}

func (r *resource) verbs() []string {
	if r.review != nil {
		return []string{"create"}
	}
	return []string{"create", "delete", "get", "list", "patch", "update", "watch"}
}
