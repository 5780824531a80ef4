package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	configres "github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const vip6 = "fd10:5::50"

// TestTroubles shows what people run into with a VIP, and that it can be seen
// from outside, on one lab without KubePrism whose VIPs are configured on two of
// three control planes, and there on another name of the link.
func TestTroubles(t *testing.T) {
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		t.Skip("this kernel has no IPv6")
	}
	w := watchNodes(t, start(t, func(s *Spec) {
		s.Workers, s.NoKubePrism, s.VIPs = 1, true, addrs("10.5.0.50", vip6)
		s.VIPNodes, s.VIPLinks = []string{"cp-1", "cp-2"}, map[string]string{"cp-1": "enx020000000002", "cp-2": "enx020000000003"}
	}))
	w.names = slices.DeleteFunc(w.names, func(n string) bool { return n == "worker-1" })
	for _, part := range []struct {
		name string
		run  func(*watcher)
	}{
		{"a VIP's link may be called by another name", (*watcher).knowsOtherName},
		{"a VIP may be configured on some nodes only", (*watcher).isOnSomeOnly},
		{"without KubePrism a worker depends on the VIP", (*watcher).dependsOnVIP},
		{"a talosconfig may name the VIP as endpoint", (*watcher).asksThroughVIP},
		{"a port may be secured against the VIP", (*watcher).refusesVIP},
		{"a kubelet may take the VIP for the node's address", (*watcher).takesVIPForNode},
		{"etcd may advertise the VIP", (*watcher).advertisesVIP},
		{"a foreign host may have the IPv6 VIP first", (*watcher).findsDuplicate},
	} {
		t.Run(part.name, func(t *testing.T) {
			w := w.in(t)
			w.owner()
			part.run(w)
		})
	}
}

// configuration is the node's machine configuration.
func (w *watcher) configuration(node string) string {
	w.t.Helper()
	mc, err := safe.StateGetByID[*configres.MachineConfig](w.t.Context(), w.api[node].COSI, configres.ActiveID)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := mc.Provider().Bytes()
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func (w *watcher) knowsOtherName() {
	owner := w.owner()
	const other = "enx02000000000"
	if names := w.linksOf(w.addrs[owner])["eth0"].AltNames; len(names) != 1 || !strings.HasPrefix(names[0], other) {
		w.t.Errorf("altNames of eth0 = %q; want %s and a digit", names, other)
	}
	if text := w.configuration(owner); strings.Count(text, "\nlink: "+other) != 2 {
		w.t.Errorf("machine configuration = %s; want both VIPs on %s and a digit", text, other)
	}
	wantOperatorSpec(w.t, w.api[owner], "vip/eth0/10.5.0.50")
}

func (w *watcher) isOnSomeOnly() {
	for node, want := range map[string]string{"cp-1": "[10.5.0.50 fd10:5::50]", "cp-2": "[10.5.0.50 fd10:5::50]", "cp-3": "[]"} {
		cfg, ok := find[*etcd.Config](w, node, etcd.NewConfig(etcd.NamespaceName, etcd.ConfigID).Metadata())
		if !ok || fmt.Sprint(cfg.TypedSpec().AdvertiseExcludeSubnets) != want {
			w.t.Errorf("advertiseExcludeSubnets of %s = %v; want %s", node, cfg, want)
		}
	}
}

// wantOperatorSpec wants an operator of that ID.
func wantOperatorSpec(t *testing.T, c *talosclient.Client, id string) {
	t.Helper()
	if _, err := safe.StateGetByID[*network.OperatorSpec](t.Context(), c.COSI, id); err != nil {
		t.Errorf("OperatorSpec %s: %v", id, err)
	}
}

// servers are the far ends of the node's connections to port 6443, and whether
// something listens where KubePrism would.
func (w *watcher) servers(node string) (peers []string, prism bool) {
	w.t.Helper()
	resp, err := w.api[node].Netstat(w.t.Context(), &machineapi.NetstatRequest{
		Filter: machineapi.NetstatRequest_ALL, Netns: &machineapi.NetstatRequest_NetNS{Hostnetwork: true},
		L4Proto: &machineapi.NetstatRequest_L4Proto{Tcp: true, Tcp6: true}, Feature: &machineapi.NetstatRequest_Feature{},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range resp.GetMessages()[0].GetConnectrecord() {
		prism = prism || c.GetLocalport() == 7445
		if c.GetRemoteport() == 6443 {
			peers = append(peers, c.GetRemoteip())
		}
	}
	return peers, prism
}

func (w *watcher) dependsOnVIP() {
	eventually(w.t, "the worker's kubelet talks to the VIP", func() bool {
		peers, _ := w.servers("worker-1")
		return slices.Contains(peers, "10.5.0.50")
	})
	for _, node := range []string{"cp-1", "worker-1"} {
		if _, prism := w.servers(node); prism {
			w.t.Errorf("something listens on port 7445 of %s", node)
		}
		_, err := safe.StateGetByID[*k8s.KubePrismConfig](w.t.Context(), w.api[node].COSI, k8s.KubePrismConfigID)
		if !state.IsNotFoundError(err) {
			w.t.Errorf("KubePrismConfig of %s: %v; want that there is none", node, err)
		}
		if text := w.configuration(node); !strings.Contains(text, "kubePrism:\n            enabled: false") {
			w.t.Errorf("machine configuration = %s; want KubePrism disabled", text)
		}
	}
}

// asksThroughVIP uses the talosconfig that has the VIPs as endpoints.
func (w *watcher) asksThroughVIP() {
	cfg, err := config.FromBytes(w.file("$TALOSCONFIG-vip"))
	if err != nil {
		w.t.Fatal(err)
	}
	if got := cfg.Contexts[cfg.Context].Endpoints; !slices.Equal(got, []string{"10.5.0.50", vip6}) {
		w.t.Errorf("endpoints = %q; want the VIPs", got)
	}
	c, err := talosclient.New(w.t.Context(), talosclient.WithConfig(cfg), talosclient.WithEndpoints("10.5.0.50"),
		talosclient.WithGRPCDialOptions(grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return w.dial(ctx, "tcp", addr)
		})))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	owner := w.owner()
	name, err := safe.StateGetByID[*network.HostnameStatus](w.t.Context(), c.COSI, network.HostnameID)
	if err != nil || name.TypedSpec().Hostname != owner {
		w.t.Errorf("host name of the VIP = %v, %v; want the owner's, %s", name, err, owner)
	}
}

func (w *watcher) refusesVIP() {
	owner := w.owner()
	eventually(w.t, "the VIP answers", func() bool { return w.connects("10.5.0.50") })
	w.inject("port-security", owner, nil)
	if w.connects("10.5.0.50") || w.whoHas("10.5.0.50").total() > 0 {
		w.t.Error("the VIP answers through a port that is secured against it")
	}
	if !w.connects(w.addrs[owner]) || w.whoHas(w.addrs[owner]).total() == 0 {
		w.t.Error("the owner's own address does not answer through that port")
	}
	if !w.carries(owner, "10.5.0.50/32") {
		w.t.Errorf("%s let go of the VIP; want that it notices nothing", owner)
	}
	w.undo("port-security", owner)
	eventually(w.t, "the VIP answers again", func() bool { return w.connects("10.5.0.50") })
}

// node returns the Node as Kubernetes has it, asked at a node's own address.
func (w *watcher) node(name string) (n corev1.Node) {
	w.t.Helper()
	cfg, err := clientcmd.RESTConfigFromKubeConfig(w.file("$KUBECONFIG"))
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.Dial = w.dial
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "https://"+w.addrs["cp-1"]+":6443/api/v1/nodes/"+name, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&n); err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET the node %s = %s, %v", name, resp.Status, err)
	}
	return n
}

