package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/client"
	talosconfig "github.com/siderolabs/talos/pkg/machinery/config"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/secrets"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.yaml.in/yaml/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// published is what a node that owns the VIP publishes. In IDs and fields $IP
// stands for the node's address, $NODE for its name and $ID for its identity.
var published = []struct {
	kind      string // alias or type, as a user types it
	namespace string // "" is the type's own
	ids       string // all of them; "*" at the end: and others; "" for none
	owner     string // the controller that publishes the first
	fields    string // lines of the first one's spec
	admin     bool   // not for os:reader
}{
	{"addressstatus", "", "eth0/10.5.0.50/32 eth0/$IP/24 *", "network.AddressStatusController", "address: 10.5.0.50/32|linkName: eth0|family: inet4|scope: global|flags: permanent", false},
	{"addressspec", "", "eth0/10.5.0.50/32 eth0/$IP/24", "AddressMergeControllers.net.talos.dev", "announceWithARP: true|layer: operator", false},
	{"addressspec", "network-config", "vip/eth0/eth0/10.5.0.50/32 configuration/eth0/$IP/24", "network.OperatorSpecController", "announceWithARP: true|layer: operator", false},
	{"operatorspec", "", "vip/eth0/10.5.0.50", "OperatorMergeControllers.net.talos.dev", "operator: vip|linkName: eth0|requireUp: true|ip: 10.5.0.50|gratuitousARP: true", true},
	{"operatorspec", "network-config", "configuration/vip/eth0/10.5.0.50", "network.OperatorVIPConfigController", "layer: configuration", true},
	{"links", "", "eth0 lo", "network.LinkStatusController", "operationalState: up|linkState: true|type: ether|kind: veth|mtu: 1500", false},
	{"linkspec", "", "eth0 lo", "LinkMergeControllers.net.talos.dev", "name: eth0|up: true|layer: configuration", true},
	{"linkspec", "network-config", "configuration/eth0 default/lo", "network.LinkConfigController", "name: eth0", true},
	{"ethtool", "", "eth0", "network.EthernetStatusController", "linkState: true|speedMbit: 10000|duplex: Full|port: TwistedPair|tx-generic-segmentation: off", false},
	{"nodeaddress", "", "current default routed accumulative current-no-k8s current-only-k8s *", "network.NodeAddressController", "- 10.5.0.50/32|- $IP/24|sortAlgorithm: v1", false},
	{"hostname", "", "hostname", "network.HostnameSpecController", "hostname: $NODE", false},
	{"routes", "", "inet4//10.5.0.0/24/0 local/inet4//10.5.0.50/32/0 *", "network.RouteStatusController", "dst: 10.5.0.0/24|src: $IP|outLinkName: eth0|table: main", false},
	{"netstatus", "", "status", "network.StatusController", "addressReady: true|connectivityReady: true|hostnameReady: true|etcFilesReady: true", false},
	{"resolvers", "", "resolvers", "network.ResolverSpecController", "- 1.1.1.1", false},
	{"timeservers", "", "timeservers", "network.TimeServerSpecController", "- time.cloudflare.com", false},
	{"etcdmember", "", "local", "etcd.MemberController", "memberID:", false},
	{"etcdspec", "", "etcd", "etcd.SpecController", "name: $NODE|- $IP|image: registry.k8s.io/etcd:v3.6.12", false},
	{"etcdconfig", "", "etcd", "etcd.ConfigController", "advertiseExcludeSubnets:|- 10.5.0.50", false},
	{"PKIStatuses.etcd.talos.dev", "", "etcd", "etcd.PKIController", "ready: true", false},
	{"etcdsecrets", "", "etcd", "secrets.EtcdController", "etcdAdmin:|etcdPeer:|etcdAPIServer:", true},
	{"etcdrootsecrets", "", "etcd", "secrets.RootEtcdController", "etcdCA:", true},
	{"certsan", "", "api k8s", "secrets.APICertSANsController", "- 10.5.0.50|- $IP|- $NODE|fqdn: $NODE", true},
	{"svc", "", "etcd apid kubelet machined trustd containerd cri udevd", "v1alpha1.ServiceController", "running: true|healthy: true|unknown: false", false},
	{"staticpod", "", "kube-apiserver kube-controller-manager kube-scheduler", "k8s.ControlPlaneStaticPodController", "namespace: kube-system|image: registry.k8s.io/kube-apiserver:v1.36.3", false},
	{"podstatus", "", "kube-system/kube-apiserver-$NODE kube-system/kube-controller-manager-$NODE kube-system/kube-scheduler-$NODE", "k8s.KubeletStaticPodController", "phase: Running|type: Ready|ready: true", false},
	{"machinestatus", "", "machine", "runtime.MachineStatusController", "stage: running|ready: true|unmetConditions: []", false},
	{"machinetype", "", "machine-type", "config.MachineTypeController", "controlplane", false},
	{"mc", "", "v1alpha1 persistent", "", "type: controlplane|kind: Layer2VIPConfig|name: 10.5.0.50|link: eth0", true},
	{"member", "", "$NODE *", "cluster.MemberController", "nodeId: $ID|- 10.5.0.50|- $IP|machineType: controlplane|operatingSystem: Talos (v1.13.9)|port: 6443", false},
	{"affiliate", "", "$ID *", "cluster.LocalAffiliateController", "nodename: $NODE|- 10.5.0.50|- $IP|hostname: $NODE", false},
	{"identities", "", "local", "cluster.NodeIdentityController", "nodeId: $ID", false},
	{"infos", "", "current", "cluster.InfoController", "clusterId:|clusterName:", false},
	{"kubeprismconfig", "", "k8s-loadbalancer-config", "k8s.KubePrismConfigController", "host: 127.0.0.1|port: 7445|- host: localhost", false},
	{"kubeprismendpoint", "", "k8s-cluster", "k8s.KubePrismEndpointsController", "- host: 10.5.0.50|- host: $IP", false},
	{"kubeprismstatus", "", "k8s-loadbalancer", "k8s.KubePrismController", "host: 127.0.0.1:7445|healthy: true", false},
	{"kubeletlifecycle", "", "kubelet", "", "{}", false},
	{"apiserverconfig", "", "kube-apiserver", "k8s.ControlPlaneAPIServerController", "controlPlaneEndpoint: https://10.5.0.50:6443|localPort: 6443|- https://127.0.0.1:2379", true},
	{"endpoint", "", "discovery controlplane kube-apiserver", "cluster.EndpointController", "- 10.5.0.2|- 10.5.0.3|- 10.5.0.4|- 10.5.0.50", false},
	{"nodeip", "", "kubelet", "k8s.NodeIPController", "- $IP", false},
	{"nodeipconfig", "", "kubelet", "k8s.NodeIPConfigController", "- 0.0.0.0/0|- 10.244.0.0/16|- 10.96.0.0/12|- 10.5.0.50", false},
	{"nodename", "", "nodename", "k8s.NodenameController", "nodename: $NODE", false},
	{"nodestatus", "", "$NODE", "k8s.NodeStatusController", "nodename: $NODE|nodeReady: true|unschedulable: false", false},
	{"timestatus", "", "node", "time.SyncController", "synced: true|syncDisabled: true", false},
	{"version", "", "version", "runtime.VersionController", "name: Talos|version: v1.13.9", false},
	{"sysctls", "", "proc.sys.net.ipv4.ip_local_reserved_ports proc.sys.net.ipv4.ip_forward *", "runtime.KernelParamSpecController", "current: 50000,50001|unsupported: false", false},
	{"kernelcmdline", "", "cmdline", "runtime.KernelCmdlineController", "cmdline:", false},
	{"diagnostic", "", "", "", "", false},
	{"probe", "", "", "", "", false},
}

