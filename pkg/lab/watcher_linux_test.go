package lab

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// watcher asks a lab's nodes from outside.
type watcher struct {
	reach
	names []string
	addrs map[string]string
	api   map[string]*talosclient.Client
}

func watchNodes(t *testing.T, l *Lab) *watcher {
	t.Helper()
	w := &watcher{reach: reach{t, l}, addrs: map[string]string{}, api: map[string]*talosclient.Client{}}
	st, err := l.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range st.Nodes {
		w.names = append(w.names, n.Name)
		w.addrs[n.Name] = n.Address
		w.api[n.Name] = w.talos(n.Address, "admin")
	}
	return w
}

// in is the watcher within a part of the test.
func (w *watcher) in(t *testing.T) *watcher {
	sub := *w
	sub.t = t
	return &sub
}

func (w *watcher) inject(fault, node string, args map[string]string) {
	w.t.Helper()
	if err := w.lab.Inject(w.t.Context(), FaultRequest{Fault: fault, Node: node, Args: args}); err != nil {
		w.t.Fatalf("Inject(%s, %s) = %v", fault, node, err)
	}
}

func (w *watcher) undo(fault, node string) {
	w.t.Helper()
	if err := w.lab.Undo(w.t.Context(), FaultRequest{Fault: fault, Node: node}); err != nil {
		w.t.Fatalf("Undo(%s, %s) = %v", fault, node, err)
	}
}

// find returns a resource of the node, false if it is not there.
func find[T resource.Resource](w *watcher, node string, ptr resource.Pointer) (T, bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	r, err := safe.StateGet[T](ctx, w.api[node].COSI, ptr)
	return r, err == nil
}

// carries says whether the node has the address, out of its AddressStatus.
func (w *watcher) carries(node, prefix string) bool {
	w.t.Helper()
	_, ok := find[*network.AddressStatus](w, node, network.NewAddressStatus(network.NamespaceName, "eth0/"+prefix).Metadata())
	return ok
}

func (w *watcher) holders() (held []string) {
	w.t.Helper()
	for _, n := range w.names {
		if w.carries(n, "10.5.0.50/32") {
			held = append(held, n)
		}
	}
	return held
}

// owner waits for the one that has the VIP.
func (w *watcher) owner() (owner string) {
	w.t.Helper()
	eventually(w.t, "the VIP has one owner", func() bool {
		held := w.holders()
		if len(held) != 1 {
			return false
		}
		owner = held[0]
		return true
	})
	return owner
}

func (w *watcher) other(than string) string {
	return w.names[slices.IndexFunc(w.names, func(n string) bool { return n != than })]
}

// settle waits until the lab is as it was when it came up.
func (w *watcher) settle() {
	w.t.Helper()
	for _, n := range w.names {
		w.running(n)
	}
	eventually(w.t, "one node has the VIP, and it answers", func() bool { return len(w.holders()) == 1 && w.answers("10.5.0.50") })
	eventually(w.t, "etcd has three voters and no alarm", func() bool {
		voters, learners := w.members(w.names[0])
		alarms, err := w.api[w.names[0]].EtcdAlarmList(w.t.Context())
		return err == nil && len(alarms.GetMessages()[0].GetMemberAlarms()) == 0 && len(voters) == 3 && len(learners) == 0
	})
	for _, n := range w.names {
		eventually(w.t, "etcd of "+n+" answers at once, ten times", func() bool {
			begin := time.Now()
			for range 10 {
				if _, err := w.api[n].EtcdStatus(w.t.Context()); err != nil {
					return false
				}
			}
			return time.Since(begin) < 500*time.Millisecond
		})
		if w.carries(n, "10.5.0.50/24") {
			w.t.Errorf("%s has the VIP with the link's prefix length", n)
		}
	}
	if active, err := w.lab.Faults(w.t.Context()); err != nil || len(active) > 0 {
		w.t.Errorf("Faults() = %v, %v; want none", active, err)
	}
}

// running waits until the node is ready, by the name that it was given.
func (w *watcher) running(node string) {
	w.t.Helper()
	eventually(w.t, node+" is running and ready", func() bool {
		status, ok := find[*runtime.MachineStatus](w, node, runtime.NewMachineStatus().Metadata())
		if !ok || !status.TypedSpec().Status.Ready || status.TypedSpec().Stage != runtime.MachineStageRunning {
			return false
		}
		name, ok := find[*network.HostnameStatus](w, node, network.NewHostnameStatus(network.NamespaceName, network.HostnameID).Metadata())
		if !ok || name.TypedSpec().Hostname != node {
			return false
		}
		_, ok = find[*k8s.StaticPodStatus](w, node, podOf(node))
		return ok && w.answers(w.addrs[node])
	})
}

func podOf(node string) resource.Pointer {
	return k8s.NewStaticPodStatus(k8s.NamespaceName, "kube-system/kube-apiserver-"+node).Metadata()
}

func (w *watcher) ready(node string) bool {
	pod, ok := find[*k8s.StaticPodStatus](w, node, podOf(node))
	if !ok {
		return false
	}
	conditions, _ := pod.TypedSpec().PodStatus["conditions"].([]any)
	return slices.ContainsFunc(conditions, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["type"] == "Ready" && m["status"] == "True"
	})
}

// answers says whether a kube-apiserver answers at the address.
func (w *watcher) answers(addr string) bool { return w.ask(addr) == nil }

func (w *watcher) ask(addr string) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+":6443/livez", nil)
	if err != nil {
		return err
	}
	resp, err := w.https().Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// members returns the host names and peer URLs of the voters and the learners.
func (w *watcher) members(node string) (voters, learners []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	list, err := w.api[node].EtcdMemberList(ctx, &machineapi.EtcdMemberListRequest{})
	if err != nil {
		return nil, nil
	}
	for _, m := range list.GetMessages()[0].GetMembers() {
		line := m.GetHostname() + " " + strings.Join(m.GetPeerUrls(), ",")
		if m.GetIsLearner() {
			learners = append(learners, line)
		} else {
			voters = append(voters, line)
		}
	}
	return voters, learners
}

func (w *watcher) service(node, id string) *machineapi.ServiceInfo {
	w.t.Helper()
	list, err := w.api[node].ServiceList(w.t.Context())
	if err != nil {
		return nil
	}
	for _, s := range list.GetMessages()[0].GetServices() {
		if s.GetId() == id {
			return s
		}
	}
	return nil
}

// restarted waits until the process was killed and started again, and returns
// the time between.
func (w *watcher) restarted(node, name string) (took time.Duration) {
	w.t.Helper()
	eventually(w.t, name+" of "+node+" was killed and started again", func() bool {
		killed, started := w.lifetime(node, name)
		took = started - killed
		return killed > 0 && took > 0
	})
	return took
}

// lifetime returns the last end of the process and its last start.
func (w *watcher) lifetime(node, name string) (killed, started time.Duration) {
	for _, e := range events(w.t, w.lab) {
		switch {
		case e.Node != node || e.Detail != name:
		case e.Kind == truth.ProcessKilled:
			killed = e.At
		case e.Kind == truth.ProcessStarted:
			started = e.At
		}
	}
	return killed, started
}

// moved waits until the VIP is with another node.
func (w *watcher) moved(from string) {
	w.t.Helper()
	eventually(w.t, "the VIP went from "+from+" to another", func() bool {
		held := w.holders()
		return len(held) == 1 && held[0] != from
	})
}
