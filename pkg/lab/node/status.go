//go:build linux

package node

import (
	"slices"
	"strings"
	"sync"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
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
	// Talos looks at its ready checks in these stages only.
	if s.stage == runtime.MachineStageBooting || s.stage == runtime.MachineStageRunning {
		spec.Status.UnmetConditions = s.unmet()
		spec.Status.Ready = len(spec.Status.UnmetConditions) == 0
	}
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

// unmet asks Talos's ready checks that mean something here: services and
// staticPods.
func (s *machineStatus) unmet() []runtime.UnmetCondition {
	var unmet []runtime.UnmetCondition
	if names := s.m.services.unmet(); len(names) > 0 {
		unmet = append(unmet, runtime.UnmetCondition{Name: "services", Reason: strings.Join(names, ", ")})
	}
	if reason := s.m.kubelet.unmet(); reason != "" {
		unmet = append(unmet, runtime.UnmetCondition{Name: "staticPods", Reason: reason})
	}
	return unmet
}

func equalStatus(a, b runtime.MachineStatusSpec) bool {
	return a.Stage == b.Stage && a.Status.Ready == b.Status.Ready && slices.Equal(a.Status.UnmetConditions, b.Status.UnmetConditions)
}