func (w *watcher) takesVIPForNode() {
	const node = "cp-2"
	addresses := func() string {
		ip, ok := find[*k8s.NodeIP](w, node, k8s.NewNodeIP(k8s.NamespaceName, k8s.KubeletID).Metadata())
		if !ok {
			return "none"
		}
		n := w.node(node)
		i := slices.IndexFunc(n.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == corev1.NodeInternalIP })
		return fmt.Sprint(ip.TypedSpec().Addresses, " ", n.Status.Addresses[max(0, i)].Address)
	}
	w.inject("node-ip-vip", node, nil)
	eventually(w.t, "Talos and Kubernetes have the VIP as the node's address", func() bool { return addresses() == "[10.5.0.50] 10.5.0.50" })
	w.undo("node-ip-vip", node)
	own := w.addrs[node]
	eventually(w.t, "they have the node's own", func() bool { return addresses() == "["+own+"] "+own })
}

func (w *watcher) advertisesVIP() {
	const node = "cp-2"
	seen := func() string {
		spec, ok := find[*etcd.Spec](w, node, etcd.NewSpec(etcd.NamespaceName, etcd.SpecID).Metadata())
		voters, _ := w.members("cp-1")
		i := slices.IndexFunc(voters, func(v string) bool { return strings.HasPrefix(v, node+" ") })
		if !ok || i < 0 || len(voters) != 3 {
			return fmt.Sprint(ok, voters)
		}
		return fmt.Sprint(spec.TypedSpec().AdvertisedAddresses, " ", voters[i])
	}
	own, both := "[10.5.0.3] cp-2 https://10.5.0.3:2380", "[10.5.0.3 10.5.0.50] cp-2 https://10.5.0.3:2380,https://10.5.0.50:2380"
	w.inject("etcd-peer-vip", node, nil)
	if got := seen(); got != both {
		w.t.Errorf("advertised = %s; want %s", got, both)
	}
	if err := w.lab.Inject(w.t.Context(), FaultRequest{Fault: "etcd-peer-vip", Node: "cp-3"}); err == nil || !strings.Contains(err.Error(), "Peer URLs already exists") {
		w.t.Errorf("Inject(etcd-peer-vip) on a second node = %v; want that etcd knows the URL already", err)
	}
	// It lasts, and the peers find the member all the same.
	w.inject(faultPowerOff, node, nil)
	w.undo(faultPowerOff, node)
	w.running(node)
	eventually(w.t, "the member advertises the VIP after a power cut", func() bool { return seen() == both })
	w.undo("etcd-peer-vip", node)
	if got := seen(); got != own {
		w.t.Errorf("advertised after the undo = %s; want %s", got, own)
	}
}

