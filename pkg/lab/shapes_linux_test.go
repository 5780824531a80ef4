package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// answers says whether something accepts connections there.
func (r reach) answers(addr string) bool {
	r.t.Helper()
	_, code, err := runIn(r.t.Context(), r.t, r.lab, nil, "bash", "-c",
		fmt.Sprintf("timeout 0.5 bash -c '</dev/tcp/%s/6443'", addr))
	return err == nil && code == 0
}

// linksOf returns a node's links by name, as its own API tells them.
func (r reach) linksOf(addr string) map[string]network.LinkStatusSpec {
	r.t.Helper()
	list, err := safe.StateListAll[*network.LinkStatus](r.t.Context(), r.talos(addr, "reader").COSI)
	if err != nil {
		r.t.Fatal(err)
	}
	all := make(map[string]network.LinkStatusSpec)
	for l := range list.All() {
		all[l.Metadata().ID()] = *l.TypedSpec()
	}
	return all
}

// addressesOf returns a node's addresses by ID, as its own API tells them.
func (r reach) addressesOf(addr string) map[string]network.AddressStatusSpec {
	r.t.Helper()
	list, err := safe.StateListAll[*network.AddressStatus](r.t.Context(), r.talos(addr, "reader").COSI)
	if err != nil {
		r.t.Fatal(err)
	}
	all := make(map[string]network.AddressStatusSpec)
	for a := range list.All() {
		all[a.Metadata().ID()] = *a.TypedSpec()
	}
	return all
}

// holder returns the node that alone holds the VIP.
func holder(t *testing.T, l *Lab, vip string) NodeStatus {
	t.Helper()
	st, _ := status(t, l, "")
	for _, v := range st.VIPs {
		if v.Address == vip && len(v.Holders) == 1 {
			_, n := status(t, l, v.Holders[0])
			return n
		}
	}
	t.Fatalf("VIPs = %+v; want one holder of %s", st.VIPs, vip)
	return NodeStatus{}
}

