//go:build linux

package apiserver

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// bootstrapRetry is the pause after etcd did not take what is to be there.
	bootstrapRetry = 200 * time.Millisecond
	// compactEvery is how long history is kept, for watches to catch up with
	// (Kubernetes v1.36: --etcd-compaction-interval).
	compactEvery = 5 * time.Minute
	// serviceAddress is the first address of Talos's default service subnet, 10.96.0.0/12.
	serviceAddress = "10.96.0.1"
)

// bootstrap makes what every cluster has, where it is not there yet: several
// API servers may do so at once.
func (a *api) bootstrap(ctx context.Context) {
	for _, o := range basics() {
		for ctx.Err() == nil && !a.ensure(ctx, o) {
			select {
			case <-ctx.Done():
			case <-time.After(bootstrapRetry):
			}
		}
	}
}

// ensure says whether the object is there now.
func (a *api) ensure(ctx context.Context, o object) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	plural := "namespaces"
	if _, ok := o.(*corev1.Service); ok {
		plural = "services"
	}
	r := a.catalog.find(corev1.SchemeGroupVersion, plural)
	r.complete(o)
	_, err := a.store.create(ctx, r, o, false)
	return err == nil || apierrors.IsAlreadyExists(err)
}

func basics() []object {
	var all []object
	for _, name := range []string{"default", "kube-system", "kube-public", leaseSpace} {
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return append(all, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: "kubernetes", Namespace: "default",
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: serviceAddress, ClusterIPs: []string{serviceAddress}, SessionAffinity: corev1.ServiceAffinityNone,
			Ports: []corev1.ServicePort{{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(Port)}},
		},
	})
}

// compact drops etcd's history older than compactEvery, now and then, until
// ctx ends. Each API server does so for itself: what is dropped already is no
// matter.
func (a *api) compact(ctx context.Context) {
	ticker := time.NewTicker(compactEvery)
	defer ticker.Stop()
	known := int64(0) // the revision of one tick ago
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		attempt, cancel := context.WithTimeout(ctx, requestTime)
		if known > 0 {
			_, _ = a.store.client.Compact(attempt, known) // another did it, or there is no quorum
		}
		if resp, err := a.store.client.Get(attempt, healthKey, clientv3.WithKeysOnly()); err == nil {
			known = resp.Header.Revision
		}
		cancel()
	}
}