// findsDuplicate lets the IPv6 VIP move to a node while a foreign host has it.
func (w *watcher) findsDuplicate() {
	flags := func() (node string, flags nethelpers.AddressFlags) {
		for _, n := range w.names {
			a, ok := find[*network.AddressStatus](w, n, network.NewAddressStatus(network.NamespaceName, "eth0/"+vip6+"/128").Metadata())
			if ok {
				node, flags = n, a.TypedSpec().Flags
			}
		}
		return node, flags
	}
	const failed = nethelpers.AddressFlags(nethelpers.AddressDADFailed)
	first, before := flags()
	if first == "" || before&failed != 0 {
		w.t.Fatalf("the VIP is on %q with the flags %v; want it on a node, without dadfailed", first, before)
	}
	if err := w.lab.Inject(w.t.Context(), FaultRequest{Fault: faultForeignHost, Args: map[string]string{"vip": vip6, "announce": "true"}}); err == nil {
		w.t.Error("Inject(foreign-host) with an announcement of IPv6 = nil; want an error")
	}
	w.inject(faultForeignHost, "", map[string]string{"vip": vip6})
	if err := w.restartKubelet(w.addrs[first]); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "the next owner's kernel has found the duplicate", func() bool {
		node, now := flags()
		return node != first && now&failed != 0 && now&nethelpers.AddressFlags(nethelpers.AddressTentative) != 0
	})
	if w.answers("[" + vip6 + "]") {
		w.t.Error("an apiserver answers at the VIP; want that it is the foreign host's")
	}
	w.undo(faultForeignHost, "")
	// The workstation would keep to the foreign host for half a minute and more.
	if out, code, err := runIn(w.t.Context(), w.t, w.lab, nil, "ip", "-6", "neigh", "flush", "to", vip6); err != nil || code != 0 {
		w.t.Fatalf("forgetting the neighbour = %q, %d, %v", out, code, err)
	}
	second, _ := flags()
	if err := w.restartKubelet(w.addrs[second]); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "the VIP answers on another node", func() bool {
		node, now := flags()
		return node != second && now&failed == 0 && w.answers("["+vip6+"]")
	})
}

// TestEndpointIsNotTheVIP has an old release, which looks for a link of the
// other name in vain, and a cluster that does not need the VIP.
func TestEndpointIsNotTheVIP(t *testing.T) {
	l := start(t, func(s *Spec) {
		s.ControlPlanes, s.TalosVersion, s.Endpoint = 1, "v1.9.5", "10.5.0.2"
		s.VIPLinks = map[string]string{"": "enx020000000002"}
	})
	w := watchNodes(t, l)
	if st, _ := status(t, l, ""); len(st.VIPs[0].Eligible) != 0 || len(st.VIPs[0].Holders) != 0 {
		t.Errorf("VIP = %+v; want that nobody can hold it", st.VIPs[0])
	}
	if names := w.linksOf("10.5.0.2")["eth0"].AltNames; !slices.Equal(names, []string{"enx020000000002"}) {
		t.Errorf("altNames of eth0 = %q; want enx020000000002", names)
	}
	wantOperator(t, w.api["cp-1"], "vip/enx020000000002/10.5.0.50")
	if w.connects("10.5.0.50") || !w.connects("10.5.0.2") {
		t.Error("the VIP answers, or the node does not")
	}
	for what, text := range map[string]string{"kubeconfig": string(w.file("$KUBECONFIG")), "machine configuration": w.configuration("cp-1")} {
		if !strings.Contains(text, "https://10.5.0.2:6443") || strings.Contains(text, "https://10.5.0.50") {
			t.Errorf("%s = %s; want 10.5.0.2 as endpoint", what, text)
		}
	}
	param, ok := find[*runtime.KernelParamStatus](w, "cp-1", runtime.NewKernelParamStatus(runtime.NamespaceName, "proc.sys.net.ipv4.ip_forward").Metadata())
	if !ok || param.TypedSpec().Current != "1" {
		t.Errorf("ip_forward = %v; want 1, as Talos sets it", param)
	}
	if got := w.node("cp-1").Name; got != "cp-1" {
		t.Errorf("the Node at the endpoint = %q; want cp-1", got)
	}
}
