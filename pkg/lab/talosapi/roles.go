package talosapi

import (
	"context"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// rolesKey is the metadata key under which one apid tells another, and
// machined, the roles of the caller.
const rolesKey = "talos-role"

// errNotAuthorized is Talos's whole answer to a caller without the role.
var errNotAuthorized = status.Error(codes.PermissionDenied, "not authorized")

// allowedRoles returns the roles of which a caller needs one, for a method
// named as "/machine.MachineService/Version" (Talos v1.13.9
// internal/app/machined/pkg/system/services/machined.go).
func allowedRoles(method string) role.Set {
	switch service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/"); service {
	case "machine.MachineService":
		return machineRoles(name)
	case "cosi.resource.State":
		switch name {
		case "Get", "List", "Watch":
			return role.MakeSet(role.Admin, role.Operator, role.Reader)
		}
	case "machine.ImageService":
		return imageRoles(name)
	case "storage.StorageService":
		return storageRoles(name)
	case "time.TimeService", "cluster.ClusterService", "inspect.InspectService":
		return role.MakeSet(role.Admin, role.Operator, role.Reader)
	}
	return role.MakeSet(role.Admin)
}

func imageRoles(name string) role.Set {
	switch name {
	case "List":
		return role.MakeSet(role.Admin, role.Operator, role.Reader)
	case "Pull":
		return role.MakeSet(role.Admin, role.Operator)
	case "Verify":
		return role.MakeSet(role.Admin, role.Operator, role.Reader, role.ImageVerifier)
	}
	return role.MakeSet(role.Admin)
}

func storageRoles(name string) role.Set {
	if name == "Disks" {
		return role.MakeSet(role.Admin, role.Operator, role.Reader)
	}
	return role.MakeSet(role.Admin, role.Reader) // a reader's is refused by the method itself outside of maintenance
}

func machineRoles(name string) role.Set {
	switch name {
	case "Version", "Hostname", "SystemStat", "ServiceList", "Events", "CPUFreqStats", "CPUInfo", "Containers",
		"DiskStats", "DiskUsage", "Dmesg", "ImageList", "List", "LoadAvg", "Logs", "LogsContainers", "Memory",
		"Mounts", "NetworkDeviceStats", "Netstat", "Processes", "Stats":
		return role.MakeSet(role.Admin, role.Operator, role.Reader)
	case "ApplyConfiguration": // a reader's is refused by the method itself outside of maintenance
		return role.MakeSet(role.Admin, role.Reader)
	case "MetaWrite", "MetaDelete":
		return role.MakeSet(role.Admin, role.MetaWriter)
	case "EtcdMemberList", "EtcdStatus", "EtcdAlarmList":
		return role.MakeSet(role.Admin, role.Operator, role.Reader, role.EtcdBackup)
	case "EtcdSnapshot":
		return role.MakeSet(role.Admin, role.Operator, role.EtcdBackup)
	case "Reboot", "Shutdown", "Restart", "ServiceRestart", "ServiceStart", "ServiceStop", "PacketCapture",
		"EtcdAlarmDisarm", "EtcdDefragment", "ImagePull":
		return role.MakeSet(role.Admin, role.Operator)
	}
	return role.MakeSet(role.Admin)
}

// callerRoles returns the roles in the client's certificate (its
// organizations), or those that another apid, which is an impersonator, sends
// along.
func callerRoles(ctx context.Context) role.Set {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return role.Zero
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return role.Zero
	}
	roles, _ := role.Parse(info.State.PeerCertificates[0].Subject.Organization)
	if roles.Includes(role.Impersonator) {
		if sent, ok := sentRoles(ctx); ok {
			return sent
		}
	}
	return roles
}

// sentRoles returns the roles in a call's metadata.
func sentRoles(ctx context.Context) (role.Set, bool) {
	sent := metadata.ValueFromIncomingContext(ctx, rolesKey)
	if sent == nil {
		return role.Zero, false
	}
	roles, _ := role.Parse(sent)
	return roles, true
}

// authorize checks at machined, which trusts apid's word for the roles.
func authorize(ctx context.Context, method string) error {
	roles, _ := sentRoles(ctx)
	if !allowedRoles(method).IncludesAny(roles) {
		return errNotAuthorized
	}
	return nil
}

func authorizeUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := authorize(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func authorizeStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := authorize(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, stream)
}

// ReaderMetadata returns the metadata, as keys and values, with which a node's
// own client asks another node as os:reader.
func ReaderMetadata() []string { return []string{rolesKey, string(role.Reader)} }