func TestResources(t *testing.T) {
	l := start(t)
	r := reach{t, l}
	st, _ := status(t, l, "")
	i := slices.IndexFunc(st.Nodes, func(n NodeStatus) bool { return len(n.VIPs) > 0 })
	if i < 0 {
		t.Fatal("nobody owns the VIP")
	}
	node := st.Nodes[i]
	ip := node.Address
	admin, reader := r.talos(ip, "admin"), r.talos(ip, "reader")
	eventually(t, "KubePrism has found all three servers", func() bool {
		e, err := safe.StateGetByID[*k8s.Endpoint](t.Context(), admin.COSI, k8s.ControlPlaneAPIServerEndpointsID)
		return err == nil && len(e.TypedSpec().Addresses) == 3
	})
	self, err := admin.COSI.Get(t.Context(), resource.NewMetadata("cluster", "Identities.cluster.talos.dev", "local", resource.VersionUndefined))
	if err != nil {
		t.Fatal(err)
	}
	words := strings.NewReplacer("$IP", ip, "$NODE", node.Name, "$ID", strings.TrimSpace(strings.TrimPrefix(spec(t, self), "nodeId: ")))
	for _, tt := range published {
		name := strings.TrimSuffix(tt.kind+" "+tt.namespace, " ")
		list, err := listed(t.Context(), admin, tt.kind, tt.namespace)
		if err != nil {
			t.Errorf("listing %s as admin = %v", name, err)
			continue
		}
		checkListed(t, name, list, words.Replace(tt.ids), tt.owner, tt.fields, words)
		seen, err := listed(t.Context(), reader, tt.kind, tt.namespace)
		if denied := client.StatusCode(err) == codes.PermissionDenied; denied != tt.admin || !denied && err != nil {
			t.Errorf("listing %s as reader = %v; want it denied: %v", name, err, tt.admin)
		} else if !denied && len(seen) != len(list) {
			t.Errorf("a reader sees %d of %s; want %d as an admin does", len(seen), name, len(list))
		}
	}
	t.Run("the others are raw affiliates, too", func(t *testing.T) {
		list, err := listed(t.Context(), reader, "affiliate", "cluster-raw")
		if err != nil || len(list) != 2 || !strings.HasPrefix(list[0].Metadata().ID(), "service/") {
			t.Errorf("raw affiliates = %v, %v; want those of the two other nodes from the discovery service", list, err)
		}
	})
	t.Run("etcd takes the certificates of EtcdSecrets", func(t *testing.T) { etcdTakes(t, r, admin, ip, node.Name) })
	t.Run("the machine configuration names the VIP", func(t *testing.T) {
		cfg := activeConfig(t, admin)
		vips := cfg.NetworkVirtualIPConfigs()
		if len(vips) != 1 || vips[0].VIP() != DefaultVIP || vips[0].Link() != nodeLink {
			t.Errorf("VIPs of the configuration = %v; want %v on %s", vips, DefaultVIP, nodeLink)
		}
	})
}

