//go:build linux

package node

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"golang.org/x/sys/unix"
)

// soon waits until the condition holds.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 10 s it still does not hold that %s", what)
		}
	}
}

func unmetNow(t *testing.T, m *machine) []runtime.UnmetCondition {
	t.Helper()
	r, err := safe.StateGet[*runtime.MachineStatus](t.Context(), m.state, runtime.NewMachineStatus().Metadata())
	if err != nil {
		return []runtime.UnmetCondition{{Name: "no status"}}
	}
	return r.TypedSpec().Status.UnmetConditions
}

func TestMachineStatusFollowsWhatItsChecksLookAt(t *testing.T) {
	m, _, _ := newFake(t, nil)
	ready := func() bool { return len(unmetNow(t, m)) == 0 }
	soon(t, "the machine is ready", ready)
	tests := []struct {
		name       string
		spoil, fix func()
		want       runtime.UnmetCondition
	}{
		{"an address is missing", networkReady(m, false), networkReady(m, true),
			runtime.UnmetCondition{Name: "network", Reason: "waiting on: address, connectivity"}},
		{"Kubernetes calls the node not ready", nodeReady(m, false), nodeReady(m, true),
			runtime.UnmetCondition{Name: "nodeReady", Reason: `node "cp-1" is not ready`}},
		{"a pod is not ready", podReadiness(m, false), podReadiness(m, true),
			runtime.UnmetCondition{Name: "staticPods", Reason: "kube-system/extra-cp-1 not ready"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spoil()
			soon(t, fmt.Sprintf("unmet is %v", tt.want), func() bool { return slices.Equal(unmetNow(t, m), []runtime.UnmetCondition{tt.want}) })
			tt.fix()
			soon(t, "the machine is ready again", ready)
		})
	}
}

func networkReady(m *machine, ready bool) func() {
	return func() {
		put(m, "network.StatusController", network.NewStatus(network.NamespaceName, network.StatusID), func(r *network.Status) {
			r.TypedSpec().AddressReady, r.TypedSpec().ConnectivityReady = ready, ready
		})
	}
}

func nodeReady(m *machine, ready bool) func() {
	return func() {
		put(m, "k8s.NodeStatusController", k8s.NewNodeStatus(k8s.NamespaceName, "cp-1"), func(r *k8s.NodeStatus) { r.TypedSpec().NodeReady = ready })
	}
}

func podReadiness(m *machine, ready bool) func() {
	return func() {
		put(m, staticPodOwner, k8s.NewStaticPodStatus(k8s.NamespaceName, "kube-system/extra-cp-1"), func(r *k8s.StaticPodStatus) {
			r.TypedSpec().PodStatus = podStatus("extra", ready)
		})
	}
}

func TestAffiliatesAndEndpointsFollowTheMembers(t *testing.T) {
	m, _, _ := newFake(t, nil)
	publish := func(name string, addrs ...string) {
		var list []netip.Addr
		for _, a := range addrs {
			list = append(list, netip.MustParseAddr(a))
		}
		put(m, memberOwner, cluster.NewMember(cluster.NamespaceName, name), func(r *cluster.Member) {
			*r.TypedSpec() = cluster.MemberSpec{
				NodeID: m.nodeID(name), Hostname: name, Addresses: list, MachineType: machinetype.TypeControlPlane,
				ControlPlane: &cluster.ControlPlane{APIServerPort: 6443},
			}
		})
	}
	addresses := func(ns resource.Namespace, id resource.ID) []netip.Addr {
		r, err := safe.StateGet[*cluster.Affiliate](t.Context(), m.state, cluster.NewAffiliate(ns, id).Metadata())
		if err != nil {
			return nil
		}
		return r.TypedSpec().Addresses
	}
	own, other := m.nodeID("cp-1"), m.nodeID("cp-2")
	publish("cp-1", "10.5.0.2")
	publish("cp-2", "10.5.0.3")
	soon(t, "both are affiliates", func() bool {
		return len(addresses(cluster.NamespaceName, own)) == 1 && len(addresses(cluster.NamespaceName, other)) == 1
	})
	if raw := addresses(cluster.RawNamespaceName, "service/"+own); raw != nil {
		t.Errorf("the node itself is a raw affiliate with %v; want only the others", raw)
	}
	publish("cp-2", "10.5.0.3", "10.5.0.50")
	soon(t, "the VIP is among the other's addresses, raw ones too", func() bool {
		return len(addresses(cluster.RawNamespaceName, "service/"+other)) == 2 && len(addresses(cluster.NamespaceName, other)) == 2
	})
	soon(t, "all are discovered endpoints", func() bool {
		r, err := safe.StateGetByID[*k8s.Endpoint](t.Context(), m.state, k8s.ControlPlaneDiscoveredEndpointsID)
		return err == nil && slices.Equal(r.TypedSpec().Addresses,
			[]netip.Addr{netip.MustParseAddr("10.5.0.2"), netip.MustParseAddr("10.5.0.3"), testVIP})
	})
}

// greeter is an endpoint that says who it is.
func greeter(t *testing.T, name string) (endpoint k8s.KubePrismEndpoint, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintln(conn, name)
			_ = conn.Close()
		}
	}()
	stop = func() { _ = ln.Close() }
	t.Cleanup(stop)
	return k8s.KubePrismEndpoint{Host: "127.0.0.1", Port: uint32(ln.Addr().(*net.TCPAddr).Port)}, stop
}

// silent is an endpoint that says nothing, not even that it is none: its queue
// of connections is full.
func silent(t *testing.T) k8s.KubePrismEndpoint {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := addr.(*unix.SockaddrInet4).Port
	for { // until it is full
		conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), 100*time.Millisecond)
		if err != nil {
			return k8s.KubePrismEndpoint{Host: "127.0.0.1", Port: uint32(port)}
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

func TestKubePrismFindsTheServerThatLives(t *testing.T) {
	m, _, _ := newFake(t, nil)
	unowned := silent(t)
	dead, stop := greeter(t, "dead")
	stop()
	first, stopFirst := greeter(t, "first")
	second, stopSecond := greeter(t, "second")
	put(m, "k8s.KubePrismConfigController", k8s.NewKubePrismConfig(k8s.NamespaceName, k8s.KubePrismConfigID), func(r *k8s.KubePrismConfig) {
		r.TypedSpec().Endpoints = []k8s.KubePrismEndpoint{unowned, dead, first, second}
	})
	k := &kubePrism{m: m}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go k.check(t.Context())
	go k.serve(t.Context(), ln)
	ask := func() string {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		line, _ := bufio.NewReader(conn).ReadString('\n') // "" when nobody answers
		return line
	}
	healthy := func() bool {
		r, err := safe.StateGetByID[*k8s.KubePrismStatuses](t.Context(), m.state, k8s.KubePrismStatusesID)
		return err == nil && r.TypedSpec().Healthy
	}
	soon(t, "KubePrism is healthy", healthy)
	soon(t, "it found both that live", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.live()) == 2
	})
	if got := ask(); got != "first\n" {
		t.Errorf("answer = %q; want that of the first endpoint that lives", got)
	}
	if got := ask(); got != "second\n" {
		t.Errorf("the next answer = %q; want that of the next endpoint, for the first may only seem to live", got)
	}
	stopFirst()
	if got := ask(); got != "second\n" {
		t.Errorf("answer without the first = %q; want that of the second, at once", got)
	}
	stopSecond()
	soon(t, "KubePrism is not healthy", func() bool { return !healthy() })
	if got := ask(); got != "" {
		t.Errorf("answer without any = %q; want none", got)
	}
}
