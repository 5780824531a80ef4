package talosapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/resource/meta/spec"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/api/cluster"
	"github.com/siderolabs/talos/pkg/machinery/api/inspect"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/api/storage"
	timeapi "github.com/siderolabs/talos/pkg/machinery/api/time"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Who may call, as Talos v1.13.9 has it in
// internal/app/machined/pkg/system/services/machined.go.
var (
	admin              = []role.Role{role.Admin}
	operators          = []role.Role{role.Admin, role.Operator}
	readers            = []role.Role{role.Admin, role.Operator, role.Reader}
	readersAndBackup   = []role.Role{role.Admin, role.Operator, role.Reader, role.EtcdBackup}
	operatorsAndBackup = []role.Role{role.Admin, role.Operator, role.EtcdBackup}
	metaWriters        = []role.Role{role.Admin, role.MetaWriter}
	verifiers          = []role.Role{role.Admin, role.Operator, role.Reader, role.ImageVerifier}
	maintenance        = []role.Role{role.Admin, role.Reader} // a reader in maintenance only, which the method checks
)

var everyRole = []role.Role{role.Admin, role.Operator, role.Reader, role.EtcdBackup, role.MetaWriter, role.ImageVerifier}

// mayCall is Talos's whole table. A method that is not in it is for os:admin.
var mayCall = map[string]map[string][]role.Role{
	"cluster.ClusterService": {
		"HealthCheck": readers,
	},
	"cosi.resource.State": {
		"Create":  admin,
		"Destroy": admin,
		"Get":     readers,
		"List":    readers,
		"Update":  admin,
		"Watch":   readers,
	},
	"inspect.InspectService": {
		"ControllerRuntimeDependencies": readers,
	},
	"machine.DebugService": {
		"ContainerRun": admin,
	},
	"machine.ImageService": {
		"Import": admin,
		"List":   readers,
		"Pull":   operators,
		"Remove": admin,
		"Verify": verifiers,
	},
	"machine.LifecycleService": {
		"Install": admin,
		"Upgrade": admin,
	},
	"machine.MachineService": {
		"ApplyConfiguration":          maintenance,
		"Bootstrap":                   admin,
		"CPUFreqStats":                readers,
		"CPUInfo":                     readers,
		"Containers":                  readers,
		"Copy":                        admin,
		"DiskStats":                   readers,
		"DiskUsage":                   readers,
		"Dmesg":                       readers,
		"EtcdAlarmDisarm":             operators,
		"EtcdAlarmList":               readersAndBackup,
		"EtcdDefragment":              operators,
		"EtcdDowngradeCancel":         admin,
		"EtcdDowngradeEnable":         admin,
		"EtcdDowngradeValidate":       admin,
		"EtcdForfeitLeadership":       admin,
		"EtcdLeaveCluster":            admin,
		"EtcdMemberList":              readersAndBackup,
		"EtcdRecover":                 admin,
		"EtcdRemoveMemberByID":        admin,
		"EtcdSnapshot":                operatorsAndBackup,
		"EtcdStatus":                  readersAndBackup,
		"Events":                      readers,
		"GenerateClientConfiguration": admin,
		"Hostname":                    readers,
		"ImageList":                   readers,
		"ImagePull":                   operators,
		"Kubeconfig":                  admin,
		"List":                        readers,
		"LoadAvg":                     readers,
		"Logs":                        readers,
		"LogsContainers":              readers,
		"Memory":                      readers,
		"MetaDelete":                  metaWriters,
		"MetaWrite":                   metaWriters,
		"Mounts":                      readers,
		"Netstat":                     readers,
		"NetworkDeviceStats":          readers,
		"PacketCapture":               operators,
		"Processes":                   readers,
		"Read":                        admin,
		"Reboot":                      operators,
		"Reset":                       admin,
		"Restart":                     operators,
		"Rollback":                    admin,
		"ServiceList":                 readers,
		"ServiceRestart":              operators,
		"ServiceStart":                operators,
		"ServiceStop":                 operators,
		"Shutdown":                    operators,
		"Stats":                       readers,
		"SystemStat":                  readers,
		"Upgrade":                     admin,
		"Version":                     readers,
	},
	"storage.StorageService": {
		"BlockDeviceWipe": maintenance,
		"Disks":           readers,
	},
	"time.TimeService": {
		"Time":      readers,
		"TimeCheck": readers,
	},
}