// checkListed compares what was listed with the IDs, and the one of the first
// ID with its owner and its fields.
func checkListed(t *testing.T, name string, list []resource.Resource, ids, owner, fields string, words *strings.Replacer) {
	t.Helper()
	want := strings.Fields(ids)
	if others := len(want) > 0 && want[len(want)-1] == "*"; others {
		want = want[:len(want)-1]
	} else if len(list) != len(want) {
		t.Errorf("%s: %d are listed (%v); want %v", name, len(list), list, want)
	}
	for n, id := range want {
		i := slices.IndexFunc(list, func(r resource.Resource) bool { return r.Metadata().ID() == id })
		if i < 0 {
			t.Errorf("%s: no %s in %v", name, id, list)
			continue
		}
		if n > 0 {
			continue
		}
		if got := list[i].Metadata().Owner(); got != owner {
			t.Errorf("%s %s: owner = %q; want %q", name, id, got, owner)
		}
		text := spec(t, list[i])
		for _, field := range strings.Split(words.Replace(fields), "|") {
			if !strings.Contains(text, field) {
				t.Errorf("%s %s = %s; want %q in it", name, id, text, field)
			}
		}
	}
}

// listed lists as "talosctl get" does: the type by its alias, and without
// taking machine configurations apart.
func listed(ctx context.Context, c *client.Client, alias, namespace string) ([]resource.Resource, error) {
	rd, err := c.ResolveResourceKind(ctx, &namespace, alias)
	if err != nil {
		return nil, err
	}
	list, err := c.COSI.List(ctx, resource.NewMetadata(namespace, rd.TypedSpec().Type, "", resource.VersionUndefined))
	return list.Items, err
}

