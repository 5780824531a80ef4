package lab

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// TestNodeFaults sees what each fault of a node does, through the Talos API and
// the VIP, and that its undoing leaves the lab as it was.
func TestNodeFaults(t *testing.T) {
	w := watchNodes(t, start(t))
	for _, row := range []struct {
		fault string
		on    string // "owner", or "other"
		args  map[string]string
		seen  func(w *watcher, node string)
	}{
		{"etcd-kill", "owner", nil, (*watcher).etcdComesBack},
		{"apiserver-kill", "owner", map[string]string{"once": "true"}, (*watcher).apiserverComesBack},
		{"apiserver-hang", "other", nil, (*watcher).apiserverHangs},
		{"apiserver-absent", "owner", nil, (*watcher).podIsGone},
		{"kubelet-stop", "owner", nil, (*watcher).kubeletIsDown},
		{"etcd-nospace", "other", nil, (*watcher).nothingIsWritten},
		{"slow-disk", "other", map[string]string{"pause": "900ms", "every": "1s"}, (*watcher).etcdIsSlow},
		{"learner", "other", nil, (*watcher).hasLearner},
		{"member-removed", "other", nil, (*watcher).memberIsGone},
		{"leftover-vip", "other", nil, (*watcher).carriesLeftover},
		{"split-brain", "other", map[string]string{"vip": "10.5.0.50"}, (*watcher).isSecondOwner},
		{"static-vip", "other", nil, (*watcher).carriesStatic},
		{"duplicate-hostname", "other", nil, (*watcher).evicts},
	} {
		t.Run(row.fault, func(t *testing.T) {
			w := w.in(t)
			w.settle()
			node := w.owner()
			if row.on == "other" {
				node = w.other(node)
			}
			if row.fault == "duplicate-hostname" {
				row.args = map[string]string{"as": w.owner()}
			}
			w.inject(row.fault, node, row.args)
			row.seen(w, node)
			w.undo(row.fault, node)
			w.settle()
		})
	}
	t.Run("ghost", func(t *testing.T) { ghosts(w.in(t)) })
}

// ghosts leaves a ghost of each candidate, so that one of them is next in the
// queue, and lets the owner go.
func ghosts(w *watcher) {
	w.settle()
	owner := w.owner()
	var candidates []string
	for _, n := range w.names {
		if n != owner {
			candidates = append(candidates, n)
		}
	}
	w.inject("ghost", candidates[0], nil)
	w.inject("ghost", candidates[1], map[string]string{"hostname": "nobody"})
	if _, err := w.api[owner].ServiceRestart(w.t.Context(), "kubelet"); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "the owner let go", func() bool { return len(w.holders()) == 0 })
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // the lease: 2 s
		if got := w.holders(); len(got) > 0 {
			w.t.Fatalf("%v has the VIP while ghosts are next in the queue; want nobody", got)
		}
	}
	w.undo("ghost", candidates[0])
	w.undo("ghost", candidates[1])
	w.settle()
}

// TestWhatEtcdKeepsOutlastsAPowerCut undoes a fault in another boot.
func TestWhatEtcdKeepsOutlastsAPowerCut(t *testing.T) {
	w := watchNodes(t, start(t))
	w.settle()
	node := w.other(w.owner())
	for _, fault := range []string{"apiserver-hang", "learner"} {
		w.inject(fault, node, nil)
	}
	w.inject("power-off", node, nil)
	w.undo("power-off", node)
	w.running(node)
	active, err := w.lab.Faults(t.Context())
	if err != nil || len(active) != 1 || active[0].Fault != "learner" {
		t.Fatalf("Faults() after a power cut = %v, %v; want learner only", active, err)
	}
	w.hasLearner(node)
	w.undo("learner", node)

	node = w.other(w.owner())
	w.inject("member-removed", node, nil)
	w.memberIsGone(node)
	w.inject("power-off", node, nil)
	w.undo("power-off", node)
	eventually(t, "the API of "+node+" is back", func() bool { _, err := w.api[node].Version(t.Context()); return err == nil })
	w.memberIsGone(node)
	w.undo("member-removed", node)
	w.settle()
}

func (w *watcher) etcdComesBack(node string) {
	eventually(w.t, "the etcd service of "+node+" is gone", func() bool {
		_, ok := find[*v1alpha1.Service](w, node, v1alpha1.NewService("etcd").Metadata())
		return !ok
	})
	if s := w.service(node, "etcd"); s.GetState() != "Waiting" {
		w.t.Errorf("etcd of %s after it was killed = %v; want Waiting", node, s)
	}
	killed, _ := w.lifetime(node, "etcd")
	w.moved(node)
	if let := last(events(w.t, w.lab), node, truth.AddressRemoved); let < killed || let > killed+3*time.Second {
		w.t.Errorf("%s let go of the VIP %v after etcd was killed; want at once", node, let-killed)
	}
	eventually(w.t, "etcd of "+node+" is back by itself", func() bool {
		s := w.service(node, "etcd")
		return s.GetState() == "Running" && s.GetHealth().GetHealthy()
	})
	if took := w.restarted(node, "etcd"); took < 5*time.Second || took > 20*time.Second {
		w.t.Errorf("etcd was started %v after it was killed; want 5 s", took)
	}
}