// services are those of machined.
var services = []grpc.ServiceDesc{
	cluster.ClusterService_ServiceDesc, inspect.InspectService_ServiceDesc, machine.DebugService_ServiceDesc, machine.ImageService_ServiceDesc,
	machine.LifecycleService_ServiceDesc, machine.MachineService_ServiceDesc, storage.StorageService_ServiceDesc,
	timeapi.TimeService_ServiceDesc, cosiv1alpha1.State_ServiceDesc,
}

// methods returns the names of all methods of a service.
func methods(s grpc.ServiceDesc) (names []string) {
	for _, m := range s.Methods {
		names = append(names, m.MethodName)
	}
	for _, m := range s.Streams {
		names = append(names, m.StreamName)
	}
	return names
}

func rolesOf(service, method string) []role.Role {
	if roles := mayCall[service][method]; roles != nil {
		return roles
	}
	return admin
}

func TestEveryMethodIsForTheRolesThatTalosGivesIt(t *testing.T) {
	for _, s := range services {
		for _, name := range methods(s) {
			allowed, want := allowedRoles("/"+s.ServiceName+"/"+name), rolesOf(s.ServiceName, name)
			for _, r := range everyRole {
				if got, want := allowed.Includes(r), slices.Contains(want, r); got != want {
					t.Errorf("allowedRoles(/%s/%s).Includes(%s) = %v; want %v", s.ServiceName, name, r, got, want)
				}
			}
			if allowed.IncludesAny(role.Zero) {
				t.Errorf("allowedRoles(/%s/%s) includes who has no role", s.ServiceName, name)
			}
		}
	}
	if allowed := allowedRoles("/machine.MachineService/NotYetKnown"); !slices.Equal(allowed.Strings(), []string{string(role.Admin)}) {
		t.Errorf("allowedRoles of a method that is not in the table = %v; want os:admin", allowed.Strings())
	}
}

// call calls a method with an empty request, and reports whether the caller's
// role was refused. What else comes of the call is not asked.
func call(ctx context.Context, c *client.Client, method string) (refused bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // some streams would go on
	defer cancel()
	stream, err := c.Conn().NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return isNotAuthorized(err), err
	}
	_ = stream.SendMsg(&emptypb.Empty{}) // io.EOF if the call has ended: why, RecvMsg knows
	_ = stream.CloseSend()
	err = stream.RecvMsg(&emptypb.Empty{})
	return isNotAuthorized(err), err
}

func isNotAuthorized(err error) bool {
	return status.Code(err) == codes.PermissionDenied && strings.HasSuffix(err.Error(), "not authorized")
}

func TestEveryMethodOverTheWireWithEachRole(t *testing.T) {
	c := newFleet(t, "127.0.0.1")
	registered := newBack(Config{State: c.nodes["127.0.0.1"].state}).GetServiceInfo()
	for _, r := range everyRole {
		cl := c.client("127.0.0.1", string(r))
		for service, info := range registered {
			for _, m := range info.Methods {
				refused, err := call(t.Context(), cl, "/"+service+"/"+m.Name)
				if want := !slices.Contains(rolesOf(service, m.Name), r); refused != want && !slices.Equal(rolesOf(service, m.Name), maintenance) {
					t.Errorf("%s.%s() as %s = %v; want it refused: %v", service, m.Name, r, err, want)
				}
			}
		}
	}
}

