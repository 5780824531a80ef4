//go:build linux

package node

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// killAfter is how long a process that was asked to end may take
// (Talos v1.13.9 internal/app/machined/pkg/system/runner: 10 s).
const killAfter = 10 * time.Second

// proc is a running process.
type proc interface {
	Signal(os.Signal) error
	// Done is closed when the process has ended and was reaped.
	Done() <-chan struct{}
}

// unit keeps one process of the machine alive while it is wanted.
type unit struct {
	name  string
	start func() (proc, error)
	delay time.Duration // before a process that ended by itself is started again
	truth truth.Recorder
	up    func()            // called after each start
	down  func(wanted bool) // called after each end; wanted: it should still run
	fail  func(error)       // called when it could not be started; it is tried again

	mu      sync.Mutex // guards what follows
	wanted  bool
	held    bool // a fault holds it down
	running proc
	wake    chan struct{} // closed and replaced at each change
}

func newUnit(name string, delay time.Duration, rec truth.Recorder, start func() (proc, error)) *unit {
	return &unit{
		name: name, start: start, delay: delay, truth: rec,
		up: func() {}, down: func(bool) {}, fail: func(error) {}, wake: make(chan struct{}),
	}
}

// run starts the process whenever it is wanted, until the context ends. It
// does not end a process that runs then.
func (u *unit) run(ctx context.Context) {
	for u.waitWanted(ctx) {
		if u.once(ctx) {
			u.sleep(ctx)
		}
	}
}

// once runs the process once and reports whether it is still wanted.
func (u *unit) once(ctx context.Context) (again bool) {
	p, err := u.launch()
	if err != nil {
		u.fail(err)
		return true
	}
	if p == nil {
		return false
	}
	u.up()
	select {
	case <-p.Done():
	case <-ctx.Done():
		return false
	}
	u.mu.Lock()
	u.running = nil
	wanted := u.wanted
	u.signalChange()
	u.mu.Unlock()
	u.truth.Record(truth.Event{Kind: truth.ProcessKilled, Detail: u.name})
	u.down(wanted)
	return wanted
}

// launch starts the process unless it is not wanted any more.
func (u *unit) launch() (proc, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.wanted || u.held {
		return nil, nil
	}
	p, err := u.start()
	if err != nil {
		return nil, err
	}
	u.running = p
	u.truth.Record(truth.Event{Kind: truth.ProcessStarted, Detail: u.name})
	u.signalChange()
	return p, nil
}

func (u *unit) waitWanted(ctx context.Context) bool {
	for {
		u.mu.Lock()
		ready, wake := u.wanted && !u.held, u.wake
		u.mu.Unlock()
		if ready {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-wake:
		}
	}
}

// sleep waits for the restart delay, or until the process is not wanted.
func (u *unit) sleep(ctx context.Context) {
	timer := time.NewTimer(u.delay)
	defer timer.Stop()
	for {
		u.mu.Lock()
		wanted, wake := u.wanted && !u.held, u.wake
		u.mu.Unlock()
		if !wanted {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-wake:
		}
	}
}

// want says that the process should run from now on.
func (u *unit) want() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wanted = true
	u.signalChange()
}

// hold kills the process and keeps it from starting again, or lets it start.
func (u *unit) hold(on bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held = on
	if on && u.running != nil {
		_ = u.running.Signal(syscall.SIGKILL) // it may have ended just now
	}
	u.signalChange()
}

// kill kills the process. Unless it is held down it is started again after the
// delay.
func (u *unit) kill(held bool) {
	if held {
		u.hold(true)
		return
	}
	_ = u.signal(syscall.SIGKILL)
}

// signal sends the process a signal; it is still wanted.
func (u *unit) signal(sig syscall.Signal) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.wanted || u.running == nil {
		return fmt.Errorf("%s does not run", u.name)
	}
	return u.running.Signal(sig)
}

// await waits until the process runs.
func (u *unit) await(ctx context.Context) error {
	for {
		u.mu.Lock()
		running, wake := u.running != nil, u.wake
		u.mu.Unlock()
		if running {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s runs: %w", u.name, ctx.Err())
		case <-wake:
		}
	}
}

// stop ends the process by SIGTERM, and after killAfter by SIGKILL, and waits
// until it is gone. It is not started again until it is wanted.
func (u *unit) stop() {
	u.mu.Lock()
	u.wanted = false
	p := u.running
	u.signalChange()
	u.mu.Unlock()
	if p == nil {
		return
	}
	_ = p.Signal(syscall.SIGTERM) // it may have ended just now
	_ = p.Signal(syscall.SIGCONT) // for a process that a fault stopped does not end
	select {
	case <-p.Done():
		return
	case <-time.After(killAfter):
	}
	_ = p.Signal(syscall.SIGKILL)
	<-p.Done()
}

// signalChange wakes who waits for a change. The caller holds mu.
func (u *unit) signalChange() {
	close(u.wake)
	u.wake = make(chan struct{})
}
