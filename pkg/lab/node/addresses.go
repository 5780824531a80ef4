//go:build linux

package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
)

const (
	nodeAddressOwner = "network.NodeAddressController"
	memberOwner      = "cluster.MemberController"
)

// addressEventEvery is how often Talos says its addresses unasked.
const addressEventEvery = 10 * time.Minute

// addresses is what Talos derives from the kernel's addresses: the lists that
// other parts choose from, the node's own entry among the members, and events.
type addresses struct {
	m *machine

	mu          sync.Mutex // guards what follows
	current     []netip.Prefix
	accumulated []netip.Prefix
}

// set takes the addresses of the links that are up.
func (a *addresses) set(all []netip.Prefix) {
	var current []netip.Prefix
	for _, p := range all {
		if !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			current = append(current, p)
		}
	}
	sortAddresses(current)
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Equal(current, a.current) {
		return
	}
	a.current = current
	for _, p := range current {
		if !slices.Contains(a.accumulated, p) {
			a.accumulated = append(a.accumulated, p)
		}
	}
	sortAddresses(a.accumulated)
	a.publish()
	a.announce()
}

// sortAddresses is Talos's algorithm v1: by number. So a VIP that is lower
// than the node's own address comes first.
func sortAddresses(list []netip.Prefix) {
	slices.SortFunc(list, func(x, y netip.Prefix) int {
		return cmp.Or(x.Addr().Compare(y.Addr()), cmp.Compare(x.Bits(), y.Bits()))
	})
}

// publish publishes the lists. The lab has no pod network: without Kubernetes'
// addresses each list is the same, and of those alone empty.
func (a *addresses) publish() {
	lists := map[string][]netip.Prefix{
		network.NodeAddressCurrentID:      a.current,
		network.NodeAddressRoutedID:       a.current,
		network.NodeAddressAccumulativeID: a.accumulated,
	}
	for id, list := range lists {
		a.put(id, list)
		a.put(network.FilteredNodeAddressID(id, "no-k8s"), list)
		a.put(network.FilteredNodeAddressID(id, "only-k8s"), nil)
	}
	a.put(network.NodeAddressDefaultID, []netip.Prefix{a.m.cfg.Addr})
	put(a.m, "network.StatusController", network.NewStatus(network.NamespaceName, network.StatusID), func(r *network.Status) {
		ready := len(a.current) > 0
		*r.TypedSpec() = network.StatusSpec{AddressReady: ready, ConnectivityReady: ready, HostnameReady: true, EtcFilesReady: true}
	})
	a.m.publishMember(Peer{Name: a.m.cfg.Name, Addr: a.m.cfg.Addr.Addr()}, a.current)
}

func (a *addresses) put(id string, list []netip.Prefix) {
	list = slices.Clone(list)
	put(a.m, nodeAddressOwner, network.NewNodeAddress(network.NamespaceName, id), func(r *network.NodeAddress) { r.TypedSpec().Addresses = list })
}

// announce emits the event with the current addresses.
func (a *addresses) announce() {
	e := &machineapi.AddressEvent{Hostname: a.m.cfg.Name}
	for _, p := range a.current {
		e.Addresses = append(e.Addresses, p.Addr().String())
	}
	a.m.events.Publish(e, "")
}

// repeat says the addresses again and again until the context ends.
func (a *addresses) repeat(ctx context.Context) {
	for pause(ctx, addressEventEvery) {
		a.mu.Lock()
		a.announce()
		a.mu.Unlock()
	}
}

// has reports whether the node carries the address now.
func (a *addresses) has(ip netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return ip.IsLoopback() || ip == a.m.cfg.Addr.Addr() ||
		slices.ContainsFunc(a.current, func(p netip.Prefix) bool { return p.Addr() == ip })
}

// publishMember publishes a node of the cluster as discovery knows it: an
// owner's addresses have the VIP among them.
func (m *machine) publishMember(p Peer, current []netip.Prefix) {
	if m.maintenance {
		return // it knows of no cluster
	}
	list := make([]netip.Addr, 0, len(current))
	for _, prefix := range current {
		list = append(list, prefix.Addr())
	}
	worker := slices.Contains(m.cfg.Workers, p)
	put(m, memberOwner, cluster.NewMember(cluster.NamespaceName, p.Name), func(r *cluster.Member) {
		*r.TypedSpec() = cluster.MemberSpec{
			NodeID: m.nodeID(p.Name), Addresses: list, Hostname: p.Name, MachineType: machineType(worker),
			OperatingSystem: "Talos (" + m.cfg.TalosVersion + ")",
		}
		if !worker {
			r.TypedSpec().ControlPlane = &cluster.ControlPlane{APIServerPort: 6443}
		}
	})
}

// nodeID returns a node's identity, which looks like Talos's and stays the
// same from boot to boot.
func (m *machine) nodeID(name string) string {
	sum := sha256.Sum256([]byte(m.cfg.Cluster + "/" + name))
	return strings.TrimRight(base64.URLEncoding.EncodeToString(sum[:]), "=")
}