func addrs(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func TestTwoControlPlanesAWorkerAndBothFamilies(t *testing.T) {
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		t.Skip("this kernel has no IPv6")
	}
	l := start(t, func(s *Spec) {
		s.LeaseTTL = 20 * time.Second // the survivor keeps its place while there is no quorum
		s.ControlPlanes, s.Workers, s.VIPs = 2, 1, addrs("10.5.0.50", "fd10:5::50")
		s.VIPNodes = []string{"cp-1", "cp-2", "worker-1"}
	})
	r := reach{t, l}
	t.Run("the IPv6 VIP answers, without a word to the neighbours", func(t *testing.T) { testIPv6(t, r) })
	t.Run("a worker is one", func(t *testing.T) { testWorker(t, r) })
	t.Run("all know all", func(t *testing.T) { testMembers(t, r) })
	t.Run("one of two left has no quorum", func(t *testing.T) {
		owner := holder(t, l, "fd10:5::50")
		mac := r.linksOf(owner.Address)["eth0"].HardwareAddr.String()
		if err := l.Inject(t.Context(), FaultRequest{Fault: "power-off", Node: owner.Name}); err != nil {
			t.Fatal(err)
		}
		left := r.talos(map[string]string{"cp-1": "10.5.0.3", "cp-2": "10.5.0.2"}[owner.Name], "reader")
		eventually(t, "the survivor has no leader", func() bool {
			reply, err := left.EtcdStatus(t.Context())
			return err == nil && reply.GetMessages()[0].GetMemberStatus().GetLeader() == 0
		})
		st, _ := status(t, l, "")
		if i := slices.IndexFunc(st.VIPs, func(v VIPStatus) bool { return v.Address == "fd10:5::50" }); len(st.VIPs[i].Holders) != 0 {
			t.Errorf("holders without quorum = %v; want none", st.VIPs[i].Holders)
		}
		if err := l.Undo(t.Context(), FaultRequest{Fault: "power-off"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "both VIPs are with the other node", func() bool {
			st, _ := status(t, l, "")
			return !slices.ContainsFunc(st.VIPs, func(v VIPStatus) bool { return len(v.Holders) != 1 || v.Holders[0] == owner.Name })
		})
		// The neighbours learn of the IPv4 address by its announcement, and keep
		// the old owner for the IPv6 address until they find out themselves.
		eventually(t, "the IPv4 VIP answers", func() bool { return r.answers("10.5.0.50") })
		if known, _, err := runIn(t.Context(), t, l, nil, "ip", "-6", "neigh", "show", "fd10:5::50"); err != nil || !strings.Contains(known, mac) {
			t.Errorf("neighbour of the workstation = %q, %v; want the old owner's %s", known, err, mac)
		}
		if out, code, err := runIn(t.Context(), t, l, nil, "ip", "-6", "neigh", "flush", "to", "fd10:5::50"); err != nil || code != 0 {
			t.Fatalf("forgetting the neighbour = %q, %d, %v", out, code, err)
		}
		eventually(t, "the IPv6 VIP answers", func() bool { return r.answers("fd10:5::50") })
	})
}

func testIPv6(t *testing.T, r reach) {
	const vip = "fd10:5::50"
	owner := holder(t, r.lab, vip)
	eventually(t, "the VIP answers", func() bool { return r.answers(vip) })
	own := strings.TrimSuffix(owner.Links[0].Addresses[1], "/64")
	if !r.answers(own) {
		t.Errorf("%s does not answer on its own address %s", owner.Name, own)
	}
	if a, ok := r.addressesOf(owner.Address)["eth0/"+vip+"/128"]; !ok || a.Broadcast.IsValid() {
		t.Errorf("address of the owner = %+v, %v; want it there without a broadcast address", a, ok)
	}
	resp, err := r.https().Get("https://[" + vip + "]:6443/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := resp.TLS.PeerCertificates[0].VerifyHostname(vip); err != nil {
		t.Errorf("certificate = %v; want it good for %s", err, vip)
	}
	var seen []truth.Kind
	for _, e := range events(t, r.lab) {
		if e.Node == owner.Name && strings.HasPrefix(e.Detail, vip) {
			seen = append(seen, e.Kind)
		}
	}
	want := []truth.Kind{truth.AddressAdded, truth.Answered, truth.Accepted}
	if !slices.Equal(seen, want) {
		t.Errorf("true instants of %s = %v; want %v", vip, seen, want)
	}
}

func testWorker(t *testing.T, r reach) {
	const worker = "10.5.0.4"
	c := r.talos(worker, "admin")
	ctx := t.Context()
	if _, n := status(t, r.lab, "worker-1"); n.Role != RoleWorker || n.Address != worker || len(n.VIPs) != 0 {
		t.Errorf("status of worker-1 = %+v; want a worker at %s without a VIP", n, worker)
	}
	typ, err := safe.StateGetByID[*config.MachineType](ctx, c.COSI, config.MachineTypeID)
	if err != nil || typ.MachineType() != machinetype.TypeWorker {
		t.Errorf("machine type = %v, %v; want a worker", typ, err)
	}
	list, err := c.ServiceList(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, s := range list.GetMessages()[0].GetServices() {
		services = append(services, s.GetId()+" "+s.GetState())
	}
	if want := []string{"apid Running", "containerd Running", "cri Running", "kubelet Running", "machined Running", "udevd Running"}; !slices.Equal(services, want) {
		t.Errorf("services = %v; want %v", services, want)
	}
	for what, row := range map[string]struct {
		call func() error
		code codes.Code
		text string
	}{
		"etcd's members": {func() error { _, err := c.EtcdMemberList(ctx, &machineapi.EtcdMemberListRequest{}); return err },
			codes.Unimplemented, "member list is only available on control plane nodes"},
		"etcd's status": {func() error { _, err := c.EtcdStatus(ctx); return err },
			codes.Unimplemented, "etcd status is only available on control plane nodes"},
		"another node": {func() error { _, err := c.Version(talosclient.WithNode(ctx, "10.5.0.2")); return err },
			codes.PermissionDenied, "no request forwarding"},
		"itself and another": {func() error { _, err := c.Version(talosclient.WithNodes(ctx, worker, "10.5.0.2")); return err },
			codes.PermissionDenied, "no request forwarding"},
		"itself by name": {func() error { _, err := c.Version(talosclient.WithNode(ctx, "worker-1")); return err }, codes.OK, ""},
		"it through a control plane": {func() error {
			_, err := r.talos("10.5.0.2", "reader").Version(talosclient.WithNode(ctx, worker))
			return err
		}, codes.OK, ""},
	} {
		err := row.call()
		if got := talosclient.StatusCode(err); got != row.code || err != nil && !strings.Contains(err.Error(), row.text) {
			t.Errorf("asking the worker for %s = %v; want %v %q", what, err, row.code, row.text)
		}
	}
	if r.answers(worker) {
		t.Error("something listens on the worker's port 6443")
	}
	if pods, err := safe.StateListAll[*k8s.StaticPodStatus](ctx, c.COSI); err != nil || pods.Len() != 0 {
		t.Errorf("static pods of the worker = %v, %v; want none", pods, err)
	}
	// Its configuration has the VIP, and it waits for an etcd that never comes.
	wantOperator(t, c, "vip/eth0/10.5.0.50")
}

// wantOperator wants a VIP operator that is configured and has not entered the
// campaign: nothing holds on to the kubelet's lifecycle.
func wantOperator(t *testing.T, c *talosclient.Client, id string) {
	t.Helper()
	if _, err := safe.StateGetByID[*network.OperatorSpec](t.Context(), c.COSI, id); err != nil {
		t.Errorf("OperatorSpec %s: %v", id, err)
	}
	life, err := safe.StateGetByID[*k8s.KubeletLifecycle](t.Context(), c.COSI, k8s.KubeletLifecycleID)
	if err != nil || !life.Metadata().Finalizers().Empty() || life.Metadata().Phase() != resource.PhaseRunning {
		t.Errorf("kubelet's lifecycle = %v, %v; want it without finalizers", life, err)
	}
}

func testMembers(t *testing.T, r reach) {
	for _, addr := range []string{"10.5.0.2", "10.5.0.4"} {
		c := r.talos(addr, "reader")
		eventually(t, addr+" knows two control planes and a worker", func() bool {
			list, err := safe.StateListAll[*cluster.Member](t.Context(), c.COSI)
			if err != nil {
				return false
			}
			var got []string
			for m := range list.All() {
				spec := m.TypedSpec()
				got = append(got, fmt.Sprint(spec.Hostname, " ", spec.MachineType, " ", spec.ControlPlane != nil))
			}
			slices.Sort(got)
			return slices.Equal(got, []string{"cp-1 controlplane true", "cp-2 controlplane true", "worker-1 worker false"})
		})
	}
}

func TestVIPOnAVLAN(t *testing.T) {
	const vip = "10.6.0.50"
	l := start(t, func(s *Spec) { s.ControlPlanes, s.VLAN, s.VIPs = 1, 100, addrs(vip) })
	r := reach{t, l}
	if !r.answers(vip) || !r.answers("10.6.0.2") || !r.answers("10.5.0.2") {
		t.Error("the VIP or the node does not answer on each of its networks")
	}
	links := r.linksOf("10.5.0.2")
	vlan, main := links["eth0.100"], links["eth0"]
	if vlan.Kind != network.LinkKindVLAN || vlan.VLAN.VID != 100 || vlan.LinkIndex != main.Index || vlan.HardwareAddr.String() != main.HardwareAddr.String() {
		t.Errorf("eth0.100 = %+v; want VLAN 100 on eth0 with its hardware address", vlan)
	}
	have := r.addressesOf("10.5.0.2")
	if _, ok := have["eth0.100/"+vip+"/32"]; !ok {
		t.Errorf("addresses = %v; want the VIP on eth0.100", have)
	}
	c := r.talos("10.5.0.2", "admin")
	life, err := safe.StateGetByID[*k8s.KubeletLifecycle](t.Context(), c.COSI, k8s.KubeletLifecycleID)
	if err != nil || !life.Metadata().Finalizers().Has("vip/eth0.100") {
		t.Errorf("kubelet's lifecycle = %v, %v; want the finalizer vip/eth0.100", life, err)
	}
	spec, err := safe.StateGetByID[*network.AddressSpec](t.Context(), c.COSI, "eth0.100/"+vip+"/32")
	if err != nil || spec.TypedSpec().LinkName != "eth0.100" {
		t.Errorf("AddressSpec of the VIP = %v, %v; want link eth0.100", spec, err)
	}
	// A fault of the VIP's address is done on the VIP's own link.
	static := FaultRequest{Fault: "static-vip", Node: "cp-1"}
	if err := l.Inject(t.Context(), static); err != nil {
		t.Fatal(err)
	}
	has := func() bool { _, ok := r.addressesOf("10.5.0.2")["eth0.100/"+vip+"/24"]; return ok }
	eventually(t, "the VIP is a static address of eth0.100", has)
	if err := l.Undo(t.Context(), static); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is none any more", func() bool { return !has() })
	// What silences a node silences it on every network.
	for _, f := range []FaultRequest{{Fault: "freeze", Node: "cp-1"}, {Fault: "partition", Node: "cp-1"}, {Fault: "power-off", Node: "cp-1"}} {
		if err := l.Inject(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		if r.answers(vip) || r.answers("10.5.0.2") {
			t.Errorf("the node answers although it has the fault %s", f.Fault)
		}
		if err := l.Undo(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		eventually(t, "both networks are back", func() bool { return r.answers("10.6.0.2") && r.answers("10.5.0.2") })
	}
}

func TestTwoSubnets(t *testing.T) {
	l := start(t, func(s *Spec) { s.Subnets = 2 })
	r := reach{t, l}
	st, far := status(t, l, "cp-3")
	if far.Address != "10.5.1.4" || far.Links[0].Segment != "second" || !strings.Contains(st.VIPs[0].Note, "cp-3") {
		t.Errorf("status = %+v, cp-3 = %+v; want it on the second segment, and a note about it", st, far)
	}
	if !r.answers("10.5.1.4") || !r.answers("10.5.0.2") {
		t.Error("a node's own address does not answer")
	}
	// The two halves reach each other: the far node is a member of etcd's cluster.
	members, err := r.talos("10.5.1.4", "reader").EtcdMemberList(t.Context(), &machineapi.EtcdMemberListRequest{})
	if err != nil || len(members.GetMessages()[0].GetMembers()) != 3 {
		t.Errorf("members of etcd = %v, %v; want 3", members, err)
	}
	if err := l.Inject(t.Context(), FaultRequest{Fault: "partition", Node: "cp-3", Args: map[string]string{FlagFrom: "cp-1"}}); err == nil || !strings.Contains(err.Error(), "share no segment") {
		t.Errorf("partition of two segments' nodes = %v; want that they share none", err)
	}
	down := FaultRequest{Fault: "link-down", Node: "cp-2"}
	if err := errors.Join(l.Inject(t.Context(), down), l.Undo(t.Context(), down)); err != nil {
		t.Fatal(err)
	}
	cut := slices.DeleteFunc(events(t, l), func(e truth.Event) bool { return e.Node != "cp-2" || e.Detail != "unplugged" })
	if len(cut) != 1 {
		t.Errorf("cables pulled out of a node on one segment = %v; want one", cut)
	}
	for range 3 { // the queue is first in, first out: cp-3's turn comes
		owner := holder(t, l, DefaultVIP.String())
		if owner.Name == "cp-3" {
			break
		}
		eventually(t, "the VIP answers", func() bool { return r.answers("10.5.0.50") })
		if err := r.restartKubelet(owner.Address); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another has the VIP", func() bool {
			st, _ := status(t, l, "")
			return len(st.VIPs[0].Holders) == 1 && st.VIPs[0].Holders[0] != owner.Name
		})
	}
	if owner := holder(t, l, DefaultVIP.String()); owner.Name != "cp-3" {
		t.Fatalf("owner = %s; want cp-3 when the others had their turn", owner.Name)
	}
	if r.answers("10.5.0.50") {
		t.Error("the VIP answers on a node that is on another subnet")
	}
}

func (r reach) restartKubelet(addr string) error {
	r.t.Helper()
	_, err := r.talos(addr, "operator").ServiceRestart(r.t.Context(), "kubelet")
	return err
}

func TestVIPOnALinkThatDoesNotExist(t *testing.T) {
	l := start(t, func(s *Spec) { s.ControlPlanes, s.VIPLinks = 1, map[string]string{"": "enp0s31f6"} })
	r := reach{t, l}
	st, n := status(t, l, "cp-1")
	vip := st.VIPs[0]
	if !st.Ready || len(vip.Holders) != 0 || len(vip.Eligible) != 0 || !strings.Contains(vip.Note, "no node can hold it") {
		t.Errorf("status = %+v; want it ready, and the VIP such that nobody can hold it", st)
	}
	if n.VIPLinks["10.5.0.50"] != "enp0s31f6" {
		t.Errorf("links of the VIPs on cp-1 = %v; want enp0s31f6", n.VIPLinks)
	}
	wantOperator(t, r.talos("10.5.0.2", "admin"), "vip/enp0s31f6/10.5.0.50")
	if _, ok := r.linksOf("10.5.0.2")["enp0s31f6"]; ok {
		t.Error("the node has a link enp0s31f6")
	}
	if r.answers("10.5.0.50") {
		t.Error("the VIP answers")
	}
}

func TestOldRelease(t *testing.T) {
	l := start(t, func(s *Spec) { s.ControlPlanes, s.TalosVersion = 1, "v1.11.2" })
	r := reach{t, l}
	st, _ := status(t, l, "")
	if st.ConfigStyle != "legacy" || st.TalosVersion != "v1.11.2" {
		t.Errorf("status = %+v; want v1.11.2 with legacy configurations", st)
	}
	if a := r.addressesOf("10.5.0.2")["eth0/10.5.0.50/32"]; a.Broadcast != DefaultVIP {
		t.Errorf("address = %+v; want its own as broadcast", a)
	}
	c := r.talos("10.5.0.2", "operator")
	forced := talosclient.RebootMode(func(req *machineapi.RebootRequest) { req.Mode = machineapi.RebootRequest_FORCE })
	if err := c.Reboot(t.Context(), forced); err != nil {
		t.Fatal(err)
	}
	// It takes the mode for DEFAULT: the VIP is let go in order.
	eventually(t, "the key was deleted before the reboot", func() bool {
		all := events(t, l)
		off := last(all, "cp-1", truth.PowerOff)
		return off > 0 && last(all, "cp-1", truth.KeyDeleted) > 0
	})
	all := events(t, l)
	deleted := last(all, "cp-1", truth.KeyDeleted)
	i := slices.IndexFunc(all, func(e truth.Event) bool { return e.Kind == truth.ProcessKilled && e.Detail == "etcd" })
	if i < 0 || all[i].At < deleted {
		t.Errorf("key deleted at %v, etcd ended at %v; want etcd to outlive the key", deleted, all[i].At)
	}
	eventually(t, "it boots", func() bool {
		_, err := c.MachineClient.Hostname(context.WithoutCancel(t.Context()), &emptypb.Empty{})
		return err == nil
	})
}
