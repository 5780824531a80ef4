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
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/resources/block"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"google.golang.org/protobuf/types/known/emptypb"
)

// minMemory is what a node needs, in KiB (Talos v1.13.9 pkg/minimal: 1848 MiB
// for a control plane, less 150 MiB that the kernel takes).
const minMemory = (1848 - 150) << 10

// minEphemeral is what a node needs, in bytes: a disk of 6 GiB less Talos's
// other partitions (v1.13.9 pkg/cluster/check/nodes.go).
const minEphemeral = 6<<30 - (2101+100+1+10)<<20

// healthChecks returns Talos's checks in its order (v1.13.9
// pkg/cluster/check/default.go).
func healthChecks() []healthCheck {
	const usual = 5 * time.Second
	return []healthCheck{
		{"etcd to be healthy", usual, serviceHealthy("etcd")},
		{"etcd members to be consistent across nodes", usual, etcdConsistent},
		{"etcd members to be control plane nodes", usual, etcdOnControlPlanes},
		{"apid to be ready", usual, apidReady},
		{"all nodes memory sizes", usual, memorySizes},
		{"all nodes disk sizes", usual, diskSizes},
		{"no diagnostics", usual, noDiagnostics},
		{"kubelet to be healthy", usual, serviceHealthy("kubelet")},
		{"all nodes to finish boot sequence", usual, nodesBooted},
		{"all k8s nodes to report", 30 * time.Second, nodesReported},
		{"all control plane static pods to be running", usual, staticPodsPresent},
		{"all control plane components to be ready", usual, componentsReady},
		{"all k8s nodes to report ready", usual, withCNI(nodesReady)},
		{"kube-proxy to report ready", usual, workloadReady("daemonsets", "kube-proxy")},
		{"coredns to report ready", usual, withCNI(workloadReady("deployments", "kube-dns"))},
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

func diskSizes(ctx context.Context, p *patient) error {
	return each(p.nodes, func(n patientNode) error {
		r, err := safe.StateGetByID[*block.VolumeStatus](ctx, n.state(), constants.EphemeralPartitionLabel)
		if err != nil {
			return fmt.Errorf("error getting volume status for node %q: %w", n, err)
		}
		if v := r.TypedSpec(); v.Size < minEphemeral {
			return fmt.Errorf("ephemeral partition %q for node %q is too small, expected at least %d MiB, actual %d MiB",
				v.Location, n, minEphemeral>>20, v.Size>>20)
		}
		return nil
	})
}

func staticPodsPresent(ctx context.Context, p *patient) error {
	return each(p.controlPlanes(), func(n patientNode) error {
		list, err := safe.StateListAll[*k8s.StaticPodStatus](ctx, n.state())
		if err != nil {
			return fmt.Errorf("error listing static pods on node %s: %w", n, err)
		}
		var missing []string
		for _, name := range components() {
			missing = append(missing, "kube-system/"+name)
		}
		slices.Sort(missing)
		for pod := range list.All() {
			missing = slices.DeleteFunc(missing, func(name string) bool { return strings.HasPrefix(pod.Metadata().ID(), name) })
		}
		if len(missing) > 0 {
			return fmt.Errorf("missing static pods on node %s: %v", n, missing)
		}
		return nil
	})
}

// withCNI skips a check in a cluster that is configured without a CNI: no node
// need be ready there.
func withCNI(check func(context.Context, *patient) error) func(context.Context, *patient) error {
	return func(ctx context.Context, p *patient) error {
		r, err := safe.StateGetByID[*k8s.BootstrapManifestsConfig](ctx, p.service.cfg.State, k8s.BootstrapManifestsConfigID)
		switch {
		case err != nil:
			return err
		case r.TypedSpec().CNIName == constants.NoneCNI:
			return errSkipped
		}
		return check(ctx, p)
	}
}
