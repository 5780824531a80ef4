package lab

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// freeze silences the machine's port, then stops every process of it: the
// kernel of a stopped process would still answer ARP and SYN.
func (m *machine) freeze() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil {
		return m.errOff()
	}
	m.silence("freeze")
	m.run.frozen = true
	err := signalMachine(m.run.cmd.Process.Pid, unix.SIGSTOP, stopped)
	if err != nil {
		err = errors.Join(err, m.melt())
	}
	return err
}

// thaw lets the processes go on, then the port pass frames again.
func (m *machine) thaw() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil {
		return m.errOff()
	}
	return m.melt()
}

// melt undoes freeze. The caller holds mu, and the machine is on.
func (m *machine) melt() error {
	if err := signalMachine(m.run.cmd.Process.Pid, unix.SIGCONT, running); err != nil {
		return err
	}
	m.run.frozen = false
	for _, p := range m.run.ports() {
		p.Restore()
	}
	m.record(truth.LinkRestored, "freeze")
	return nil
}

// signalMachine sends the signal to every process of the PID namespace whose
// first process is pid, until all of them are in the wanted condition: a
// process may start another while it is looked for.
func signalMachine(pid int, sig unix.Signal, done func(state byte) bool) error {
	space, err := pidNamespace(pid)
	if err != nil {
		return err
	}
	for range 1000 {
		missing := 0
		for _, p := range processes() {
			if p.state == 'Z' || done(p.state) {
				continue
			}
			if s, err := pidNamespace(p.pid); err != nil || s != space {
				continue
			}
			missing++
			_ = unix.Kill(p.pid, sig)
		}
		if missing == 0 {
			return nil
		}
	}
	return fmt.Errorf("processes of the machine do not take %v", sig)
}

func stopped(state byte) bool { return state == 'T' || state == 't' }
func running(state byte) bool { return !stopped(state) }

func pidNamespace(pid int) (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
}
