package talosapi

import (
	"context"
	"fmt"
	"strings"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/cosi-project/runtime/pkg/state/registry"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/secrets"
	"github.com/siderolabs/talos/pkg/machinery/resources/time"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// NewState returns a state without resources, in which Talos's namespaces and
// the definitions of its resources (types, aliases, sensitivity) are known.
func NewState(ctx context.Context) (state.State, error) {
	st := state.WrapCore(namespaced.NewState(inmem.Build))
	namespaces := registry.NewNamespaceRegistry(st)
	if err := namespaces.RegisterDefault(ctx); err != nil {
		return nil, fmt.Errorf("register the meta namespace: %w", err)
	}
	for _, ns := range []resource.Namespace{
		v1alpha1.NamespaceName, cluster.NamespaceName, cluster.RawNamespaceName, config.NamespaceName, etcd.NamespaceName,
		k8s.NamespaceName, k8s.ControlPlaneNamespaceName, network.NamespaceName, network.ConfigNamespaceName, secrets.NamespaceName,
	} {
		if err := namespaces.Register(ctx, ns, ""); err != nil {
			return nil, fmt.Errorf("register namespace %s: %w", ns, err)
		}
	}
	definitions := registry.NewResourceRegistry(st)
	if err := definitions.RegisterDefault(ctx); err != nil {
		return nil, fmt.Errorf("register the meta resources: %w", err)
	}
	for _, r := range defined() {
		if err := definitions.Register(ctx, r); err != nil {
			return nil, fmt.Errorf("register %s: %w", r.ResourceDefinition().Type, err)
		}
	}
	return st, nil
}

// defined returns one resource of each type that the lab's nodes define.
// Types that they define and never publish are here for their sensitivity: a
// reader is refused, not told that the type is unknown.
func defined() []meta.ResourceWithRD {
	return []meta.ResourceWithRD{
		&cluster.Affiliate{}, &cluster.Identity{}, &cluster.Info{}, &cluster.Member{},
		&config.MachineConfig{}, &config.MachineType{},
		&etcd.Config{}, &etcd.Member{}, &etcd.PKIStatus{}, &etcd.Spec{},
		&k8s.APIServerConfig{}, &k8s.Endpoint{}, &k8s.KubeletLifecycle{}, &k8s.KubePrismConfig{}, &k8s.KubePrismEndpoints{},
		&k8s.KubePrismStatuses{}, &k8s.NodeIP{}, &k8s.NodeIPConfig{}, &k8s.Nodename{}, &k8s.NodeStatus{}, &k8s.StaticPod{}, &k8s.StaticPodStatus{},
		&network.AddressSpec{}, &network.AddressStatus{}, &network.EthernetStatus{}, &network.HostnameStatus{}, &network.LinkSpec{},
		&network.LinkStatus{}, &network.NodeAddress{}, &network.OperatorSpec{}, &network.ProbeStatus{}, &network.ResolverStatus{},
		&network.RouteStatus{}, &network.Status{}, &network.TimeServerStatus{},
		&runtime.Diagnostic{}, &runtime.KernelParamStatus{}, &runtime.MachineStatus{}, &runtime.Version{},
		&secrets.CertSAN{}, &secrets.Etcd{}, &secrets.EtcdRoot{},
		&time.Status{}, &v1alpha1.Service{},
	}
}

// accessPolicy returns Talos's rule: nobody writes, sensitive types are for
// os:admin, and a type or namespace that is not registered is denied rather
// than not found (Talos v1.13.9 internal/app/resources).
func accessPolicy(st state.CoreState) state.FilteringRule {
	return func(ctx context.Context, access state.Access) error {
		if !access.Verb.Readonly() {
			return status.Error(codes.PermissionDenied, "write access denied")
		}
		if _, err := safe.StateGet[*meta.Namespace](ctx, st, meta.NewNamespace(access.ResourceNamespace, meta.NamespaceSpec{}).Metadata()); state.IsNotFoundError(err) {
			return status.Errorf(codes.PermissionDenied, "namespace %q is not supported", access.ResourceNamespace)
		} else if err != nil {
			return err
		}
		rd, err := safe.StateGet[*meta.ResourceDefinition](ctx, st, resource.NewMetadata(meta.NamespaceName,
			meta.ResourceDefinitionType, strings.ToLower(access.ResourceType), resource.VersionUndefined))
		if state.IsNotFoundError(err) {
			return status.Errorf(codes.PermissionDenied, "resource type %q is not supported", access.ResourceType)
		}
		if err != nil {
			return err
		}
		if roles, _ := sentRoles(ctx); rd.TypedSpec().Sensitivity == meta.Sensitive && !roles.Includes(role.Admin) {
			return errNotAuthorized
		}
		return nil
	}
}