func (w *watcher) apiserverComesBack(node string) {
	if took := w.restarted(node, "apiserver"); took < time.Second || took > 4*time.Second {
		w.t.Errorf("the apiserver was started %v after it was killed; want 1 s", took)
	}
	eventually(w.t, "the apiserver is back by itself", func() bool { return w.answers(w.addrs[node]) })
	if !w.carries(node, "10.5.0.50/32") {
		w.t.Errorf("%s let go of the VIP because its apiserver crashed; want that it keeps it", node)
	}
}

func (w *watcher) apiserverHangs(node string) {
	conn, err := w.dial(w.t.Context(), "tcp", w.addrs[node]+":6443")
	if err != nil {
		w.t.Fatalf("dial an apiserver that hangs = %v; want a connection", err)
	}
	_ = conn.Close()
	if err := w.ask(w.addrs[node]); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		w.t.Errorf("GET /livez of an apiserver that hangs = %v; want no answer in time", err)
	}
	eventually(w.t, "its pod is not ready", func() bool { return !w.ready(node) })
}

func (w *watcher) podIsGone(node string) {
	eventually(w.t, "the static pod's status is gone", func() bool {
		_, ok := find[*k8s.StaticPodStatus](w, node, podOf(node))
		return !ok
	})
	if err := w.ask(w.addrs[node]); err == nil || !strings.Contains(err.Error(), "refused") {
		w.t.Errorf("GET /livez of an apiserver that is gone = %v; want that it is refused", err)
	}
	w.moved(node)
}

func (w *watcher) kubeletIsDown(node string) {
	eventually(w.t, "the kubelet's service and its pod's status are gone", func() bool {
		_, service := find[*v1alpha1.Service](w, node, v1alpha1.NewService("kubelet").Metadata())
		_, pod := find[*k8s.StaticPodStatus](w, node, podOf(node))
		return !service && !pod
	})
	if _, err := w.api[node].ServiceRestart(w.t.Context(), "kubelet"); err != nil {
		w.t.Errorf("ServiceRestart(kubelet) = %v", err)
	}
	eventually(w.t, "the kubelet crashed", func() bool { return w.service(node, "kubelet").GetState() == "Waiting" })
	lifecycle, ok := find[*k8s.KubeletLifecycle](w, node, k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID).Metadata())
	if !ok || lifecycle.Metadata().Phase() != resource.PhaseRunning {
		w.t.Errorf("KubeletLifecycle of a kubelet that crashed = %v; want that it runs", lifecycle)
	}
	w.moved(node)
	if !w.answers(w.addrs[node]) {
		w.t.Errorf("the apiserver of %s does not answer; want that it outlives the kubelet", node)
	}
}

