package talos

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/vipctl/vipctl/pkg/cluster"
	"google.golang.org/protobuf/types/known/emptypb"
)

type (
	seenAddrs     = cluster.Seen[[]netip.Addr]
	seenAddresses = cluster.Seen[[]cluster.Address]
)

// get reads one resource by its ID.
func get[T resource.Resource](ctx context.Context, api *talosclient.Client, ns resource.Namespace, typ resource.Type, id resource.ID) (T, error) {
	return safe.StateGet[T](ctx, api.COSI, resource.NewMetadata(ns, typ, id, resource.VersionUndefined))
}

// list reads all resources of a type.
func list[T resource.Resource](ctx context.Context, api *talosclient.Client, ns resource.Namespace, typ resource.Type) ([]T, error) {
	l, err := safe.StateList[T](ctx, api.COSI, resource.NewMetadata(ns, typ, "", resource.VersionUndefined))
	if err != nil {
		return nil, err
	}
	out := make([]T, 0, l.Len())
	for r := range l.All() {
		out = append(out, r)
	}
	return out, nil
}

// The kernel's host name: it is what the owner writes into its election key.
func readHostname(ctx context.Context, api *talosclient.Client) (string, error) {
	resp, err := talosclient.FilterMessages(api.MachineClient.Hostname(ctx, &emptypb.Empty{}))
	switch {
	case err != nil:
		return "", err
	case len(resp.GetMessages()) == 0 || resp.GetMessages()[0].GetHostname() == "":
		return "", errEmpty
	}
	return plainName(resp.GetMessages()[0].GetHostname()), nil
}

func readType(ctx context.Context, api *talosclient.Client) (string, error) {
	r, err := get[*config.MachineType](ctx, api, config.NamespaceName, config.MachineTypeType, config.MachineTypeID)
	if err != nil {
		return "", err
	}
	return r.MachineType().String(), nil
}

func readMemberID(ctx context.Context, api *talosclient.Client) (string, error) {
	r, err := get[*etcd.Member](ctx, api, etcd.NamespaceName, etcd.MemberType, etcd.LocalMemberID)
	if err != nil {
		return "", err
	}
	return strings.ToLower(line(r.TypedSpec().MemberID)), nil
}

func readAddresses(ctx context.Context, api *talosclient.Client) ([]cluster.Address, error) {
	found, err := list[*network.AddressStatus](ctx, api, network.NamespaceName, network.AddressStatusType)
	if err != nil {
		return nil, err
	}
	out := make([]cluster.Address, 0, len(found))
	for _, r := range found {
		spec := r.TypedSpec()
		out = append(out, cluster.Address{Prefix: sound(spec.Address), Link: line(spec.LinkName), Broadcast: spec.Broadcast, Flags: spec.Flags.String()})
	}
	return out, nil
}

func readLinks(ctx context.Context, api *talosclient.Client) ([]cluster.Link, error) {
	found, err := list[*network.LinkStatus](ctx, api, network.NamespaceName, network.LinkStatusType)
	if err != nil {
		return nil, err
	}
	out := make([]cluster.Link, 0, len(found))
	for _, r := range found {
		spec := r.TypedSpec()
		out = append(out, cluster.Link{
			Name: line(r.Metadata().ID()), State: spec.OperationalState.String(), Type: spec.Type.String(), Kind: line(spec.Kind),
			HardwareAddr: macString(spec.HardwareAddr),
		})
	}
	return out, nil
}

// Talos excludes exactly the configured VIPs from what etcd advertises. That
// shows them to os:reader, who may not read the machine configuration.
func readVIPs(ctx context.Context, api *talosclient.Client) ([]netip.Addr, error) {
	r, err := get[*etcd.Config](ctx, api, etcd.NamespaceName, etcd.ConfigType, etcd.ConfigID)
	if err != nil {
		return nil, err
	}
	vips := slices.DeleteFunc(singleAddrs(r.TypedSpec().AdvertiseExcludeSubnets), func(a netip.Addr) bool { return !unicast(a) })
	return vips, fewEnough(len(vips), "VIPs")
}

func readAdvertise(ctx context.Context, api *talosclient.Client) ([]netip.Addr, error) {
	r, err := get[*etcd.Spec](ctx, api, etcd.NamespaceName, etcd.SpecType, etcd.SpecID)
	if err != nil {
		return nil, err
	}
	return r.TypedSpec().AdvertisedAddresses, nil
}

func readNodeIPs(ctx context.Context, api *talosclient.Client) ([]netip.Addr, error) {
	r, err := get[*k8s.NodeIP](ctx, api, k8s.NamespaceName, k8s.NodeIPType, k8s.KubeletID)
	if err != nil {
		return nil, err
	}
	return unmapped(r.TypedSpec().Addresses), nil
}

// maxMachines is how many VIPs, members or control-plane nodes one node may
// name. Nine are many; who names thousands would have us ask all the world.
const maxMachines = 40

func fewEnough(n int, what string) error {
	if n > maxMachines {
		return fmt.Errorf("the answer names %d %s, which cannot be, and was not believed", n, what)
	}
	return nil
}

func unmapped(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		out[i] = a.Unmap()
	}
	return out
}

func readDiscovery(ctx context.Context, api *talosclient.Client) ([]cluster.PeerAddress, error) {
	found, err := list[*clusterres.Member](ctx, api, clusterres.NamespaceName, clusterres.MemberType)
	if err != nil {
		return nil, err
	}
	out, leaders := make([]cluster.PeerAddress, 0, len(found)), 0
	for _, r := range found {
		spec := r.TypedSpec()
		p := cluster.PeerAddress{Hostname: plainName(spec.Hostname), ControlPlane: spec.MachineType.IsControlPlane(), Addresses: unmapped(spec.Addresses)}
		if p.ControlPlane {
			leaders++
		}
		out = append(out, p)
	}
	return out, fewEnough(leaders, "control-plane nodes")
}

