//go:build linux

package node

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Times of a kubelet (Kubernetes v1.36 pkg/kubelet/apis/config/v1beta1/defaults.go).
const (
	leaseDuration   = 40 * time.Second // nodeLeaseDurationSeconds
	leaseRenewEvery = leaseDuration / 4
	statusEvery     = 5 * time.Minute // nodeStatusReportFrequency
)

// registerRetry is the pause after the apiserver could not be told, for it
// starts with the node.
const registerRetry = 200 * time.Millisecond

// mirrorEvery is how often it is looked whether the static pods' mirrors still
// show what is true.
const mirrorEvery = time.Second

const (
	nodesPath  = "/api/v1/nodes"
	leasesPath = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
)

// registration is the node as Kubernetes knows it: its kubelet registers it,
// renews its lease, reports its status and mirrors its static pods, through the
// node's KubePrism, as on Talos.
type registration struct {
	m   *machine
	pod func(name string) mirrored // what a static pod is now

	statusAt time.Time           // of the last report
	address  netip.Addr          // that was reported
	uid      types.UID           // of the Node
	mirrored map[string]mirrored // what the mirrors say
}

// run keeps the node registered until ctx ends. What dies with the kubelet is
// the lease's renewal, and nothing else: that is how the cluster learns of it.
func (r *registration) run(ctx context.Context) {
	if r.m.parts.kubelet == nil {
		return
	}
	var renewed time.Time
	var said string // the last complaint
	for wait := time.Duration(0); pause(ctx, wait); {
		var err error
		if time.Since(renewed) >= leaseRenewEvery || r.address != r.m.nodeIP() {
			if err = r.report(ctx); err == nil {
				renewed = time.Now()
			}
		}
		if err == nil {
			err = r.mirror(ctx)
		}
		if wait = mirrorEvery; err != nil {
			wait = registerRetry
			if refusal, ok := errors.AsType[*apierrors.StatusError](err); ok && refusal.Error() != said {
				said = refusal.Error()
				r.m.log.Printf("kubelet: %v", refusal)
			}
		}
	}
}

// report renews the lease, and the node's status where it is due.
func (r *registration) report(ctx context.Context) error {
	if err := r.node(ctx); err != nil {
		return err
	}
	return r.lease(ctx)
}

// node makes the Node, or reports its status if that is not what it should be
// or was not reported for long.
func (r *registration) node(ctx context.Context) error {
	var have corev1.Node
	path := nodesPath + "/" + r.m.cfg.Name
	address := r.m.nodeIP()
	err := r.m.parts.kubelet.get(ctx, path, &have)
	now := metav1.Now()
	switch {
	case apierrors.IsNotFound(err):
		have = r.fresh()
		have.Status = r.status(address, now, nil)
		err = r.m.parts.kubelet.create(ctx, nodesPath, &have)
	case err != nil:
		return err
	case !r.m.cfg.Worker && !hasRole(&have):
		return r.giveRole(ctx, &have)
	case cordoned(&have) && !r.m.sequencer.goingDown():
		return r.uncordon(ctx, &have)
	case isReady(&have) && address == r.address && time.Since(r.statusAt) < statusEvery:
		r.uid = have.UID
		return nil
	default:
		r.uid = have.UID
		have.Status = r.status(address, now, have.Status.Conditions)
		err = r.m.parts.kubelet.update(ctx, path+"/status", &have)
	}
	if err == nil && r.uid == "" {
		return r.node(ctx) // see what it has become
	}
	if err == nil {
		r.statusAt, r.address = now.Time, address
	}
	return err
}

// roleLabel tells a control plane's node.
const roleLabel = "node-role.kubernetes.io/control-plane"

func hasRole(n *corev1.Node) bool {
	_, ok := n.Labels[roleLabel]
	return ok
}

// giveRole sets the labels that a kubelet may not give itself: on Talos
// machined does so, k8s.NodeApplyController.
func (r *registration) giveRole(ctx context.Context, n *corev1.Node) error {
	n.Labels[roleLabel] = ""
	n.Labels[corev1.LabelNodeExcludeBalancers] = ""
	if err := r.m.parts.controller.update(ctx, nodesPath+"/"+n.Name, n); err != nil {
		return err
	}
	return r.node(ctx)
}

func isReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// fresh is the Node as a kubelet of Talos registers it.
func (r *registration) fresh() corev1.Node {
	return corev1.Node{
		TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: r.m.cfg.Name,
			Labels: map[string]string{
				corev1.LabelHostname: r.m.cfg.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH,
			},
		},
		Spec: corev1.NodeSpec{Taints: r.taints()},
	}
}

// taints keep pods from a control plane.
func (r *registration) taints() []corev1.Taint {
	if r.m.cfg.Worker {
		return nil
	}
	return []corev1.Taint{{Key: roleLabel, Effect: corev1.TaintEffectNoSchedule}}
}

// status is the node's, with the conditions' last transitions kept. The VIP is
// not among the addresses but by a fault, as on Talos, which keeps it from the
// kubelet.
func (r *registration) status(address netip.Addr, now metav1.Time, before []corev1.NodeCondition) corev1.NodeStatus {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(memory(), resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(110, resource.DecimalSI), // a kubelet's default
	}
	return corev1.NodeStatus{
		Capacity: capacity, Allocatable: capacity,
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: address.String()},
			{Type: corev1.NodeHostName, Address: r.m.cfg.Name},
		},
		Conditions: conditions(now, before),
		NodeInfo: corev1.NodeSystemInfo{
			MachineID: r.m.nodeID(r.m.cfg.Name), SystemUUID: r.m.systemUUID(), BootID: r.m.boot.ID,
			KubeletVersion: r.m.cfg.KubernetesVersion, OSImage: "Talos (" + r.m.cfg.TalosVersion + ")",
			KernelVersion: kernelRelease(), ContainerRuntimeVersion: "containerd://2.1.4",
			OperatingSystem: "linux", Architecture: runtime.GOARCH,
		},
	}
}

func conditions(now metav1.Time, before []corev1.NodeCondition) []corev1.NodeCondition {
	all := []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
	}
	for i := range all {
		all[i].LastHeartbeatTime, all[i].LastTransitionTime = now, now
		for _, b := range before {
			if b.Type == all[i].Type && b.Status == all[i].Status {
				all[i].LastTransitionTime = b.LastTransitionTime
			}
		}
	}
	return all
}

// lease renews the node's lease, or makes it.
func (r *registration) lease(ctx context.Context) error {
	var lease coordinationv1.Lease
	path := leasesPath + "/" + r.m.cfg.Name
	err := r.m.parts.kubelet.get(ctx, path, &lease)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return err
	}
	lease.Spec.HolderIdentity = new(r.m.cfg.Name)
	lease.Spec.LeaseDurationSeconds = new(int32(leaseDuration / time.Second))
	lease.Spec.RenewTime = new(metav1.NowMicro())
	if missing {
		lease.Name, lease.Namespace = r.m.cfg.Name, corev1.NamespaceNodeLease
		return r.m.parts.kubelet.create(ctx, leasesPath, &lease)
	}
	return r.m.parts.kubelet.update(ctx, path, &lease)
}

// memory returns the machine's memory in bytes.
func memory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