func (w *watcher) nothingIsWritten(node string) {
	status, err := w.api[node].EtcdStatus(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	self := status.GetMessages()[0].GetMemberStatus()
	if !slices.ContainsFunc(self.GetErrors(), func(e string) bool { return strings.Contains(e, "NOSPACE") }) {
		w.t.Errorf("errors of EtcdStatus = %q; want NOSPACE", self.GetErrors())
	}
	alarms, err := w.api[w.other(node)].EtcdAlarmList(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if list := alarms.GetMessages()[0].GetMemberAlarms(); len(list) != 1 ||
		list[0].GetAlarm() != machineapi.EtcdMemberAlarm_NOSPACE || list[0].GetMemberId() != self.GetMemberId() {
		w.t.Errorf("EtcdAlarmList() = %v; want NOSPACE of member %x", list, self.GetMemberId())
	}
	owner := w.owner() // lets go, and cannot campaign again: no lease is granted
	if _, err := w.api[owner].ServiceRestart(w.t.Context(), "kubelet"); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "a campaign fails for want of space", func() bool {
		var console bytes.Buffer
		err := w.lab.Logs(w.t.Context(), owner, &console)
		return err == nil && strings.Contains(console.String(), "etcdserver: mvcc: database space exceeded")
	})
}

func (w *watcher) etcdIsSlow(node string) {
	eventually(w.t, "a call of etcd takes long", func() bool {
		begin := time.Now()
		_, err := w.api[node].EtcdStatus(w.t.Context())
		return err == nil && time.Since(begin) > 600*time.Millisecond
	})
	if s := w.service(node, "etcd"); s.GetState() != "Running" {
		w.t.Errorf("etcd that stands still = %v; want Running", s)
	}
}

func (w *watcher) hasLearner(node string) {
	_, learners := w.members(w.other(node))
	if want := []string{" https://10.5.0.254:2380"}; !slices.Equal(learners, want) {
		w.t.Errorf("learners = %q; want %q", learners, want)
	}
}

func (w *watcher) memberIsGone(node string) {
	voters, _ := w.members(w.other(node))
	if len(voters) != 2 || slices.ContainsFunc(voters, func(m string) bool { return strings.HasPrefix(m, node+" ") }) {
		w.t.Errorf("voters = %q; want two without %s", voters, node)
	}
	eventually(w.t, "etcd of "+node+" ended by itself", func() bool { return w.service(node, "etcd").GetState() == "Waiting" })
}

func (w *watcher) carriesLeftover(node string) {
	eventually(w.t, "two nodes have the VIP", func() bool { return len(w.holders()) == 2 })
	if spec, ok := find[*network.AddressSpec](w, node, network.NewAddressSpec(network.NamespaceName, "eth0/10.5.0.50/32").Metadata()); ok {
		w.t.Errorf("AddressSpec of a leftover VIP = %v; want none", spec)
	}
}

func (w *watcher) isSecondOwner(node string) {
	eventually(w.t, "two nodes have the VIP", func() bool { return len(w.holders()) == 2 && w.carries(node, "10.5.0.50/32") })
	for ns, id := range map[string]string{network.NamespaceName: "eth0/10.5.0.50/32", network.ConfigNamespaceName: "vip/eth0/eth0/10.5.0.50/32"} {
		spec, ok := find[*network.AddressSpec](w, node, network.NewAddressSpec(ns, id).Metadata())
		if !ok || spec.TypedSpec().ConfigLayer != network.ConfigOperator {
			w.t.Errorf("AddressSpec %s/%s of a second owner = %v; want the operator's", ns, id, spec)
		}
	}
	link, ok := find[*network.LinkStatus](w, node, network.NewLinkStatus(network.NamespaceName, "eth0").Metadata())
	if !ok {
		w.t.Fatal("no LinkStatus of eth0")
	}
	want := fmt.Sprint(link.TypedSpec().HardwareAddr)
	eventually(w.t, "the workstation believes the gratuitous ARP", func() bool {
		table := string(w.file("/proc/net/arp"))
		return slices.ContainsFunc(strings.Split(table, "\n"), func(line string) bool {
			return strings.HasPrefix(line, "10.5.0.50 ") && strings.Contains(line, want)
		})
	})
}

func (w *watcher) carriesStatic(node string) {
	eventually(w.t, "the node has the VIP as an address of its own", func() bool { return w.carries(node, "10.5.0.50/24") })
	spec, ok := find[*network.AddressSpec](w, node, network.NewAddressSpec(network.NamespaceName, "eth0/10.5.0.50/24").Metadata())
	if !ok || spec.TypedSpec().ConfigLayer != network.ConfigMachineConfiguration || spec.TypedSpec().AnnounceWithARP {
		w.t.Errorf("AddressSpec of a static VIP = %v; want the configuration's, without announcement", spec)
	}
}

// evicts sees a node by the owner's name end the owner's election.
func (w *watcher) evicts(node string) {
	name, ok := find[*network.HostnameStatus](w, node, network.NewHostnameStatus(network.NamespaceName, network.HostnameID).Metadata())
	spec, found := find[*etcd.Spec](w, node, etcd.NewSpec(etcd.NamespaceName, etcd.SpecID).Metadata())
	if !ok || !found || name.TypedSpec().Hostname == node || spec.TypedSpec().Name != name.TypedSpec().Hostname {
		w.t.Fatalf("HostnameStatus, EtcdSpec of a node by another's name = %v, %v; want the other's name", name, spec)
	}
	evicted := name.TypedSpec().Hostname
	said, err := w.api[node].MachineClient.Hostname(w.t.Context(), &emptypb.Empty{})
	if err != nil || said.GetMessages()[0].GetHostname() != evicted {
		w.t.Errorf("Hostname() = %v, %v; want %s", said, err, evicted)
	}
	eventually(w.t, evicted+" lost the VIP", func() bool {
		held := w.holders()
		return len(held) > 0 && !slices.Contains(held, evicted)
	})
	var console bytes.Buffer
	if err := w.lab.Logs(w.t.Context(), node, &console); err != nil || !strings.Contains(console.String(), "resigning from previous election") {
		w.t.Errorf("the console of %s does not say that it resigned from the election of %s", node, evicted)
	}
}

// TestNodeFaultsOfTheOnlyNode has no other member or node to lean on.
func TestNodeFaultsOfTheOnlyNode(t *testing.T) {
	w := watchNodes(t, start(t, func(s *Spec) { s.ControlPlanes = 1 }))
	w.running("cp-1")
	for _, fault := range []string{"member-removed", "duplicate-hostname"} {
		err := w.lab.Inject(t.Context(), FaultRequest{Fault: fault, Node: "cp-1"})
		if err == nil || !strings.Contains(err.Error(), "no other") {
			t.Errorf("Inject(%s) on the only node = %v; want that there is no other", fault, err)
		}
	}
	w.inject("learner", "cp-1", nil)
	w.undo("learner", "cp-1")
	w.inject("ghost", "cp-1", map[string]string{"hostname": "nobody"}) // next in the queue, for nobody else waits
	if _, err := w.api["cp-1"].ServiceRestart(t.Context(), "kubelet"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the owner let go", func() bool { return len(w.holders()) == 0 })
	w.undo("ghost", "cp-1")
	w.owner()
}
