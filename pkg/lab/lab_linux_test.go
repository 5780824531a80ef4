package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/process"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

func TestExec(t *testing.T) {
	l := start(t)
	for name, row := range map[string]struct {
		args []string
		out  string
		code int
	}{
		"its exit code":       {[]string{"sh", "-c", "exit 7"}, "", 7},
		"a signal's code":     {[]string{"sh", "-c", "kill -9 $$"}, "", 128 + 9},
		"the lab's variables": {[]string{"sh", "-c", "echo $VIPCTL_LAB_VIP $VIPCTL_LAB_NODES"}, "10.5.0.50 10.5.0.2,10.5.0.3,10.5.0.4\n", 0},
		"readable files":      {[]string{"sh", "-c", "cat $TALOSCONFIG $TALOSCONFIG-reader $TALOSCONFIG-operator $KUBECONFIG $VIPCTL_CONFIG >/dev/null"}, "", 0},
		"this very binary":    {[]string{"vipctl", process.Command, "nonsense", "x"}, "error: \"nonsense\" with 1 arguments is no process of the lab\n", 2},
		"a missing program":   {[]string{"no-such-program"}, "error: no-such-program: executable file not found in $PATH\n", 127},
	} {
		t.Run(name, func(t *testing.T) {
			out, code, err := runIn(t.Context(), t, l, nil, row.args...)
			if err != nil || out != row.out || code != row.code {
				t.Errorf("Exec(%q) = %q, %d, %v; want %q, %d", row.args, out, code, err, row.out, row.code)
			}
		})
	}
}

func TestExecPassesEachSignalOnce(t *testing.T) {
	l := start(t)
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	// Whoever may not write there cannot tell: the lab runs as this user.
	script := `n=0; trap 'n=$((n+1))' INT; trap 'exit $((40+n))' TERM; : >"$1"; while :; do sleep 0.05; done`
	signals := make(chan os.Signal, 2)
	var wg sync.WaitGroup
	wg.Go(func() {
		eventually(t, "the command is ready", func() bool { _, err := os.Stat(ready); return err == nil })
		signals <- os.Interrupt
		time.Sleep(300 * time.Millisecond) // so that a second interrupt would be seen
		signals <- unix.SIGTERM
	})
	_, code, err := runIn(t.Context(), t, l, signals, "sh", "-c", script, "sh", ready)
	wg.Wait()
	if err != nil || code != 41 {
		t.Errorf("Exec with one interrupt and SIGTERM = %d, %v; want 41", code, err)
	}
}

func TestExecEndsWithItsClient(t *testing.T) {
	l := start(t)
	mark := fmt.Sprintf("4%d.25", os.Getpid()) // seconds of sleep that nobody else asks for
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "two sleeps run", func() bool { return countProcesses("sleep", mark) == 2 })
		cancel()
	}()
	if _, _, err := runIn(ctx, t, l, nil, "sh", "-c", "sleep "+mark+" & sleep "+mark); !errors.Is(err, context.Canceled) {
		t.Errorf("Exec with a cancelled context = %v; want %v", err, context.Canceled)
	}
	eventually(t, "no sleep is left", func() bool { return countProcesses("sleep", mark) == 0 })
}

// countProcesses counts those of the whole machine with that command line.
func countProcesses(args ...string) (n int) {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	want := strings.Join(args, "\x00") + "\x00"
	for _, p := range paths {
		if line, err := os.ReadFile(p); err == nil && string(line) == want {
			n++
		}
	}
	return n
}

func TestPowerCutMovesTheVIPAndKeepsTheDisk(t *testing.T) {
	l := start(t)
	st, _ := status(t, l, "")
	if !st.Ready || len(st.VIPs) != 1 || len(st.VIPs[0].Holders) != 1 {
		t.Fatalf("Status() = %+v; want one holder of the VIP", st)
	}
	owner := st.VIPs[0].Holders[0]
	if err := l.Inject(t.Context(), FaultRequest{Fault: "power-off", Node: Owner}); err != nil {
		t.Fatal(err)
	}
	all := events(t, l)
	cut, off := last(all, owner, truth.LinkCut), last(all, owner, truth.PowerOff)
	if cut == 0 || off <= cut {
		t.Errorf("link cut at %v, power off at %v; want the cut first", cut, off)
	}
	if removed := last(all, owner, truth.AddressRemoved); removed != 0 {
		t.Errorf("the owner removed its address at %v; want nothing from a node without power", removed)
	}
	if _, n := status(t, l, owner); n.Power != PowerOff || !slices.Equal(n.Faults, []string{"power-off"}) || len(n.VIPs) != 0 {
		t.Errorf("node = %+v; want it off with the fault and without the VIP", n)
	}
	eventually(t, "another node has the VIP", func() bool {
		st, _ := status(t, l, owner)
		return len(st.VIPs[0].Holders) == 1 && st.VIPs[0].Holders[0] != owner
	})
	if err := l.Undo(t.Context(), FaultRequest{Fault: "power-off"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node has booted with its etcd data", func() bool {
		return last(events(t, l), owner, truth.Booted) > off
	})
	if _, n := status(t, l, owner); n.Power != PowerOn || len(n.Faults) != 0 {
		t.Errorf("node after undo = %+v; want it on without faults", n)
	}
}

