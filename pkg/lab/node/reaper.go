//go:build linux

package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// reaper starts the machine's processes and reaps every process of its PID
// namespace, orphans included, as PID 1 must. Nothing else in the process may
// wait for a child.
type reaper struct {
	mu       sync.Mutex         // guards children, and keeps a PID from being reused under a signal
	children map[int]*childProc // by PID
}

func newReaper() *reaper { return &reaper{children: map[int]*childProc{}} }

// start starts the command.
func (r *reaper) start(cmd *exec.Cmd) (proc, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %v: %w", cmd.Args, err)
	}
	p := &childProc{reaper: r, pid: cmd.Process.Pid, done: make(chan struct{})}
	r.children[p.pid] = p
	return p, cmd.Process.Release()
}

// run reaps until the context ends.
func (r *reaper) run(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		for r.reapOne() {
		}
		select {
		case <-ctx.Done():
			return
		case <-died:
		}
	}
}

// reapOne reaps a process that has ended, if there is one.
func (r *reaper) reapOne() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
	if err == unix.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if p := r.children[pid]; p != nil {
		delete(r.children, pid)
		close(p.done)
	}
	return true
}

// childProc is a process that the reaper started.
type childProc struct {
	reaper *reaper
	pid    int
	done   chan struct{}
}

// Done is closed when the process was reaped.
func (p *childProc) Done() <-chan struct{} { return p.done }

// Signal sends the signal, unless the process was reaped.
func (p *childProc) Signal(sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("send %v to process %d: not a signal of this system", sig, p.pid)
	}
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	if p.reaper.children[p.pid] != p {
		return os.ErrProcessDone
	}
	return unix.Kill(p.pid, s)
}
