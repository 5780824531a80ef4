//go:build linux

package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// sequence is what a machine does from one stage to the next.
type sequence struct {
	name     string
	stage    runtime.MachineStage // while it runs
	after    runtime.MachineStage // once it is done; unknown is the same as before
	takeOver []string             // the running sequences that it may replace
	down     bool                 // the machine is on its way down
	phases   []phase
}

type phase struct {
	name  string
	tasks []task
}

type task struct {
	name string
	run  func(context.Context) // nothing that fails stops a sequence of ours
}

// one returns a phase of one task, which is what nearly all of Talos's are.
func one(name, taskName string, run func(context.Context)) phase {
	return phase{name: name, tasks: []task{{name: taskName, run: run}}}
}

func nothing(context.Context) {}

// sequencer lets one sequence run at a time.
type sequencer struct {
	mu     sync.Mutex // guards what follows
	name   string     // "" when none runs
	down   bool
	cancel context.CancelFunc
	done   chan struct{}
}

// enter returns the context of a new sequence, or false if the one that runs
// may not be replaced. The caller must call leave.
func (q *sequencer) enter(ctx context.Context, s sequence) (_ context.Context, leave func(), ok bool) {
	q.mu.Lock()
	for q.name != "" {
		if !slices.Contains(s.takeOver, q.name) {
			q.mu.Unlock()
			return nil, nil, false
		}
		q.cancel()
		done := q.done
		q.mu.Unlock()
		<-done
		q.mu.Lock()
	}
	defer q.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	q.name, q.cancel, q.done = s.name, cancel, done
	q.down = q.down || s.down
	return ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		cancel()
		q.name = ""
		close(done)
	}, true
}

// goingDown reports whether a sequence has begun that ends the machine.
func (q *sequencer) goingDown() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.down
}

// perform runs a sequence to its end, with the events that Talos emits.
func (m *machine) perform(ctx context.Context, s sequence, actor string) {
	emit := func(action machineapi.SequenceEvent_Action, code common.Code, msg string) {
		e := &machineapi.SequenceEvent{Sequence: s.name, Action: action}
		if msg != "" {
			e.Error = &common.Error{Code: code, Message: msg}
		}
		m.events.Publish(e, actor)
	}
	ctx, leave, ok := m.sequencer.enter(ctx, s)
	if !ok {
		emit(machineapi.SequenceEvent_NOOP, common.Code_LOCKED, "locked")
		return
	}
	defer leave()
	m.truth.Record(truth.Event{Kind: truth.SequenceStart, Detail: s.name})
	m.journal.printf("%s sequence: %d phase(s)", s.name, len(s.phases))
	began := time.Now()
	emit(machineapi.SequenceEvent_START, 0, "")
	m.status.enter(s.stage)
	for i, p := range s.phases {
		m.truth.Record(truth.Event{Kind: truth.PhaseStart, Detail: p.name})
		m.journal.printf("phase %s (%d/%d): %d tasks(s)", p.name, i+1, len(s.phases), len(p.tasks))
		phaseBegan := time.Now()
		m.events.Publish(&machineapi.PhaseEvent{Phase: p.name, Action: machineapi.PhaseEvent_START}, actor)
		for i, t := range p.tasks {
			m.journal.printf("task %s (%d/%d): starting", t.name, i+1, len(p.tasks))
			taskBegan := time.Now()
			m.events.Publish(&machineapi.TaskEvent{Task: t.name, Action: machineapi.TaskEvent_START}, actor)
			t.run(ctx)
			if ctx.Err() != nil {
				emit(machineapi.SequenceEvent_NOOP, common.Code_CANCELED, "sequence canceled")
				return
			}
			m.journal.printf("task %s (%d/%d): done, %s", t.name, i+1, len(p.tasks), time.Since(taskBegan))
			m.events.Publish(&machineapi.TaskEvent{Task: t.name, Action: machineapi.TaskEvent_STOP}, actor)
		}
		m.truth.Record(truth.Event{Kind: truth.PhaseEnd, Detail: p.name})
		m.journal.printf("phase %s (%d/%d): done, %s", p.name, i+1, len(s.phases), time.Since(phaseBegan))
		m.events.Publish(&machineapi.PhaseEvent{Phase: p.name, Action: machineapi.PhaseEvent_STOP}, actor)
	}
	m.journal.printf("%s sequence: done: %s", s.name, time.Since(began))
	emit(machineapi.SequenceEvent_STOP, 0, "")
	if s.after != runtime.MachineStageUnknown {
		m.status.enter(s.after)
	}
}
