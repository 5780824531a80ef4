package talosapi

import (
	"context"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/role"
)

// A node without a configuration serves the same API on the same port, with a
// certificate of its own making, to everybody, as os:reader, and passes no call
// on (Talos v1.13.9
// internal/app/machined/pkg/controllers/runtime/api_service_config.go).

// rolesOf returns the caller's roles as the front sees them.
func (b *backend) rolesOf(ctx context.Context) role.Set {
	if b.maintenance {
		return role.MakeSet(role.Reader)
	}
	return callerRoles(ctx)
}

// features are what Version says: without a configuration, nothing.
func (cfg Config) features() *machine.FeaturesInfo {
	if cfg.Maintenance {
		return nil
	}
	return &machine.FeaturesInfo{Rbac: true}
}
