//go:build linux

package procfs

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestBelowFindsChildrenOfChildren(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	// A shell that burns CPU time, and below it one that waits for its input.
	cmd := exec.Command("sh", "-c", "exec 3<&0; (read x <&3) & i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo ready; wait")
	cmd.Stdin, cmd.Stdout = r, nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close(); _ = cmd.Wait() }()
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	all, err := Below(os.Getpid())
	if err != nil || len(all) != 2 || all[0].PID != cmd.Process.Pid || all[1].Parent != all[0].PID {
		t.Fatalf("Below(this) = %+v, %v; want the shell and its child", all, err)
	}
	if cpu := CPU(all); cpu < 10*time.Millisecond || cpu > time.Minute {
		t.Errorf("CPU() = %v; want what the loop took", cpu)
	}
	both, err := PSS(all)
	if err != nil || both < 50<<10 || both > 50<<20 {
		t.Errorf("PSS() = %d, %v; want that of two shells", both, err)
	}
	if one, err := PSS(all[:1]); err != nil || one == 0 || one >= both {
		t.Errorf("PSS() of one = %d, %v; want less than both, %d", one, err, both)
	}
}

func TestParseStates(t *testing.T) {
	const line = "17 (a) b (c) Z 4 17 17 0 -1 4194560 1 0 0 0 150 50 9 9 20 0 1 0 4711 0 0"
	want := Process{PID: 17, Parent: 4, State: 'Z', CPU: 2 * time.Second, Started: 4711}
	if got, err := parse(line); err != nil || got != want {
		t.Errorf("parse(%q) = %+v, %v; want %+v", line, got, err, want)
	}
	for _, bad := range []string{"", "17 (a", "17 (a) Z 4", "x (a) Z 4 17 17 0 -1 4194560 1 0 0 0 150 50 9 9 20 0 1 0 4711"} {
		if got, err := parse(bad); err == nil {
			t.Errorf("parse(%q) = %+v; want an error", bad, got)
		}
	}
}

func TestEndedProcessesHaveNoMemory(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	gone := Process{PID: cmd.Process.Pid}
	if sum, err := PSS([]Process{gone}); err != nil || sum != 0 {
		t.Errorf("PSS() of an ended process = %d, %v; want 0", sum, err)
	}
	all, err := Below(os.Getpid())
	if err != nil || slices.ContainsFunc(all, func(p Process) bool { return p.PID == gone.PID }) {
		t.Errorf("Below(this) = %v, %v; want none that has ended", all, err)
	}
}