func TestFreezeAndPartition(t *testing.T) {
	l := start(t)
	reach := func(addr string) bool {
		_, code, err := runIn(t.Context(), t, l, nil, "bash", "-c", "timeout 0.5 bash -c '</dev/tcp/"+addr+"/6443'")
		return err == nil && code == 0
	}
	for _, req := range []FaultRequest{
		{Fault: "freeze", Node: "cp-2"},
		{Fault: "partition", Node: "cp-2"},
		{Fault: "partition", Node: "cp-2", Args: map[string]string{FlagFrom: workstationName}},
	} {
		if !reach("10.5.0.3") {
			t.Fatalf("cp-2 does not answer before %v", req)
		}
		if err := l.Inject(t.Context(), req); err != nil {
			t.Fatalf("Inject(%v) = %v", req, err)
		}
		if err := l.Inject(t.Context(), req); err == nil {
			t.Errorf("Inject(%v) twice = nil; want an error", req)
		}
		if reach("10.5.0.3") {
			t.Errorf("cp-2 answers during %v", req)
		}
		if !reach("10.5.0.4") {
			t.Errorf("cp-3 does not answer during %v of cp-2", req)
		}
		if err := l.Undo(t.Context(), FaultRequest{Fault: req.Fault}); err != nil {
			t.Fatalf("Undo(%v) = %v", req, err)
		}
		if !reach("10.5.0.3") {
			t.Errorf("cp-2 does not answer after the undo of %v", req)
		}
		if err := l.Undo(t.Context(), req); err == nil {
			t.Errorf("Undo(%v) twice = nil; want an error", req)
		}
	}
}

func TestRedfishCutsThePower(t *testing.T) {
	l := start(t)
	reset := func(kind string) {
		t.Helper()
		out, code, err := runIn(t.Context(), t, l, nil, "vipctl", "test-redfish", "http://10.5.0.103", kind)
		if err != nil || code != 0 {
			t.Fatalf("reset %s = %q, %d, %v", kind, out, code, err)
		}
	}
	reset("ForceOff")
	if _, n := status(t, l, "cp-2"); n.Power != PowerOff {
		t.Errorf("power after ForceOff = %s; want off", n.Power)
	}
	reset("On")
	eventually(t, "cp-2 is on again", func() bool { _, n := status(t, l, "cp-2"); return n.Power == PowerOn })
	before := last(events(t, l), "cp-2", truth.PowerOff)
	eventually(t, "cp-2 has booted", func() bool { return last(events(t, l), "cp-2", truth.Booted) > before })
	reset("GracefulShutdown")
	eventually(t, "cp-2 is off", func() bool { _, n := status(t, l, "cp-2"); return n.Power == PowerOff })
	for _, e := range events(t, l) {
		if e.Node == "cp-2" && e.Kind == truth.LinkCut && e.At > before {
			t.Errorf("the link was cut at %v; want a graceful shutdown to cut nothing", e.At)
		}
	}
}

// traces is what may be left of a lab: its processes, by PID with the time at
// which each was started; and for the sake of knowing that it was a whole lab,
// the namespaces they are in.
type traces struct {
	started map[int]string
	spaces  map[string]bool
}

// tracesOf looks at a process and all its descendants.
func tracesOf(root int) traces {
	tr := traces{started: make(map[int]string), spaces: make(map[string]bool)}
	all := processes()
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		for _, p := range all {
			if p.parent == pids[i] {
				pids = append(pids, p.pid)
			}
		}
		tr.started[pids[i]] = startOf(pids[i])
		maps.Copy(tr.spaces, spacesOf(pids[i]))
	}
	for space := range spacesOf(os.Getpid()) {
		delete(tr.spaces, space)
	}
	return tr
}

func spacesOf(pid int) map[string]bool {
	spaces := make(map[string]bool)
	links, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/ns/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil {
			spaces[to] = true
		}
	}
	return spaces
}

// startOf returns when a process was started, in ticks since the machine's
// boot (field 22 of proc_pid_stat(5)); "" for one that has ended.
func startOf(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// left returns those of the processes that still run. The first process of
// every PID namespace is among them, and with it the kernel ends all in it. The
// numbers of the namespaces would tell nothing: other labs get them again.
func (tr traces) left() (pids []int) {
	for pid, started := range tr.started {
		if started != "" && startOf(pid) == started {
			pids = append(pids, pid)
		}
	}
	return pids
}

// hostState is what a lab must leave as it was.
func hostState(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.Write(mounts)
	for _, dir := range mountPoints {
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			fmt.Fprintln(&b, filepath.Join(dir, f.Name()))
		}
	}
	links, err := os.ReadDir("/sys/class/net")
	if err == nil {
		for _, l := range links {
			fmt.Fprintln(&b, "link", l.Name())
		}
	}
	return b.String()
}

