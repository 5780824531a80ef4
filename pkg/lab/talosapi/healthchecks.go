package talosapi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"google.golang.org/protobuf/types/known/emptypb"
)

// minMemory is what a node needs, in KiB (Talos v1.13.9 pkg/minimal: 1848 MiB
// for a control plane, less 150 MiB that the kernel takes).
const minMemory = (1848 - 150) << 10

// healthChecks returns Talos's checks in its order (v1.13.9
// pkg/cluster/check/default.go). What the lab has none of is skipped, as Talos
// skips it where it is absent: disks, kube-proxy, coredns.
func healthChecks() []healthCheck {
	const usual = 5 * time.Second
	none := func(context.Context, *patient) error { return errSkipped }
	return []healthCheck{
		{"etcd to be healthy", usual, serviceHealthy("etcd")},
		{"etcd members to be consistent across nodes", usual, etcdConsistent},
		{"etcd members to be control plane nodes", usual, etcdOnControlPlanes},
		{"apid to be ready", usual, apidReady},
		{"all nodes memory sizes", usual, memorySizes},
		{"all nodes disk sizes", usual, none},
		{"no diagnostics", usual, noDiagnostics},
		{"kubelet to be healthy", usual, serviceHealthy("kubelet")},
		{"all nodes to finish boot sequence", usual, nodesBooted},
		{"all k8s nodes to report", 30 * time.Second, nodesReported},
		{"all control plane static pods to be running", usual, staticPodsPresent},
		{"all control plane components to be ready", usual, staticPodsReady},
		{"all k8s nodes to report ready", usual, nodesReady},
		{"kube-proxy to report ready", usual, none},
		{"coredns to report ready", usual, none},
		{"all k8s nodes to report schedulable", usual, nodesSchedulable},
	}
}

// each joins what is wrong on each of the nodes.
func each(nodes []patientNode, wrong func(patientNode) error) error {
	var all error
	for _, n := range nodes {
		all = errors.Join(all, wrong(n))
	}
	return all
}

func serviceHealthy(id string) func(context.Context, *patient) error {
	return func(ctx context.Context, p *patient) error {
		return each(p.controlPlanes(), func(n patientNode) error {
			resp, err := n.machine().ServiceList(ctx, &emptypb.Empty{})
			if err != nil {
				return fmt.Errorf("%s: %w", n, err)
			}
			list := resp.GetMessages()[0].GetServices()
			i := slices.IndexFunc(list, func(s *machine.ServiceInfo) bool { return s.GetId() == id })
			if i < 0 || len(list[i].GetEvents().GetEvents()) == 0 {
				return fmt.Errorf("%s: no events recorded yet for service %q", n, id)
			}
			events := list[i].GetEvents().GetEvents()
			if last := events[len(events)-1]; last.GetState() != "Running" {
				return fmt.Errorf("%s: service %q not in expected state %q: current state [%s] %s", n, id, "Running", last.GetState(), last.GetMsg())
			}
			if !list[i].GetHealth().GetHealthy() {
				return fmt.Errorf("%s: service is not healthy: %s", n, id)
			}
			return nil
		})
	}
}

func etcdConsistent(ctx context.Context, p *patient) error {
	type member struct {
		name    string
		id      uint64
		learner bool
	}
	var known []member
	for i, n := range p.controlPlanes() {
		resp, err := n.machine().EtcdMemberList(ctx, &machine.EtcdMemberListRequest{})
		if err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
		var names []string
		var list []member
		for _, m := range resp.GetMessages()[0].GetMembers() {
			list, names = append(list, member{m.GetHostname(), m.GetId(), m.GetIsLearner()}), append(names, m.GetHostname())
		}
		if i == 0 {
			known = list
		}
		if len(list) != len(known) {
			return fmt.Errorf("%s: expected to have %d members, got %v", n, len(known), names)
		}
		for _, m := range list {
			if !slices.Contains(known, m) {
				return fmt.Errorf("%s: found unexpected etcd member %s", n, m.name)
			}
		}
	}
	return nil
}

