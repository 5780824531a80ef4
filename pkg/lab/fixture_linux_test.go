package lab

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stmcginnis/gofish"

	"github.com/vipctl/vipctl/pkg/lab/labtest"
	"github.com/vipctl/vipctl/pkg/lab/process"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// TestMain lets the test binary be what the lab starts it as: its processes,
// and two helpers that run elsewhere.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case process.Command:
			os.Exit(RunProcess(os.Args[2], os.Args[3:]))
		case "test-bound":
			os.Exit(runBound(os.Args[2]))
		case "test-starting":
			os.Exit(runStarting(os.Args[2]))
		case "test-client":
			os.Exit(runClient(os.Args[2]))
		case "test-redfish":
			os.Exit(runRedfish(os.Args[2], os.Args[3]))
		case "test-arp":
			os.Exit(runARP(os.Args[2]))
		case "test-relay":
			os.Exit(runRelay(os.Args[2]))
		case "test-prober":
			os.Exit(runProber(os.Args[2], os.Args[3]))
		}
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

// seat waits for one of the seats, and keeps it until the test ends. The test
// binaries of one "go test" share them: on few processors more labs at once
// would disturb what others measure.
func seat(t *testing.T) {
	t.Helper()
	for {
		for n := range seats {
			// An abstract socket, which is gone with its process.
			l, err := net.Listen("unix", fmt.Sprintf("@vipctl-test-%d-%d", os.Getppid(), n))
			if err == nil {
				t.Cleanup(func() { _ = l.Close() })
				return
			}
			if !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// runBound starts a bound lab, says so, and waits to be killed.
func runBound(name string) int {
	if _, err := Up(context.Background(), testSpec(name), Options{Bound: true}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("up")
	select {}
}

// runStarting starts a lab that is to stay, and says so at its first line of
// progress, when it is not whole yet.
func runStarting(name string) int {
	_, err := Up(context.Background(), testSpec(name), Options{Progress: func(string) { fmt.Println("starting"); select {} }})
	fmt.Println(err)
	return 1
}

// runRedfish resets a machine with a real Redfish client.
func runRedfish(url, reset string) int {
	password, err := os.ReadFile(filepath.Join(filepath.Dir(os.Getenv("VIPCTL_CONFIG")), "bmc-password"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	c, err := gofish.Connect(gofish.ClientConfig{Endpoint: url, Username: bmcUser, Password: strings.TrimSpace(string(password)), BasicAuth: true})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	resp, err := c.Post("/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", map[string]string{"ResetType": reset})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_ = resp.Body.Close()
	return 0
}

func testSpec(name string) Spec {
	s := Spec{Name: name, LeaseTTL: 2 * time.Second}.Default()
	s.BootTime = 200 * time.Millisecond
	return s
}

// need skips, or fails where the lab is required, unless namespaces can be made.
func need(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a lab takes seconds")
	}
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = namespaces(needUser())
	if err := cmd.Run(); err != nil {
		labtest.Unavailable(t, explain(err, sysctl))
	}
}

// start brings up a lab of this test's own, with changes to testSpec, beside
// those of other tests.
func start(t *testing.T, changes ...func(*Spec)) *Lab {
	t.Helper()
	t.Parallel()
	seat(t)
	return startAlone(t, changes...)
}

// startAlone is start for a test that measures, or that looks at more than its
// own lab: no other of this package runs beside it. It takes no seat.
func startAlone(t *testing.T, changes ...func(*Spec)) *Lab {
	t.Helper()
	need(t)
	name := testName(t)
	spec := testSpec(name)
	for _, change := range changes {
		change(&spec)
	}
	l, err := Up(t.Context(), spec, Options{Progress: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatalf("Up(%s) = %v; hint: %s", name, err, hintOf(err))
	}
	t.Cleanup(func() {
		if t.Failed() {
			_ = l.Events(context.Background(), false, func(e truth.Event) error {
				t.Log(e.At, e.Node, e.Kind, e.Detail)
				return nil
			})
		}
		if err := l.Down(context.Background()); err != nil && !errors.Is(err, errNoLab) {
			t.Errorf("Down() = %v", err)
		}
	})
	return l
}

func hintOf(err error) string {
	var h interface {
		error
		Hint() string
	}
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func testName(t *testing.T) string {
	name := strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	return fmt.Sprintf("t%d-%.20s", os.Getpid(), strings.NewReplacer("/", "-", "_", "-").Replace(name))
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute it still does not hold that %s", what)
		}
	}
}

// runIn runs a command on the workstation and returns what it printed.
func runIn(ctx context.Context, t *testing.T, l *Lab, signals <-chan os.Signal, args ...string) (string, int, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	var (
		out    bytes.Buffer
		copied = make(chan struct{})
	)
	go func() { defer close(copied); _, _ = io.Copy(&out, r) }()
	code, err := l.Exec(ctx, Command{Args: args, Env: os.Environ(), Dir: "/", Stdin: null, Stdout: w, Stderr: w, Signals: signals})
	_ = w.Close()
	<-copied
	_ = r.Close()
	return out.String(), code, err
}

// events returns the lab's log.
func events(t *testing.T, l *Lab) (all []truth.Event) {
	t.Helper()
	if err := l.Events(t.Context(), false, func(e truth.Event) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// last returns when the node last did that, 0 if never.
func last(all []truth.Event, node string, kind truth.Kind) time.Duration {
	for _, e := range slices.Backward(all) {
		if e.Node == node && e.Kind == kind {
			return e.At
		}
	}
	return 0
}

func status(t *testing.T, l *Lab, node string) (Status, NodeStatus) {
	t.Helper()
	st, err := l.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(st.Nodes, func(n NodeStatus) bool { return n.Name == node })
	if i < 0 {
		return st, NodeStatus{}
	}
	return st, st.Nodes[i]
}