func TestNothingIsLeft(t *testing.T) {
	seat(t)
	need(t)
	bound := func(t *testing.T, name string) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", "test-bound", name)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 200)
		if n, err := out.Read(line); err != nil || string(line[:n]) != "up\n" {
			t.Fatalf("the client said %q, %v; want up", line[:n], err)
		}
		return cmd
	}
	for name, end := range map[string]func(t *testing.T, name string, client *exec.Cmd) error{
		"down": func(_ *testing.T, name string, _ *exec.Cmd) error {
			return (&Lab{Name: name}).Down(context.Background())
		},
		"supervisor killed": func(_ *testing.T, name string, _ *exec.Cmd) error { return killSupervisor(name) },
		"client killed":     func(_ *testing.T, _ string, client *exec.Cmd) error { return client.Process.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			before := hostState(t)
			name := testName(t)
			client := bound(t, name)
			defer func() { _ = client.Process.Kill(); _ = client.Wait() }()
			pid, err := supervisorPID(name)
			if err != nil {
				t.Fatal(err)
			}
			tr := tracesOf(pid)
			// A supervisor and, per node, a machine with etcd and an apiserver,
			// each machine in five namespaces of its own.
			if len(tr.started) < 10 || len(tr.spaces) < 4*5 {
				t.Fatalf("a running lab has %d processes in %d namespaces; want 10 and 20 at least", len(tr.started), len(tr.spaces))
			}
			if err := end(t, name, client); err != nil {
				t.Fatal(err)
			}
			eventually(t, "no process of the lab is left", func() bool { return len(tr.left()) == 0 })
			eventually(t, "the lab is not listed", func() bool {
				names, err := List()
				return err == nil && !slices.Contains(names, name)
			})
			if after := hostState(t); after != before {
				t.Errorf("mounts, files and links before:\n%s\nand after:\n%s", before, after)
			}
		})
	}
}

func TestClientKilledWhileTheLabComesUp(t *testing.T) {
	seat(t)
	need(t)
	name := testName(t)
	client := exec.Command("/proc/self/exe", "test-starting", name)
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Process.Kill(); _ = client.Wait() }()
	line := make([]byte, 200)
	if n, err := out.Read(line); err != nil || string(line[:n]) != "starting\n" {
		t.Fatalf("the client said %q, %v; want starting", line[:n], err)
	}
	pid, err := supervisorPID(name)
	if err != nil {
		t.Fatal(err)
	}
	tr := tracesOf(pid)
	if err := client.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no process of the lab is left", func() bool { return len(tr.left()) == 0 })
}

func TestFrozenMachineTakesNoOrders(t *testing.T) {
	l := start(t)
	if err := l.Inject(t.Context(), FaultRequest{Fault: "freeze", Node: "cp-2"}); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	err := l.Inject(t.Context(), FaultRequest{Fault: "apiserver-kill", Node: "cp-2"})
	if err == nil || !strings.Contains(err.Error(), "cp-2 is frozen") || time.Since(asked) > 20*time.Second {
		t.Errorf("Inject(apiserver-kill) on a frozen node = %v after %v; want at once that it is frozen", err, time.Since(asked))
	}
	if err := l.Undo(t.Context(), FaultRequest{Fault: "freeze"}); err != nil {
		t.Fatal(err)
	}
	// Orders are obeyed one after the other: after this one, none is left over.
	if err := l.Inject(t.Context(), FaultRequest{Fault: "api-hang", Node: "cp-2"}); err != nil {
		t.Fatal(err)
	}
	if at := last(events(t, l), "cp-2", truth.ProcessKilled); at != 0 {
		t.Errorf("a process of cp-2 was killed at %v; want an order refused not to be obeyed later", at)
	}
}

func TestUpRefuses(t *testing.T) {
	l := start(t)
	_, err := Up(t.Context(), testSpec(l.Name), Options{})
	if err == nil || !strings.Contains(err.Error(), "is running already") || hintOf(err) == "" {
		t.Errorf("Up(the same name) = %v, hint %q; want that it is running, and a hint", err, hintOf(err))
	}
	bad := testSpec("bad")
	bad.VIPs = []netip.Addr{netip.MustParseAddr("10.5.0.2")}
	if _, err := Up(t.Context(), bad, Options{}); err == nil {
		t.Error("Up(a VIP on a node) = nil; want an error")
	}
	if _, err := (&Lab{Name: "no-such-lab"}).Status(t.Context()); !errors.Is(err, errNoLab) || hintOf(err) == "" {
		t.Errorf("Status of no-such-lab = %v; want %v and a hint", err, errNoLab)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	name := testName(t) + "-late"
	if _, err := Up(ctx, testSpec(name), Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Up(without time) = %v; want %v", err, context.DeadlineExceeded)
	}
	eventually(t, "the late lab is gone", func() bool {
		_, err := (&Lab{Name: name}).Status(t.Context())
		return errors.Is(err, errNoLab)
	})
}