func readVersion(ctx context.Context, api *talosclient.Client) (cluster.Version, error) {
	resp, err := api.Version(ctx)
	switch {
	case err != nil:
		return cluster.Version{}, err
	case len(resp.GetMessages()) == 0:
		return cluster.Version{}, errEmpty
	}
	m := resp.GetMessages()[0]
	return cluster.Version{Tag: line(m.GetVersion().GetTag()), Platform: line(m.GetPlatform().GetName()), Mode: line(m.GetPlatform().GetMode())}, nil
}

func readStage(ctx context.Context, api *talosclient.Client) (cluster.Stage, error) {
	r, err := get[*runtime.MachineStatus](ctx, api, runtime.NamespaceName, runtime.MachineStatusType, runtime.MachineStatusID)
	if err != nil {
		return cluster.Stage{}, err
	}
	spec := r.TypedSpec()
	stage := cluster.Stage{Stage: spec.Stage.String(), Ready: spec.Status.Ready}
	for _, c := range spec.Status.UnmetConditions {
		stage.Unmet = append(stage.Unmet, line(c.Name+": "+c.Reason))
	}
	return stage, nil
}

func readBootTime(ctx context.Context, api *talosclient.Client) (time.Time, error) {
	resp, err := talosclient.FilterMessages(api.MachineClient.SystemStat(ctx, &emptypb.Empty{}))
	switch {
	case err != nil:
		return time.Time{}, err
	case len(resp.GetMessages()) == 0 || resp.GetMessages()[0].GetBootTime() == 0:
		return time.Time{}, errEmpty
	}
	return bootTime(resp.GetMessages()[0].GetBootTime())
}

func readServices(ctx context.Context, api *talosclient.Client) ([]cluster.Service, error) {
	resp, err := api.ServiceList(ctx)
	if err != nil {
		return nil, err
	}
	return services(resp), nil
}

// readMembers asks the node's own etcd: Talos would otherwise ask any member, so
// that no node's view could be told from another's, and shake hands with all.
func readMembers(ctx context.Context, api *talosclient.Client) ([]cluster.Member, error) {
	resp, err := api.EtcdMemberList(ctx, &machineapi.EtcdMemberListRequest{QueryLocal: true})
	if err != nil {
		return nil, err
	}
	list := members(resp)
	return list, fewEnough(len(list), "members")
}

func readEtcd(ctx context.Context, api *talosclient.Client) (cluster.EtcdStatus, error) {
	resp, err := api.EtcdStatus(ctx)
	switch {
	case err != nil:
		return cluster.EtcdStatus{}, err
	case len(resp.GetMessages()) == 0 || resp.GetMessages()[0].GetMemberStatus() == nil:
		return cluster.EtcdStatus{}, errEmpty
	}
	return etcdStatus(resp.GetMessages()[0].GetMemberStatus()), nil
}

func readAlarms(ctx context.Context, api *talosclient.Client) ([]cluster.Alarm, error) {
	resp, err := api.EtcdAlarmList(ctx)
	if err != nil {
		return nil, err
	}
	return alarms(resp), nil
}

// The namespace network has what is to be, by whoever won; network-config has
// what each layer would like.
func readLayers(ctx context.Context, api *talosclient.Client) ([]cluster.Layered, error) {
	found, err := list[*network.AddressSpec](ctx, api, network.NamespaceName, network.AddressSpecType)
	if err != nil {
		return nil, err
	}
	out := make([]cluster.Layered, 0, len(found))
	for _, r := range found {
		spec := r.TypedSpec()
		out = append(out, cluster.Layered{Prefix: sound(spec.Address), Link: line(spec.LinkName), Layer: layer(spec.ConfigLayer)})
	}
	return out, nil
}

// readCampaigns tells campaigns by their finalizers. Without the resource, or
// while it is torn down, nobody may campaign.
func readCampaigns(ctx context.Context, api *talosclient.Client) ([]string, error) {
	r, err := get[*k8s.KubeletLifecycle](ctx, api, k8s.NamespaceName, k8s.KubeletLifecycleType, k8s.KubeletLifecycleID)
	switch {
	case state.IsNotFoundError(err):
		return []string{}, nil
	case err != nil:
		return nil, err
	}
	return campaigns(r.Metadata()), nil
}

// readClock takes the node's time to be that of the middle of the question.
// The node answers after it has asked its NTP server, and not at all without one;
// that Error bounds the difference is true nevertheless.
func readClock(ctx context.Context, api *talosclient.Client) (cluster.Clock, error) {
	asked := time.Now()
	resp, err := talosclient.FilterMessages(api.TimeClient.Time(ctx, &emptypb.Empty{}))
	took := time.Since(asked)
	switch {
	case err != nil:
		return cluster.Clock{}, err
	case len(resp.GetMessages()) == 0 || resp.GetMessages()[0].GetLocaltime() == nil:
		return cluster.Clock{}, errEmpty
	}
	there := resp.GetMessages()[0].GetLocaltime().AsTime() // remotetime is the NTP server's
	return cluster.Clock{Ahead: there.Sub(asked.Add(took / 2)).Seconds(), Error: (took / 2).Seconds()}, nil
}

func readStaticPod(ctx context.Context, api *talosclient.Client) (cluster.APIServerPod, error) {
	pods, err := list[*k8s.StaticPodStatus](ctx, api, k8s.NamespaceName, k8s.StaticPodStatusType)
	if err != nil {
		return cluster.APIServerPod{}, err
	}
	return apiServerPod(pods)
}
