//go:build linux

package node

import (
	"sync"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const serviceOwner = "v1alpha1.ServiceController"

// serviceEventsKept is how many events ServiceList shows of a service.
const serviceEventsKept = 16

// services are the machine's system services as Talos reports them: in
// ServiceList, as resources (only while they run) and as events.
type services struct {
	m    *machine
	mu   sync.Mutex // guards info
	info map[string]*machineapi.ServiceInfo
}

func newServices(m *machine) *services {
	return &services{m: m, info: map[string]*machineapi.ServiceInfo{}}
}

// serviceHealth is what a service's health check says.
type serviceHealth int

const (
	healthUnknown serviceHealth = iota
	healthGood
	healthBad
)

// The states of a service, as events and ServiceList name them.
var serviceStates = map[machineapi.ServiceStateEvent_Action]string{
	machineapi.ServiceStateEvent_PREPARING: "Preparing",
	machineapi.ServiceStateEvent_STARTING:  "Starting",
	machineapi.ServiceStateEvent_RUNNING:   "Running",
	machineapi.ServiceStateEvent_WAITING:   "Waiting",
	machineapi.ServiceStateEvent_STOPPING:  "Stopping",
	machineapi.ServiceStateEvent_FINISHED:  "Finished",
	machineapi.ServiceStateEvent_FAILED:    "Failed",
}

// set moves a service to a state.
func (s *services) set(id string, action machineapi.ServiceStateEvent_Action, msg string, health serviceHealth) {
	s.setIf(always, id, action, msg, health)
}

func always(*machineapi.ServiceInfo) bool { return true }

// setIf moves a service to a state if what is known of it, nil for nothing,
// meets the condition.
func (s *services) setIf(when func(*machineapi.ServiceInfo) bool, id string, action machineapi.ServiceStateEvent_Action, msg string, health serviceHealth) {
	s.mu.Lock()
	if !when(s.info[id]) {
		s.mu.Unlock()
		return
	}
	now := timestamppb.New(s.m.clock.Now())
	info := s.info[id]
	if info == nil {
		info = &machineapi.ServiceInfo{Id: id, Events: &machineapi.ServiceEvents{}}
		s.info[id] = info
		s.m.journal.logs.Service(id) // a service that says nothing has a log, too
	}
	info.State = serviceStates[action]
	info.Health = &machineapi.ServiceHealth{Unknown: health == healthUnknown, Healthy: health == healthGood, LastChange: now}
	if health == healthBad {
		info.Health.LastMessage = msg
	}
	info.Events.Events = append(info.Events.Events, &machineapi.ServiceEvent{Msg: msg, State: info.State, Ts: now})
	info.Events.Events = info.Events.Events[max(0, len(info.Events.Events)-serviceEventsKept):]
	s.publish(id, action == machineapi.ServiceStateEvent_RUNNING, health)
	s.m.journal.printf("service[%s](%s): %s", id, info.State, msg)
	event := &machineapi.ServiceStateEvent{Service: id, Action: action, Message: msg, Health: proto.CloneOf(info.Health)}
	s.mu.Unlock()
	s.m.events.Publish(event, "")
	s.m.status.assess()
}

// publish keeps the resource, which exists only while the service runs.
func (s *services) publish(id string, running bool, health serviceHealth) {
	if !running {
		drop(s.m, serviceOwner, v1alpha1.NewService(id).Metadata())
		return
	}
	put(s.m, serviceOwner, v1alpha1.NewService(id), func(r *v1alpha1.Service) {
		*r.TypedSpec() = v1alpha1.ServiceSpec{Running: true, Healthy: health == healthGood, Unknown: health == healthUnknown}
	})
}

// health notes a new verdict of a service's health check. One that comes when
// the service is being stopped is too late: the service stays gone.
func (s *services) health(id string, health serviceHealth, msg string) {
	changes := func(info *machineapi.ServiceInfo) bool {
		return runs(info) && (info.GetHealth().GetUnknown() != (health == healthUnknown) || info.GetHealth().GetHealthy() != (health == healthGood))
	}
	s.setIf(changes, id, machineapi.ServiceStateEvent_RUNNING, msg, health)
}

func runs(info *machineapi.ServiceInfo) bool {
	return info.GetState() == serviceStates[machineapi.ServiceStateEvent_RUNNING]
}

// start shows a service that needs no process of its own as running.
func (s *services) start(id string) {
	s.set(id, machineapi.ServiceStateEvent_PREPARING, "Running pre state", healthUnknown)
	s.set(id, machineapi.ServiceStateEvent_RUNNING, "Started task "+id, healthGood)
}

// stop shows it as finished, if it ran.
func (s *services) stop(id string) {
	ran := false
	s.setIf(func(info *machineapi.ServiceInfo) bool { ran = runs(info); return ran },
		id, machineapi.ServiceStateEvent_STOPPING, "Sending SIGTERM to "+id, healthUnknown)
	if ran {
		s.set(id, machineapi.ServiceStateEvent_FINISHED, "Service finished successfully", healthUnknown)
	}
}

// list returns a copy of what is known of each service.
func (s *services) list() []*machineapi.ServiceInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*machineapi.ServiceInfo
	for _, info := range s.info {
		list = append(list, proto.CloneOf(info))
	}
	return list
}

// unmet returns the services that keep the machine from being ready.
func (s *services) unmet() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unmet []string
	required := []string{"apid", "etcd", "kubelet", "machined", "trustd"}
	if s.m.cfg.Worker {
		required = []string{"apid", "kubelet", "machined"}
	}
	for _, id := range required {
		switch info := s.info[id]; {
		case !runs(info):
			unmet = append(unmet, id+" not running")
		case !info.Health.GetUnknown() && !info.Health.GetHealthy():
			unmet = append(unmet, id+" not healthy")
		}
	}
	return unmet
}