// spec returns the specification as YAML.
func spec(t *testing.T, r resource.Resource) string {
	t.Helper()
	text, err := yaml.Marshal(r.Spec())
	if err != nil {
		t.Fatalf("%s: %v", r.Metadata(), err)
	}
	return string(text)
}

// etcdTakes dials etcd as a tool would that has os:admin, and asks whose key
// comes first in the election.
func etcdTakes(t *testing.T, r reach, admin *client.Client, ip, owner string) {
	own, err := safe.StateGetByID[*secrets.Etcd](t.Context(), admin.COSI, secrets.EtcdID)
	if err != nil {
		t.Fatal(err)
	}
	root, err := safe.StateGetByID[*secrets.EtcdRoot](t.Context(), admin.COSI, secrets.EtcdRootID)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(own.TypedSpec().EtcdAdmin.Crt, own.TypedSpec().EtcdAdmin.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root.TypedSpec().EtcdCA.Crt)
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://" + ip + ":2379"}, TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots},
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return r.dial(ctx, "tcp", addr)
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	first, err := c.Get(t.Context(), fmt.Sprintf("talos:v1:vip:election:%s/", DefaultVIP), clientv3.WithFirstCreate()...)
	if err != nil || len(first.Kvs) != 1 || string(first.Kvs[0].Value) != owner {
		t.Errorf("the first key of the election = %v, %v; want that of %s", first, err, owner)
	}
}

// activeConfig reads the machine configuration with the strict loader.
func activeConfig(t *testing.T, admin *client.Client) talosconfig.Provider {
	t.Helper()
	mc, err := safe.StateGetByID[*config.MachineConfig](t.Context(), admin.COSI, config.ActiveID)
	if err != nil {
		t.Fatal(err)
	}
	if got := mc.Config().Machine().Type(); got != machinetype.TypeControlPlane {
		t.Errorf("type of the machine = %v; want a control plane", got)
	}
	return mc.Provider()
}

// A version before documents, with a legacy configuration.
func TestResourcesOfAnOlderVersion(t *testing.T) {
	l := start(t, func(s *Spec) { s.ControlPlanes, s.TalosVersion = 1, "v1.11.6" })
	r := reach{t, l}
	cfg := activeConfig(t, r.talos("10.5.0.2", "admin"))
	var vips []string
	for _, d := range cfg.Machine().Network().Devices() {
		if d.VIPConfig() != nil {
			vips = append(vips, d.Interface()+" "+d.VIPConfig().IP())
		}
	}
	if want := []string{"eth0 10.5.0.50"}; !slices.Equal(vips, want) || len(cfg.NetworkVirtualIPConfigs()) > 0 {
		t.Errorf("VIPs of the configuration = %v, and %d documents; want %v and none", vips, len(cfg.NetworkVirtualIPConfigs()), want)
	}
	// In that version a reader may read this one.
	_, err := safe.StateGetByID[*k8s.APIServerConfig](t.Context(), r.talos("10.5.0.2", "reader").COSI, k8s.APIServerConfigID)
	if err != nil {
		t.Errorf("reading the APIServerConfig as reader = %v; want no error", err)
	}
}
