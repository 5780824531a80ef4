package labtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// inside is set in the environment of a test binary that is in a namespace of
// its own.
const inside = "VIPCTL_TEST_INSIDE"

// Main is a TestMain: it runs the tests of a package again in a network
// namespace of their own, where they may do as they like, and returns what to
// exit with. They need not be root for it, and leave the host's network alone.
// Where no namespace can be made they run as they are: each must then ask.
func Main(m *testing.M) int {
	if os.Getenv(inside) != "" {
		return m.Run()
	}
	cmd := again(os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return m.Run()
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// InNamespace runs f in a network namespace of its own, as Main does, where the
// other tests of the package must not be in one. The test runs itself again for
// it, so f must not need what the test did before.
func InNamespace(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if os.Getenv(inside) != "" {
		f(t)
		return
	}
	out, err := again("-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v").CombinedOutput()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		Unavailable(t, fmt.Errorf("network namespaces cannot be made: %w", err))
	}
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
}

// again is this program in a network namespace, and, unless we are root, in a
// user namespace in which we are.
func again(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), inside+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd
}
