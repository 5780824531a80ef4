//go:build linux

package node

import (
	"context"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"

	"github.com/vipctl/vipctl/pkg/lab/talosapi"
)

// newGate returns a gate on a state in which a candidate may campaign.
func newGate(t *testing.T) (*machine, *gate) {
	t.Helper()
	st, err := talosapi.NewState(t.Context(), "v1.13.9")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{state: st}
	setEtcd(m, true)
	setPod(m, "True")
	if err := st.Create(t.Context(), k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID)); err != nil {
		t.Fatal(err)
	}
	return m, &gate{state: st, finalizer: "vip/eth0"}
}

func setEtcd(m *machine, healthy bool) {
	put(m, serviceOwner, v1alpha1.NewService("etcd"), func(r *v1alpha1.Service) {
		*r.TypedSpec() = v1alpha1.ServiceSpec{Running: true, Healthy: healthy}
	})
}

func pod(name string) *k8s.StaticPodStatus {
	return k8s.NewStaticPodStatus(k8s.NamespaceName, "kube-system/"+name)
}

func setPod(m *machine, ready string) {
	for _, name := range []string{"kube-apiserver-cp-1", "kube-scheduler-cp-1"} {
		put(m, staticPodOwner, pod(name), func(r *k8s.StaticPodStatus) {
			r.TypedSpec().PodStatus = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": ready}}}
		})
	}
}

func TestGateLetsGo(t *testing.T) {
	tests := []struct {
		when             string
		what             func(*machine)
		candidate, owner bool // gives up
	}{
		{"the kubelet's lifecycle is torn down", func(m *machine) { _, _ = m.state.Teardown(context.Background(), lifecycle()) }, true, true},
		{"the etcd service is gone", func(m *machine) { drop(m, serviceOwner, v1alpha1.NewService("etcd").Metadata()) }, true, true},
		{"the apiserver's static pod is gone", func(m *machine) { drop(m, staticPodOwner, pod("kube-apiserver-cp-1").Metadata()) }, false, true},
		{"etcd is not healthy", func(m *machine) { setEtcd(m, false) }, false, false},
		{"the apiserver is not ready", func(m *machine) { setPod(m, "False") }, false, false},
		{"another static pod is gone", func(m *machine) { drop(m, staticPodOwner, pod("kube-scheduler-cp-1").Metadata()) }, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.when, func(t *testing.T) {
			m, g := newGate(t)
			if err := g.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = g.Leave(context.Background()) }()
			lost := g.Lost(t.Context())
			tt.what(m)
			if got := closes(lost, tt.owner); got != tt.owner {
				t.Errorf("owner gives up when %s = %v; want %v", tt.when, got, tt.owner)
			}
			if got := closes(g.LostWaiting(t.Context()), tt.candidate); got != tt.candidate {
				t.Errorf("candidate gives up when %s = %v; want %v", tt.when, got, tt.candidate)
			}
		})
	}
}

// closes reports whether the channel is closed, at once or, if that is
// expected, after a while.
func closes(c <-chan struct{}, expected bool) bool {
	wait := 50 * time.Millisecond
	if expected {
		wait = 10 * time.Second
	}
	select {
	case <-c:
		return true
	case <-time.After(wait):
		return false
	}
}

func TestGateWaitsForItsPreconditionsAndHoldsTheLifecycle(t *testing.T) {
	m, g := newGate(t)
	setEtcd(m, false)
	entered := make(chan error, 1)
	go func() { entered <- g.Enter(t.Context()) }()
	select {
	case err := <-entered:
		t.Fatalf("Enter with an unhealthy etcd = %v; want it to wait", err)
	case <-time.After(50 * time.Millisecond):
	}
	setEtcd(m, true)
	if err := <-entered; err != nil {
		t.Fatalf("Enter = %v; want nil", err)
	}
	if ready, err := m.state.Teardown(t.Context(), lifecycle()); ready || err != nil {
		t.Fatalf("Teardown while the gate holds = %v, %v; want false, nil", ready, err)
	}
	if err := g.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.state.WatchFor(t.Context(), lifecycle(), state.WithFinalizerEmpty(), state.WithPhases(resource.PhaseTearingDown)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := g.Enter(ctx); err == nil {
		t.Error("Enter while the lifecycle is torn down = nil; want it to wait")
	}
}
