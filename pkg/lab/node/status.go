//go:build linux

package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/time"
)

const machineStatusOwner = "runtime.MachineStatusController"

// machineStatus is the machine's stage, and whether it is ready.
type machineStatus struct {
	m *machine

	mu    sync.Mutex // guards what follows
	stage runtime.MachineStage
	last  runtime.MachineStatusSpec
}

// The stages as events name them.
var stageEvents = map[runtime.MachineStage]machineapi.MachineStatusEvent_MachineStage{
	runtime.MachineStageBooting:      machineapi.MachineStatusEvent_BOOTING,
	runtime.MachineStageMaintenance:  machineapi.MachineStatusEvent_MAINTENANCE,
	runtime.MachineStageRunning:      machineapi.MachineStatusEvent_RUNNING,
	runtime.MachineStageRebooting:    machineapi.MachineStatusEvent_REBOOTING,
	runtime.MachineStageShuttingDown: machineapi.MachineStatusEvent_SHUTTING_DOWN,
}

// enter moves the machine to a stage.
func (s *machineStatus) enter(stage runtime.MachineStage) {
	s.mu.Lock()
	s.stage = stage
	s.mu.Unlock()
	s.assess()
}

// assess publishes the stage and readiness, if they changed.
func (s *machineStatus) assess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	spec := runtime.MachineStatusSpec{Stage: s.stage}
	// Talos looks at its ready checks in these stages only, and takes a machine
	// of which nothing is asked for ready: also one on its way down.
	if s.stage == runtime.MachineStageBooting || s.stage == runtime.MachineStageRunning {
		spec.Status.UnmetConditions = s.unmet()
	}
	spec.Status.Ready = len(spec.Status.UnmetConditions) == 0
	if spec.Stage == runtime.MachineStageUnknown || equalStatus(spec, s.last) {
		return
	}
	s.last = spec
	put(s.m, machineStatusOwner, runtime.NewMachineStatus(), func(r *runtime.MachineStatus) { *r.TypedSpec() = spec })
	event := &machineapi.MachineStatusEvent{
		Stage:  stageEvents[spec.Stage],
		Status: &machineapi.MachineStatusEvent_MachineStatus{Ready: spec.Status.Ready},
	}
	for _, c := range spec.Status.UnmetConditions {
		event.Status.UnmetConditions = append(event.Status.UnmetConditions,
			&machineapi.MachineStatusEvent_MachineStatus_UnmetCondition{Name: c.Name, Reason: c.Reason})
	}
	s.m.events.Publish(event, "")
}

// follow looks again whenever something changes that a ready check looks at,
// until the context ends. Services say so themselves.
func (s *machineStatus) follow(ctx context.Context) {
	s.m.follow(ctx, s.assess,
		kindOf(time.NewStatus()), kindOf(network.NewStatus(network.NamespaceName, "")),
		kindOf(k8s.NewStaticPodStatus(k8s.NamespaceName, "")), kindOf(k8s.NewNodeStatus(k8s.NamespaceName, "")))
}

// unmet asks Talos's ready checks, in its order (Talos v1.13.9
// internal/app/machined/pkg/controllers/runtime/machine_status.go).
func (s *machineStatus) unmet() []runtime.UnmetCondition {
	var unmet []runtime.UnmetCondition
	for _, check := range []struct {
		name   string
		reason func() string // why it is not met; "" if it is
	}{
		{"time", s.timeSynced}, {"network", s.networkReady},
		{"services", func() string { return strings.Join(s.m.services.unmet(), ", ") }},
		{"staticPods", s.podsReady}, {"nodeReady", s.nodeReady},
	} {
		if reason := check.reason(); reason != "" {
			unmet = append(unmet, runtime.UnmetCondition{Name: check.name, Reason: reason})
		}
	}
	return unmet
}

func (s *machineStatus) timeSynced() string {
	r, err := safe.StateGet[*time.Status](context.Background(), s.m.state, time.NewStatus().Metadata())
	switch {
	case err != nil:
		return err.Error()
	case !r.TypedSpec().Synced:
		return "time is not synced"
	}
	return ""
}

func (s *machineStatus) networkReady() string {
	r, err := safe.StateGetByID[*network.Status](context.Background(), s.m.state, network.StatusID)
	if err != nil {
		return err.Error()
	}
	var missing []string
	for _, part := range []struct {
		name  string
		ready bool
	}{
		{"address", r.TypedSpec().AddressReady}, {"connectivity", r.TypedSpec().ConnectivityReady},
		{"etc-files", r.TypedSpec().EtcFilesReady}, {"hostname", r.TypedSpec().HostnameReady},
	} {
		if !part.ready {
			missing = append(missing, part.name)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "waiting on: " + strings.Join(missing, ", ")
}

// podsReady looks at the pods that have a status. A kubelet that is gone took
// them with it.
func (s *machineStatus) podsReady() string {
	pods, err := safe.StateListAll[*k8s.StaticPodStatus](context.Background(), s.m.state)
	if err != nil {
		return err.Error()
	}
	var problems []string
	for pod := range pods.All() {
		if !podReady(pod.TypedSpec().PodStatus) {
			problems = append(problems, pod.Metadata().ID()+" not ready")
		}
	}
	return strings.Join(problems, ", ")
}

// podReady reports whether a pod's status has the condition Ready.
func podReady(status map[string]any) bool {
	conditions, _ := status["conditions"].([]any)
	return slices.ContainsFunc(conditions, func(c any) bool {
		condition, _ := c.(map[string]any)
		return condition["type"] == "Ready" && condition["status"] == "True"
	})
}

func (s *machineStatus) nodeReady() string {
	r, err := safe.StateGetByID[*k8s.NodeStatus](context.Background(), s.m.state, s.m.cfg.Name)
	switch {
	case state.IsNotFoundError(err):
		return fmt.Sprintf("node %q status is not available yet", s.m.cfg.Name)
	case err != nil:
		return fmt.Sprintf("failed to get node status: %v", err)
	case !r.TypedSpec().NodeReady:
		return fmt.Sprintf("node %q is not ready", s.m.cfg.Name)
	}
	return ""
}

func equalStatus(a, b runtime.MachineStatusSpec) bool {
	return a.Stage == b.Stage && a.Status.Ready == b.Status.Ready && slices.Equal(a.Status.UnmetConditions, b.Status.UnmetConditions)
}
