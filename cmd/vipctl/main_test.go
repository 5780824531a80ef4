package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/commands"
)

// The tests drive the whole program as its users do: this test binary is
// vipctl where it is started under that name, also by the lab.
func TestMain(m *testing.M) {
	switch name := filepath.Base(os.Args[0]); name {
	case "vipctl":
		os.Exit(commands.Main())
	case omniProxy, omniLaptop:
		os.Exit(omniPart(name))
	}
	sideBySide()
	os.Exit(m.Run())
}

// seats is how many labs there are at once. Their tests wait, most of the time.
const seats = 4

// sideBySide lets tests take every seat, however few processors there are,
// unless -parallel says otherwise.
func sideBySide() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", strconv.Itoa(seats))
	}
}

// seat waits for one of the seats, which the tests of pkg/lab take as well, and
// keeps it until the test ends. The test binaries of one "go test" share them:
// on few processors more labs at once would disturb what others measure.
func seat(t *testing.T) {
	t.Helper()
	for {
		for n := range seats {
			if takeSeat(t, n) {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// allSeats is for a test that measures: no other lab runs beside it. Such a test
// is not parallel, lest it keep others waiting while it waits itself. Seats are
// taken in their order, so that two such tests cannot wait for each other.
func allSeats(t *testing.T) {
	t.Helper()
	for n := range seats {
		for !takeSeat(t, n) {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// takeSeat takes a seat until the test ends, if it is free. It is an abstract
// socket, which is gone with its process.
func takeSeat(t *testing.T, n int) bool {
	t.Helper()
	l, err := net.Listen("unix", fmt.Sprintf("@vipctl-test-%d-%d", os.Getppid(), n))
	if err == nil {
		t.Cleanup(func() { _ = l.Close() })
		return true
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
	return false
}

// result is what a command line came to.
type result struct {
	args           []string
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("vipctl %s = exit code %d\n--- stdout\n%s--- stderr\n%s", strings.Join(r.args, " "), r.code, r.stdout, r.stderr)
}

// decode reads the one JSON value that stdout holds.
func (r result) decode(t *testing.T, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), to); err != nil {
		t.Fatalf("stdout is not one JSON value: %v\n%s", err, r)
	}
}

// command returns "vipctl args...", not started, with a state directory of the
// test's own and nothing of the user's.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Args[0] = "vipctl"
	dir := t.TempDir()
	cmd.Env = append(os.Environ(),
		"HOME="+dir, "XDG_STATE_HOME="+dir+"/state", "XDG_CONFIG_HOME="+dir+"/config",
		"TALOSCONFIG=", "TALOS_HOME=", "KUBECONFIG=", "VIPCTL_CONFIG=", "VIPCTL_LAB=")
	return cmd
}

// vipctl runs "vipctl args..." to its end.
func vipctl(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, command(t, args...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	runErr := cmd.Run()
	var exit *exec.ExitError
	if runErr != nil && !errors.As(runErr, &exit) {
		t.Fatalf("vipctl %s: %v", strings.Join(cmd.Args[1:], " "), runErr)
	}
	return result{args: cmd.Args[1:], stdout: out.String(), stderr: err.String(), code: cmd.ProcessState.ExitCode()}
}

// testLab is a lab that stays up for the time of one test.
type testLab struct {
	t    *testing.T
	name string
}

var labs atomic.Int32

// newLab brings a lab up. Where this machine allows no lab the test is skipped,
// or fails if VIPCTL_LAB=required.
func newLab(t *testing.T, flags ...string) *testLab {
	t.Helper()
	seat(t)
	return upLab(t, flags...)
}

// newLabAlone is newLab for a test that measures.
func newLabAlone(t *testing.T, flags ...string) *testLab {
	t.Helper()
	allSeats(t)
	return upLab(t, flags...)
}

// upLab brings a lab up whose nodes lose no time in their firmware.
func upLab(t *testing.T, flags ...string) *testLab {
	t.Helper()
	l := &testLab{t: t, name: fmt.Sprintf("test-%d-%d", os.Getpid(), labs.Add(1))}
	// Of the flag that is given twice the last counts.
	up := vipctl(t, append([]string{"lab", "up", "--name", l.name, "--boot-time", "500ms"}, flags...)...)
	if up.code != 0 {
		if os.Getenv("VIPCTL_LAB") != "required" && strings.Contains(up.stderr, "namespaces") {
			t.Skipf("no lab can be had here: %s", up.stderr)
		}
		t.Fatalf("the lab does not come up: %s", up)
	}
	t.Cleanup(func() {
		cmd := exec.Command("/proc/self/exe", "lab", "down", "--name", l.name) // t.Context has ended
		cmd.Args[0] = "vipctl"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("lab down: %v\n%s", err, out)
		}
	})
	return l
}

// on runs "vipctl args..." on the lab's workstation.
func (l *testLab) on(args ...string) result {
	l.t.Helper()
	return vipctl(l.t, append([]string{"lab", "exec", "--name", l.name, "--", "vipctl"}, args...)...)
}

// sh runs a shell line on the lab's workstation.
func (l *testLab) sh(line string) result {
	l.t.Helper()
	return vipctl(l.t, "lab", "exec", "--name", l.name, "--", "sh", "-c", line)
}

// fault injects or undoes ("inject", "undo") a fault.
func (l *testLab) fault(verb string, args ...string) {
	l.t.Helper()
	if r := vipctl(l.t, append([]string{"lab", "fault", verb, "--name", l.name}, args...)...); r.code != 0 {
		l.t.Fatal(r)
	}
}