func etcdOnControlPlanes(ctx context.Context, p *patient) error {
	var own, members []string
	for _, n := range p.controlPlanes() {
		for _, ip := range n.ips {
			own = append(own, ip.String())
		}
	}
	if len(own) == 0 {
		return errors.New("no control plane nodes")
	}
	resp, err := p.controlPlanes()[0].machine().EtcdMemberList(ctx, &machine.EtcdMemberListRequest{})
	if err != nil {
		return err
	}
	for _, m := range resp.GetMessages()[0].GetMembers() {
		for _, peer := range m.GetPeerUrls() {
			u, err := url.Parse(peer)
			if err != nil {
				return err
			}
			members = append(members, u.Hostname())
		}
	}
	if slices.ContainsFunc(members, func(ip string) bool { return !slices.Contains(own, ip) }) {
		return fmt.Errorf("etcd member ips %q are not subset of control plane node ips %q", members, own)
	}
	return nil
}

func apidReady(ctx context.Context, p *patient) error {
	return each(p.nodes, func(n patientNode) error {
		_, err := n.machine().Version(ctx, &emptypb.Empty{})
		return err
	})
}

func memorySizes(ctx context.Context, p *patient) error {
	return each(p.nodes, func(n patientNode) error {
		resp, err := n.machine().Memory(ctx, &emptypb.Empty{})
		if err != nil {
			return fmt.Errorf("error getting nodes memory: %w", err)
		}
		if total := resp.GetMessages()[0].GetMeminfo().GetMemtotal(); total < minMemory {
			return fmt.Errorf("node %q does not meet memory requirements: expected at least %d MiB, actual %d MiB", n, minMemory>>10, total>>10)
		}
		return nil
	})
}

func noDiagnostics(ctx context.Context, p *patient) error {
	var found []string
	for _, n := range p.nodes {
		list, err := safe.StateListAll[*runtime.Diagnostic](ctx, n.state())
		if err != nil {
			return err
		}
		for d := range list.All() {
			found = append(found, n.String()+": "+d.TypedSpec().Message)
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("active diagnostics: %s", strings.Join(found, "; "))
	}
	return nil
}

func nodesBooted(ctx context.Context, p *patient) error {
	var waiting []string
	for _, n := range p.nodes {
		r, err := safe.StateGetByID[*runtime.MachineStatus](ctx, n.state(), runtime.MachineStatusID)
		if err != nil {
			return fmt.Errorf("error watching machine %s status: %w", n, err)
		}
		if stage := r.TypedSpec().Stage; stage != runtime.MachineStageRunning {
			waiting = append(waiting, fmt.Sprintf("%s: [%s]", stage, n))
		}
	}
	if len(waiting) > 0 {
		return fmt.Errorf("nodes are not running: %s", strings.Join(waiting, ", "))
	}
	return nil
}

// staticPods calls look with the status of each node's kube-apiserver, the one
// static pod that the lab has.
func staticPods(ctx context.Context, p *patient, look func(patientNode, *k8s.StaticPodStatus) error) error {
	return each(p.controlPlanes(), func(n patientNode) error {
		list, err := safe.StateListAll[*k8s.StaticPodStatus](ctx, n.state())
		if err != nil {
			return fmt.Errorf("error listing static pods on node %s: %w", n, err)
		}
		for pod := range list.All() {
			if strings.HasPrefix(pod.Metadata().ID(), "kube-system/kube-apiserver-") {
				return look(n, pod)
			}
		}
		return fmt.Errorf("missing static pods on node %s: %v", n, []string{"kube-system/kube-apiserver"})
	})
}

func staticPodsPresent(ctx context.Context, p *patient) error {
	return staticPods(ctx, p, func(patientNode, *k8s.StaticPodStatus) error { return nil })
}

func staticPodsReady(ctx context.Context, p *patient) error {
	return staticPods(ctx, p, func(_ patientNode, pod *k8s.StaticPodStatus) error {
		conditions, _ := pod.TypedSpec().PodStatus["conditions"].([]any)
		for _, c := range conditions {
			if c, _ := c.(map[string]any); c["type"] == "Ready" && c["status"] == "True" {
				return nil
			}
		}
		return fmt.Errorf("some pods are not ready for kube-apiserver: [%s]", strings.TrimPrefix(pod.Metadata().ID(), "kube-system/"))
	})
}
