//go:build linux

package apiserver

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Groups and names that carry rights in Kubernetes.
const (
	masters    = "system:masters"
	nodesGroup = "system:nodes"
	nodePrefix = "system:node:"
	leaseSpace = "kube-node-lease"
)

// user is who a client certificate says its holder is.
type user struct {
	name   string
	groups []string
}

type userKey struct{}

// userOf returns who sent the request of that context.
func userOf(ctx context.Context) user {
	u, _ := ctx.Value(userKey{}).(user)
	return u
}

// authenticated lets those pass who carry a client certificate of the
// authorities, and answers 401 to the rest.
func authenticated(authorities *x509.CertPool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knows(authorities, r) {
			writeError(w, apierrors.NewUnauthorized("Unauthorized"))
			return
		}
		subject := r.TLS.PeerCertificates[0].Subject
		u := user{name: subject.CommonName, groups: subject.Organization}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, u)))
	})
}

func knows(authorities *x509.CertPool, r *http.Request) bool {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	intermediates := x509.NewCertPool()
	for _, cert := range r.TLS.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	_, err := r.TLS.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots:         authorities,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// authorize says whether the user may do that: system:masters everything, a
// node what its kubelet needs, anybody else no more than ask about itself.
func authorize(u user, q *query) error {
	if slices.Contains(u.groups, masters) || q.resource.review != nil && q.verb == "create" {
		return nil
	}
	if node, ok := strings.CutPrefix(u.name, nodePrefix); ok && slices.Contains(u.groups, nodesGroup) && nodeMay(node, q) {
		return nil
	}
	scope := "at the cluster scope"
	if q.namespace != "" {
		scope = fmt.Sprintf("in the namespace %q", q.namespace)
	}
	what := q.resource.plural
	if q.subresource != "" {
		what += "/" + q.subresource
	}
	return apierrors.NewForbidden(q.resource.groupResource(), q.name, fmt.Errorf("User %q cannot %s resource %q in API group %q %s", //nolint:staticcheck // Kubernetes' own words
		u.name, q.verb, what, q.resource.Group, scope))
}

// nodeMay is what the node authorizer and NodeRestriction leave to a kubelet
// of the resources served here (Kubernetes v1.36
// plugin/pkg/auth/authorizer/rbac/bootstrappolicy, NodeRules).
func nodeMay(node string, q *query) bool {
	may := func(verbs ...string) bool { return slices.Contains(verbs, q.verb) }
	switch q.resource.plural {
	case "nodes":
		return may("get", "list", "watch", "create") || q.name == node && may("update", "patch")
	case "leases":
		own := q.name == node && may("get", "update", "patch", "delete")
		return q.namespace == leaseSpace && (own || may("create"))
	case "pods":
		// A mirror pod is called after its node.
		own := strings.HasSuffix(q.name, "-"+node) && (may("delete") || q.subresource == "status" && may("update", "patch"))
		return own || may("get", "list", "watch", "create")
	case "services":
		return may("get", "list", "watch")
	case "events":
		return may("create", "update", "patch")
	}
	return false
}
