//go:build linux

package node

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	configres "github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
)

// follow calls do at the start and after each change of a resource of the
// kinds, until the context ends.
func (m *machine) follow(ctx context.Context, do func(), kinds ...resource.Kind) {
	events := make(chan state.Event, 16)
	for _, kind := range kinds {
		if err := m.state.WatchKind(ctx, kind, events); err != nil {
			m.log.Printf("watch %s: %v", kind, err)
		}
	}
	do()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if e.Type == state.Errored {
				m.log.Printf("watch resources: %v", e.Error)
				return
			}
			do()
		}
	}
}

func kindOf(r resource.Resource) resource.Kind {
	return resource.NewMetadata(r.Metadata().Namespace(), r.Metadata().Type(), "", resource.VersionUndefined)
}

// followMembers keeps what Talos derives from the cluster's members.
func (m *machine) followMembers(ctx context.Context) {
	m.follow(ctx, m.deriveFromMembers,
		kindOf(cluster.NewMember(cluster.NamespaceName, "")), kindOf(configres.NewMachineConfig(nil)))
}

func (m *machine) deriveFromMembers() {
	list, err := safe.StateListAll[*cluster.Member](context.Background(), m.state)
	if err != nil {
		m.log.Printf("list the members: %v", err)
		return
	}
	members := slices.Collect(list.All())
	var discovered []netip.Addr
	for _, member := range members {
		m.publishAffiliate(member)
		if member.TypedSpec().ControlPlane != nil {
			discovered = append(discovered, member.TypedSpec().Addresses...)
		}
	}
	slices.SortFunc(discovered, netip.Addr.Compare)
	put(m, "cluster.EndpointController", k8s.NewEndpoint(k8s.ControlPlaneNamespaceName, k8s.ControlPlaneDiscoveredEndpointsID),
		func(r *k8s.Endpoint) { r.TypedSpec().Addresses = discovered })
	m.publishKubePrism(members)
}

// publishAffiliate publishes a member as discovery knows it: the node itself
// by its own word, the others as they came from the discovery service.
func (m *machine) publishAffiliate(member *cluster.Member) {
	s := member.TypedSpec()
	spec := cluster.AffiliateSpec{
		NodeID: s.NodeID, Addresses: s.Addresses, Hostname: s.Hostname, Nodename: member.Metadata().ID(),
		OperatingSystem: s.OperatingSystem, MachineType: s.MachineType, ControlPlane: s.ControlPlane,
	}
	fill := func(r *cluster.Affiliate) { *r.TypedSpec() = spec }
	if s.NodeID == m.nodeID(m.cfg.Name) {
		put(m, "cluster.LocalAffiliateController", cluster.NewAffiliate(cluster.NamespaceName, s.NodeID), fill)
		return
	}
	put(m, "cluster.DiscoveryServiceController", cluster.NewAffiliate(cluster.RawNamespaceName, "service/"+s.NodeID), fill)
	put(m, "cluster.AffiliateMergeController", cluster.NewAffiliate(cluster.NamespaceName, s.NodeID), fill)
}

// publishKubePrism publishes where the node's balancer of the Kubernetes API
// listens, and between what it chooses, where the machine configuration has
// one.
func (m *machine) publishKubePrism(members []*cluster.Member) {
	active, err := safe.StateGetByID[*configres.MachineConfig](context.Background(), m.state, configres.ActiveID)
	if err != nil || !active.Config().Machine().Features().KubePrism().Enabled() {
		return
	}
	endpoint := active.Config().Cluster().Endpoint()
	port, err := strconv.ParseUint(cmp.Or(endpoint.Port(), "443"), 10, 16)
	if err != nil {
		return // the configuration was checked before
	}
	list := []k8s.KubePrismEndpoint{{Host: endpoint.Hostname(), Port: uint32(port)}}
	if !m.cfg.Worker {
		list = append(list, k8s.KubePrismEndpoint{Host: "localhost", Port: apiserver.Port})
	}
	for _, member := range members {
		if member.TypedSpec().ControlPlane == nil {
			continue
		}
		for _, addr := range member.TypedSpec().Addresses {
			list = append(list, k8s.KubePrismEndpoint{Host: addr.String(), Port: uint32(member.TypedSpec().ControlPlane.APIServerPort)})
		}
	}
	put(m, "k8s.KubePrismEndpointsController", k8s.NewKubePrismEndpoints(k8s.NamespaceName, k8s.KubePrismEndpointsID),
		func(r *k8s.KubePrismEndpoints) { r.TypedSpec().Endpoints = list })
	put(m, "k8s.KubePrismConfigController", k8s.NewKubePrismConfig(k8s.NamespaceName, k8s.KubePrismConfigID), func(r *k8s.KubePrismConfig) {
		*r.TypedSpec() = k8s.KubePrismConfigSpec{Host: "127.0.0.1", Port: constants.DefaultKubePrismPort, Endpoints: list}
	})
}
