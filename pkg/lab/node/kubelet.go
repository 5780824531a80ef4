//go:build linux

package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
)

const staticPodOwner = "k8s.KubeletStaticPodController"

// kubeletRestartTime is how long the kubelet is away when it is restarted, so
// that the pods' statuses are back within a second.
const kubeletRestartTime = 500 * time.Millisecond

// How often the kubelet asks the apiserver's pod whether it is ready: until it
// is, and from then on.
const (
	readyPollUntilUp = 50 * time.Millisecond
	readyPoll        = time.Second
)

// kubelet is the node's kubelet as far as Talos shows it: a service, the
// lifecycle that VIP operators hold on to, and the apiserver's static pod.
type kubelet struct {
	m *machine

	mu      sync.Mutex // guards what follows; held while starting or stopping
	running bool
	held    bool // a fault keeps it down
	absent  bool // a fault took the apiserver's static pod away
	cancel  context.CancelFunc
	done    chan struct{}

	unregister context.CancelFunc // ends what the kubelet tells Kubernetes

	pod      sync.Mutex // guards podReady
	podReady string     // why the pod is not ready; "" if it is
}

// start starts the kubelet, unless it runs. The apiserver's pod, once started,
// outlives a kubelet that stops.
func (k *kubelet) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running {
		return
	}
	k.m.services.set("kubelet", machineapi.ServiceStateEvent_PREPARING, "Running pre state", healthUnknown)
	if k.held {
		k.crashed()
		return
	}
	err := k.m.state.Create(context.Background(), k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID))
	if err != nil && !state.IsConflictError(err) {
		k.m.log.Printf("create the kubelet's lifecycle: %v", err)
	}
	k.m.services.set("kubelet", machineapi.ServiceStateEvent_RUNNING, "Started task kubelet", healthGood)
	k.running = true
	var ctx context.Context
	ctx, k.unregister = context.WithCancel(context.Background())
	go (&registration{m: k.m, pod: k.mirror, mirrored: map[string]mirrored{}}).run(ctx)
	switch {
	case k.m.cfg.Worker: // it has no static pods
		k.m.publishNodeStatus()
	case !k.absent:
		k.runPod()
	}
}

// runPod starts the apiserver and watches it. The caller holds mu.
func (k *kubelet) runPod() {
	k.m.apiserver.want()
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(context.Background())
	k.done = make(chan struct{})
	go k.watchPod(ctx, k.done)
}

// forgetPod stops to watch the pod, whose status is gone at once. The caller
// holds mu.
func (k *kubelet) forgetPod() {
	if k.cancel != nil {
		k.cancel()
		<-k.done
		k.cancel = nil
	}
	drop(k.m, staticPodOwner, k.status().Metadata())
}

// stop stops the kubelet: the statuses of its static pods are gone at once,
// which makes an owner of a VIP let go.
func (k *kubelet) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.running {
		return
	}
	k.running = false
	k.unregister()
	k.m.services.set("kubelet", machineapi.ServiceStateEvent_STOPPING, "Sending SIGTERM to task kubelet", healthUnknown)
	if !k.m.cfg.Worker {
		k.forgetPod()
		k.dropOthers()
	}
	k.setPod("kubelet is not running")
	k.m.services.set("kubelet", machineapi.ServiceStateEvent_FINISHED, "Service finished successfully", healthUnknown)
}

// restart stops the kubelet and starts it again, unless the machine is on its
// way down by then.
func (k *kubelet) restart() {
	k.stop()
	time.Sleep(kubeletRestartTime)
	if !k.m.sequencer.goingDown() {
		k.start()
	}
}

func (k *kubelet) watchPod(ctx context.Context, done chan struct{}) {
	defer close(done)
	wait := time.Duration(0)
	for pause(ctx, wait) {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		err := k.m.parts.apiserverReady(attempt)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if wait = readyPoll; err != nil {
			wait = readyPollUntilUp
		}
		k.publish(err == nil)
	}
}

// publish shows the apiserver's pod, ready or not.
func (k *kubelet) publish(ready bool) {
	put(k.m, staticPodOwner, k.status(), func(r *k8s.StaticPodStatus) {
		r.TypedSpec().PodStatus = podStatus(k8s.APIServerID, ready)
	})
	k.publishOthers()
	if ready {
		k.m.publishNodeStatus()
	}
	reason := k.status().Metadata().ID() + " not ready"
	if ready {
		reason = ""
	}
	k.setPod(reason)
}

func (k *kubelet) status() *k8s.StaticPodStatus {
	return k8s.NewStaticPodStatus(k8s.NamespaceName, "kube-system/kube-apiserver-"+k.m.cfg.Name)
}

func (k *kubelet) setPod(reason string) {
	k.pod.Lock()
	changed := k.podReady != reason
	k.podReady = reason
	k.pod.Unlock()
	if changed {
		if reason == "" {
			reason = k.status().Metadata().ID() + " ready"
		}
		_, _ = fmt.Fprintln(k.m.journal.logs.Service("kubelet"), time.Now().UTC().Format(time.RFC3339Nano), reason)
		k.m.status.assess()
	}
}

// mirror says what a static pod is to Kubernetes.
func (k *kubelet) mirror(name string) mirrored {
	k.mu.Lock()
	absent := k.absent
	k.mu.Unlock()
	switch {
	case k.m.cfg.Worker, name == k8s.APIServerID && absent:
		return mirrorAbsent
	case name != k8s.APIServerID:
		return mirrorReady // no process that could be anything else
	}
	k.pod.Lock()
	defer k.pod.Unlock()
	if k.podReady == "" {
		return mirrorReady
	}
	return mirrorUnready
}
