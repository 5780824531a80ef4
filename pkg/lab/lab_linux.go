package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// Lab is a running lab, as its clients see it.
type Lab struct{ Name string }

// Environment variables that a command on the workstation finds.
const (
	EnvName  = "VIPCTL_LAB"       // the lab's name
	EnvVIP   = "VIPCTL_LAB_VIP"   // its VIPs, separated by commas
	EnvNodes = "VIPCTL_LAB_NODES" // its control planes' addresses, separated by commas
	// EnvWorkers has the workers', and is empty where there are none.
	EnvWorkers = "VIPCTL_LAB_WORKERS"
)

// converse sends the request and hands every answer to f.
func (l *Lab) converse(ctx context.Context, r request, f func(answer) error) error {
	c, err := dial(l.Name)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := c.ask(r); err != nil {
		return err
	}
	if err := c.each(f); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return nil
}

// Status asks for the lab's state.
func (l *Lab) Status(ctx context.Context) (s Status, err error) {
	err = l.converse(ctx, request{Op: opStatus}, func(a answer) error {
		if a.Status != nil {
			s = *a.Status
		}
		return nil
	})
	return s, err
}

// Events hands the true instants so far to f, in the order of their time; with
// follow in the order of their numbers, and also those that come, until ctx
// ends or f returns an error. Both are truth.HoldBack behind.
func (l *Lab) Events(ctx context.Context, follow bool, f func(truth.Event) error) error {
	return l.converse(ctx, request{Op: opEvents, Follow: follow}, func(a answer) error {
		if a.Event == nil {
			return nil
		}
		return f(*a.Event)
	})
}

// Logs writes what the node's processes wrote to their standard output and
// error. Long logs begin where the lab still remembers.
func (l *Lab) Logs(ctx context.Context, node string, w io.Writer) error {
	return l.converse(ctx, request{Op: opLogs, Node: node}, func(a answer) error {
		_, err := w.Write(a.Text)
		return err
	})
}

// Inject does a fault. What CheckFault says of the request, it says as well.
func (l *Lab) Inject(ctx context.Context, r FaultRequest) error {
	return l.converse(ctx, request{Op: opInject, Fault: &r}, ignore)
}

// Undo undoes a fault, or all of them. Where Node is empty, the fault must be
// the network's or active on one node only.
func (l *Lab) Undo(ctx context.Context, r FaultRequest) error {
	return l.converse(ctx, request{Op: opUndo, Fault: &r}, ignore)
}

func ignore(answer) error { return nil }

// Faults asks for the faults that were injected and not undone.
func (l *Lab) Faults(ctx context.Context) (active []ActiveFault, err error) {
	err = l.converse(ctx, request{Op: opFaults}, func(a answer) error {
		active = append(active, a.Faults...)
		return nil
	})
	return active, err
}

// Command is a program to run on the lab's workstation.
type Command struct {
	// Args are the program and its arguments. A program named vipctl is this
	// very binary.
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`

	Stdin, Stdout, Stderr *os.File `json:"-"`
	// Signals are passed on to the program. It is in a session of its own, so
	// the terminal's do not reach it otherwise.
	Signals <-chan os.Signal `json:"-"`
}

// Exec runs a command on the workstation and returns its exit code; for one
// that a signal ended 128 and the signal's number. The command and its session
// are killed when ctx ends or this process dies.
func (l *Lab) Exec(ctx context.Context, cmd Command) (int, error) {
	c, err := dial(l.Name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := c.ask(request{Op: opExec, Exec: &cmd}, cmd.Stdin, cmd.Stdout, cmd.Stderr); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-cmd.Signals:
				if n, ok := s.(syscall.Signal); ok {
					_ = c.out.Encode(request{Signal: int(n)})
				}
			case <-done:
				return
			}
		}
	}()
	code := 0
	err = c.each(func(a answer) error {
		code = a.Exit
		if len(a.Text) > 0 { // why it could not be started
			_, err := fmt.Fprintf(cmd.Stderr, "error: %s\n", a.Text)
			return err
		}
		return nil
	})
	return code, errors.Join(ctx.Err(), err)
}

// downTime is how long Down waits before it uses force.
const downTime = 10 * time.Second

// Down ends the lab; when it returns, nothing of it is left. A supervisor that
// does not answer is killed, which has the same effect.
func (l *Lab) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, downTime)
	defer cancel()
	err := l.converse(ctx, request{Op: opDown}, ignore)
	if err != nil && !errors.Is(err, errGone) {
		if errors.Is(err, errNoLab) {
			return err
		}
		if killErr := killSupervisor(l.Name); killErr != nil {
			return fmt.Errorf("taking down the lab %s: %w", l.Name, errors.Join(err, killErr))
		}
	}
	return waitGone(context.WithoutCancel(ctx), l.Name)
}

// waitGone waits until nobody listens to the lab's socket any more.
func waitGone(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, downTime)
	defer cancel()
	for {
		c, err := dial(name)
		if errors.Is(err, errNoLab) {
			return nil
		}
		if err == nil {
			_ = c.Close()
		}
		if !sleep(ctx, 5*time.Millisecond) {
			return fmt.Errorf("the lab %s is still there after %v", name, downTime)
		}
	}
}

// sleep waits for d and says whether ctx was still good at the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
