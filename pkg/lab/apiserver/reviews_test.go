//go:build linux

package apiserver

import (
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
)

func TestNodeReviewsItsRights(t *testing.T) {
	node := user{name: nodePrefix + "cp-1", groups: []string{nodesGroup}}
	tests := []struct {
		name  string
		asked *authorizationv1.ResourceAttributes
		want  bool
	}{
		{"a node changes itself", &authorizationv1.ResourceAttributes{Verb: "update", Resource: "nodes", Name: "cp-1"}, true},
		{"a node changes no other", &authorizationv1.ResourceAttributes{Verb: "update", Resource: "nodes", Name: "cp-2"}, false},
		{"a node reads no unknown kind", &authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets"}, false},
		{"a node has no path of its own", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newCatalog().allows(node, tt.asked); got != tt.want {
				t.Errorf("allows(%v) = %t; want %t", tt.asked, got, tt.want)
			}
		})
	}
}
