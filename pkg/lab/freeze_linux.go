package lab

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

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
