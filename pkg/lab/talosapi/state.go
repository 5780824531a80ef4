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
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// NewState returns a state without resources, in which the namespaces and the
// definitions of the resources (types, aliases, sensitivity) are those of that
// version of Talos ("v1.13.9"). A version that cannot be read counts as the
// newest.
func NewState(ctx context.Context, talosVersion string) (state.State, error) {
	st := state.WrapCore(namespaced.NewState(inmem.Build))
	spaces := registry.NewNamespaceRegistry(st)
	if err := spaces.RegisterDefault(ctx); err != nil {
		return nil, fmt.Errorf("register the meta namespace: %w", err)
	}
	for _, ns := range namespaces() {
		if err := spaces.Register(ctx, ns.name, ns.description); err != nil {
			return nil, fmt.Errorf("register namespace %s: %w", ns.name, err)
		}
	}
	definitions := registry.NewResourceRegistry(st)
	if err := definitions.RegisterDefault(ctx); err != nil {
		return nil, fmt.Errorf("register the meta resources: %w", err)
	}
	for _, r := range defined() {
		if _, ok := r.(*k8s.APIServerConfig); ok && readersSeeAPIServerConfig(talosVersion) {
			r = openDefinition{r}
		}
		if err := definitions.Register(ctx, r); err != nil {
			return nil, fmt.Errorf("register %s: %w", r.ResourceDefinition().Type, err)
		}
	}
	return st, nil
}

// readersSeeAPIServerConfig reports whether APIServerConfigs are not yet
// sensitive in a version: up to v1.12.8, and from v1.13.0 to v1.13.3.
func readersSeeAPIServerConfig(talosVersion string) bool {
	var major, minor, patch int
	if _, err := fmt.Sscanf(talosVersion, "v%d.%d.%d", &major, &minor, &patch); err != nil || major > 1 {
		return false
	}
	switch minor {
	case 12:
		return patch <= 8
	case 13:
		return patch <= 3
	}
	return minor < 12
}

// openDefinition is a resource as it was defined before it became sensitive.
type openDefinition struct{ meta.ResourceWithRD }

// ResourceDefinition returns the definition without its sensitivity.
func (o openDefinition) ResourceDefinition() meta.ResourceDefinitionSpec {
	spec := o.ResourceWithRD.ResourceDefinition()
	spec.Sensitivity = meta.NonSensitive
	return spec
}

// accessPolicy returns Talos's rule: nobody writes, sensitive types are for
// os:admin, and a type or namespace that is not registered is denied rather
// than not found, in this order (Talos v1.13.9 internal/app/resources/access.go).
func accessPolicy(st state.CoreState) state.FilteringRule {
	return func(ctx context.Context, access state.Access) error {
		if !access.Verb.Readonly() {
			return status.Error(codes.PermissionDenied, "write access is not allowed")
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
		_, err = safe.StateGet[*meta.Namespace](ctx, st, meta.NewNamespace(access.ResourceNamespace, meta.NamespaceSpec{}).Metadata())
		if state.IsNotFoundError(err) {
			return status.Errorf(codes.PermissionDenied, "namespace %q is not supported", access.ResourceNamespace)
		}
		return err
	}
}
