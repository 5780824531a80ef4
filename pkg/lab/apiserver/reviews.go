//go:build linux

package apiserver

import (
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// reviews are questions of a user about itself: they are answered, and not kept.
func (c *catalog) reviews() []*resource {
	return []*resource{
		{
			GroupVersionKind: authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"),
			plural:           "selfsubjectreviews", singular: "selfsubjectreview", fresh: func() object { return &authenticationv1.SelfSubjectReview{} },
			review: func(u user, o object) {
				o.(*authenticationv1.SelfSubjectReview).Status.UserInfo = authenticationv1.UserInfo{Username: u.name, Groups: u.all()}
			},
		},
		{
			GroupVersionKind: authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"),
			plural:           "selfsubjectaccessreviews", singular: "selfsubjectaccessreview", fresh: func() object { return &authorizationv1.SelfSubjectAccessReview{} },
			review: func(u user, o object) {
				r := o.(*authorizationv1.SelfSubjectAccessReview)
				r.Status.Allowed = c.allows(u, r.Spec.ResourceAttributes)
			},
		},
	}
}

// all returns the user's groups with the one that all have who are known.
func (u user) all() []string { return append(slices.Clone(u.groups), "system:authenticated") }

// allows says whether the user may do that to a resource, or to what is none
// if asked is nil.
func (c *catalog) allows(u user, asked *authorizationv1.ResourceAttributes) bool {
	if slices.Contains(u.groups, masters) {
		return true
	}
	if asked == nil {
		return false
	}
	for _, r := range c.resources {
		if r.groupResource() == (schema.GroupResource{Group: asked.Group, Resource: asked.Resource}) {
			return authorize(u, &query{
				verb: asked.Verb, resource: r, namespace: asked.Namespace, name: asked.Name, subresource: asked.Subresource,
			}) == nil
		}
	}
	return false
}