// sensitive are the types that only os:admin reads in v1.13.9
// (pkg/machinery/resources).
var sensitive = strings.Fields(`
	APIServerConfigs.kubernetes.talos.dev ApiCertificates.secrets.talos.dev AuditPolicyConfigs.kubernetes.talos.dev
	AuthorizationConfigs.kubernetes.talos.dev CertSANs.secrets.talos.dev DeviceConfigSpecs.net.talos.dev DiscoveryConfigs.cluster.talos.dev
	EncryptionSalts.secrets.talos.dev EtcFileSpecs.files.talos.dev EtcdRootSecrets.secrets.talos.dev EtcdSecrets.secrets.talos.dev
	ExtensionServiceConfigs.runtime.talos.dev KubeSpanConfigs.kubespan.talos.dev KubeSpanIdentities.kubespan.talos.dev
	KubeletConfigs.kubernetes.talos.dev KubeletSecrets.secrets.talos.dev KubeletSpecs.kubernetes.talos.dev
	KubernetesDynamicCerts.secrets.talos.dev KubernetesRootSecrets.secrets.talos.dev KubernetesSecrets.secrets.talos.dev
	LinkSpecs.net.talos.dev MachineConfigs.config.talos.dev MaintenanceRootSecrets.secrets.talos.dev NodeAnnotationSpecs.k8s.talos.dev
	NodeCordonedSpecs.k8s.talos.dev NodeLabelSpecs.k8s.talos.dev NodeTaintSpecs.k8s.talos.dev OOMActions.talos.dev
	OSRootSecrets.secrets.talos.dev OperatorSpecs.net.talos.dev RegistryConfigs.cri.talos.dev SiderolinkConfigs.siderolink.talos.dev
	SiderolinkTunnels.siderolink.talos.dev TrustdCertificates.secrets.talos.dev VolumeConfigs.block.talos.dev`)

func TestEveryResourceTypeIsReadByTheRolesThatTalosGivesIt(t *testing.T) {
	c := newFleet(t, "127.0.0.1")
	for _, r := range everyRole {
		cl := c.client("127.0.0.1", string(r))
		for _, res := range defined() {
			rd := res.ResourceDefinition()
			ptr := resource.NewMetadata(rd.DefaultNamespace, rd.Type, "none", resource.VersionUndefined)
			want := slices.Contains(readers, r) && (r == role.Admin || !slices.Contains(sensitive, rd.Type))
			_, err := cl.COSI.Get(t.Context(), ptr)
			if got := state.IsNotFoundError(err); got != want || !got && !isNotAuthorized(err) {
				t.Errorf("Get(%s) as %s = %v; want it allowed: %v", rd.Type, r, err, want)
			}
			_, err = cl.COSI.List(t.Context(), ptr)
			if got := err == nil; got != want || !got && !isNotAuthorized(err) {
				t.Errorf("List(%s) as %s = %v; want it allowed: %v", rd.Type, r, err, want)
			}
		}
	}
}

func TestNobodyWrites(t *testing.T) {
	c := newFleet(t, "127.0.0.1")
	for _, r := range everyRole {
		cl := c.client("127.0.0.1", string(r))
		res := network.NewHostnameStatus(network.NamespaceName, network.HostnameID)
		want := "not authorized"
		if r == role.Admin {
			want = "write access is not allowed"
		}
		for verb, err := range map[string]error{
			"Create": cl.COSI.Create(t.Context(), res), "Update": cl.COSI.Update(t.Context(), res), "Destroy": cl.COSI.Destroy(t.Context(), res.Metadata()),
		} {
			// The client makes an error of its own of a refusal.
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s as %s = %v; want %q", verb, r, err, want)
			}
		}
	}
}

func TestUnknownTypesAndNamespacesAreDenied(t *testing.T) {
	cl := newFleet(t, "127.0.0.1").client("127.0.0.1", string(role.Admin))
	for want, md := range map[string]resource.Metadata{
		`resource type "BGPStatuses.net.talos.dev" is not supported`: resource.NewMetadata("network", "BGPStatuses.net.talos.dev", "x", resource.VersionUndefined),
		`namespace "nowhere" is not supported`:                       resource.NewMetadata("nowhere", network.AddressStatusType, "x", resource.VersionUndefined),
		// The type is looked at first.
		`resource type "Nothings.talos.dev" is not supported`: resource.NewMetadata("nowhere", "Nothings.talos.dev", "x", resource.VersionUndefined),
	} {
		_, err := cl.COSI.Get(t.Context(), md)
		if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), want) {
			t.Errorf("Get(%s) = %v; want PermissionDenied with %q", md, err, want)
		}
	}
}

