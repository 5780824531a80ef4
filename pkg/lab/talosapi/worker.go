package talosapi

import (
	"context"
	"strings"

	"github.com/siderolabs/grpc-proxy/proxy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// directWorker is the director of a worker, which has no certificate to ask
// other nodes with (Talos v1.13.9 internal/app/apid/pkg/director/director.go).
func (r *router) directWorker(method string, nodes, node []string) (proxy.Mode, []proxy.Backend, error) {
	if len(node) == 1 && r.isLocal(node[0]) {
		node = nil
	}
	if len(nodes) == 1 && r.isLocal(nodes[0]) {
		nodes = nil
	}
	switch {
	case nodes != nil && !answersForMany(method):
		return proxy.One2One, nil, status.Errorf(codes.InvalidArgument, "one-2-many proxying is not supported for method %s", method)
	case nodes != nil || node != nil:
		return proxy.One2One, nil, status.Error(codes.PermissionDenied, "no request forwarding")
	}
	return proxy.One2One, []proxy.Backend{&backend{conn: r.local}}, nil
}

// controlPlaneAPI returns what Talos calls a method that only control planes
// have, or "" (Talos v1.13.9 internal/app/machined/internal/server/v1alpha1).
func controlPlaneAPI(method string) string {
	switch strings.TrimPrefix(method, "/") {
	case "cluster.ClusterService/HealthCheck":
		return "cluster health check"
	case "machine.MachineService/Bootstrap":
		return "bootstrap"
	case "machine.MachineService/Kubeconfig":
		return "kubeconfig"
	case "machine.MachineService/GenerateClientConfiguration":
		return "generate client configuration"
	case "machine.MachineService/EtcdMemberList":
		return "member list"
	case "machine.MachineService/EtcdRemoveMemberByID":
		return "etcd remove member"
	case "machine.MachineService/EtcdLeaveCluster":
		return "etcd leave"
	case "machine.MachineService/EtcdForfeitLeadership":
		return "etcd forfeit leadership"
	case "machine.MachineService/EtcdSnapshot":
		return "etcd snapshot"
	case "machine.MachineService/EtcdRecover":
		return "etcd recover"
	case "machine.MachineService/EtcdAlarmList":
		return "etcd alarm list"
	case "machine.MachineService/EtcdAlarmDisarm":
		return "etcd alarm disarm"
	case "machine.MachineService/EtcdDefragment":
		return "etcd defragment"
	case "machine.MachineService/EtcdStatus":
		return "etcd status"
	case "machine.MachineService/EtcdDowngradeCancel":
		return "etcd downgrade cancel"
	case "machine.MachineService/EtcdDowngradeEnable":
		return "etcd downgrade enable"
	case "machine.MachineService/EtcdDowngradeValidate":
		return "etcd downgrade validate"
	}
	return ""
}

// refusal returns why a node of this kind cannot serve the method; nil if it
// can.
//
// In maintenance Talos takes a configuration and boots on with it. The lab's
// node has one, which undoing the fault gives back.
func (cfg Config) refusal(method string) error {
	api := controlPlaneAPI(method)
	switch {
	case api != "" && (cfg.Worker || cfg.Maintenance):
		return status.Errorf(codes.Unimplemented, "%s is only available on control plane nodes", api)
	case cfg.Maintenance && method == "/machine.MachineService/ApplyConfiguration":
		return status.Error(codes.Unimplemented, "a node of a lab takes no configuration over its API")
	}
	return nil
}

// refuseUnary runs behind the check of roles, as on Talos.
func (cfg Config) refuseUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := cfg.refusal(info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (cfg Config) refuseStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := cfg.refusal(info.FullMethod); err != nil {
		return err
	}
	return next(srv, stream)
}