func TestAPIServerConfigBecameSensitive(t *testing.T) {
	for version, want := range map[string]spec.Sensitivity{
		"v1.8.0": meta.NonSensitive, "v1.11.3": meta.NonSensitive, "v1.12.8": meta.NonSensitive, "v1.12.9": meta.Sensitive,
		"v1.13.0": meta.NonSensitive, "v1.13.3": meta.NonSensitive, "v1.13.4": meta.Sensitive, "v1.13.9": meta.Sensitive,
		"v1.14.0-rc.1": meta.Sensitive, "unreadable": meta.Sensitive,
	} {
		st, err := NewState(t.Context(), version)
		if err != nil {
			t.Fatal(err)
		}
		id := strings.ToLower(k8s.APIServerConfigType)
		rd, err := safe.StateGetByID[*meta.ResourceDefinition](t.Context(), st, id)
		if err != nil {
			t.Fatal(err)
		}
		if got := rd.TypedSpec().Sensitivity; got != want {
			t.Errorf("in %s APIServerConfigs are %q; want %q", version, got, want)
		}
	}
}

// The aliases are those that people type.
func TestAliases(t *testing.T) {
	cl := newFleet(t, "127.0.0.1").client("127.0.0.1", string(role.Reader))
	for alias, want := range map[string]resource.Type{
		"address": "AddressStatuses.net.talos.dev", "addresses": "AddressStatuses.net.talos.dev",
		"addressspec": "AddressSpecs.net.talos.dev", "operatorspec": "OperatorSpecs.net.talos.dev", "link": "LinkStatuses.net.talos.dev",
		"links": "LinkStatuses.net.talos.dev", "ethtool": "EthernetStatuses.net.talos.dev", "nodeaddress": "NodeAddresses.net.talos.dev",
		"hostname": "HostnameStatuses.net.talos.dev", "route": "RouteStatuses.net.talos.dev", "routes": "RouteStatuses.net.talos.dev",
		"netstatus": "NetworkStatuses.net.talos.dev", "resolvers": "ResolverStatuses.net.talos.dev", "timeservers": "TimeServerStatuses.net.talos.dev",
		"etcdmember": "EtcdMembers.etcd.talos.dev", "etcdspec": "EtcdSpecs.etcd.talos.dev", "etcdconfig": "EtcdConfigs.etcd.talos.dev",
		"certsan": "CertSANs.secrets.talos.dev", "svc": "Services.v1alpha1.talos.dev", "service": "Services.v1alpha1.talos.dev",
		"podstatus": "StaticPodStatuses.kubernetes.talos.dev", "machinestatus": "MachineStatuses.runtime.talos.dev",
		"machinetype": "MachineTypes.config.talos.dev", "mc": "MachineConfigs.config.talos.dev", "member": "Members.cluster.talos.dev",
		"affiliate": "Affiliates.cluster.talos.dev", "apiserverconfig": "APIServerConfigs.kubernetes.talos.dev",
		"endpoint": "Endpoints.kubernetes.talos.dev", "nodeip": "NodeIPs.kubernetes.talos.dev", "nodestatus": "NodeStatuses.kubernetes.talos.dev",
		"timestatus": "TimeStatuses.v1alpha1.talos.dev", "version": "Versions.runtime.talos.dev", "diagnostic": "Diagnostics.runtime.talos.dev",
		"sysctls": "KernelParamStatuses.runtime.talos.dev", "probe": "ProbeStatuses.net.talos.dev", "rd": "ResourceDefinitions.meta.cosi.dev",
	} {
		namespace := resource.Namespace("")
		rd, err := cl.ResolveResourceKind(t.Context(), &namespace, alias)
		if err != nil || rd.TypedSpec().Type != want || namespace != rd.TypedSpec().DefaultNamespace {
			t.Errorf("ResolveResourceKind(%q) = %v, %v in %q; want %s", alias, rd, err, namespace, want)
		}
	}
}

func TestMethodsOfTheTableExist(t *testing.T) {
	for service, rules := range mayCall {
		i := slices.IndexFunc(services, func(s grpc.ServiceDesc) bool { return s.ServiceName == service })
		if i < 0 {
			t.Errorf("no service %s", service)
			continue
		}
		for name := range rules {
			if !slices.Contains(methods(services[i]), name) {
				t.Errorf("no method %s", fmt.Sprintf("/%s/%s", service, name))
			}
		}
	}
}
