//go:build linux

package node

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// job is a process that ends at SIGKILL, and at SIGTERM unless it is stopped.
type job struct {
	mu      sync.Mutex // guards what follows
	stopped bool
	asked   bool
	ended   bool
	stops   int
	done    chan struct{}
}

func (j *job) Done() <-chan struct{} { return j.done }

func (j *job) Signal(sig os.Signal) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch sig {
	case syscall.SIGSTOP:
		j.stopped = true
		j.stops++
	case syscall.SIGCONT:
		j.stopped = false
	case syscall.SIGTERM:
		j.asked = true
	}
	if (sig == syscall.SIGKILL || j.asked && !j.stopped) && !j.ended {
		j.ended = true
		close(j.done)
	}
	return nil
}

func (j *job) state() (stopped bool, stops int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stopped, j.stops
}

// startJob runs a unit whose processes come through the channel.
func startJob(t *testing.T, delay time.Duration) (*unit, <-chan *job) {
	t.Helper()
	jobs := make(chan *job, 10)
	u := newUnit("job", delay, &truth.Log{}, func() (proc, error) {
		j := &job{done: make(chan struct{})}
		jobs <- j
		return j, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { u.run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	u.want()
	return u, jobs
}

func TestKilledProcess(t *testing.T) {
	u, jobs := startJob(t, 20*time.Millisecond)
	<-jobs
	if err := u.await(t.Context()); err != nil {
		t.Fatalf("await() of a running process = %v", err)
	}
	u.kill(false)
	<-jobs // started again
	if err := u.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.kill(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // five times the delay
	defer cancel()
	for u.await(ctx) == nil { // until it was reaped
	}
	select {
	case <-ctx.Done():
	case <-jobs:
		t.Error("a process that is held down was started again")
	}
	u.hold(false)
	if err := u.await(t.Context()); err != nil {
		t.Errorf("await() after it was let go = %v", err)
	}
}

func TestStalledProcess(t *testing.T) {
	u, jobs := startJob(t, time.Millisecond)
	j := <-jobs
	if err := u.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := &faults{m: &machine{etcd: u, apiserver: u}}
	if err := f.slowDisk(t.Context(), faultArgs{argPause: "2ms", argEvery: "4ms"}); err != nil {
		t.Fatal(err)
	}
	for _, stops := j.state(); stops < 3; _, stops = j.state() {
		time.Sleep(time.Millisecond)
	}
	f.end("slow-disk")
	if stopped, _ := j.state(); stopped {
		t.Error("the process stands still after the fault was undone")
	}
	if err := f.hangAPIServer(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if stopped, _ := j.state(); !stopped {
		t.Error("the process runs; want that it hangs")
	}
	began := time.Now()
	u.stop()
	if took := time.Since(began); took > killAfter/2 {
		t.Errorf("stop() of a process that hangs took %v; want that it ends by SIGTERM", took)
	}
	f.end("apiserver-hang")
}

func TestFaultArgs(t *testing.T) {
	for value, want := range map[string]bool{"": true, "true": true, "false": false} {
		if got, err := (faultArgs{"hold": value}).flag("hold"); got != want || err != nil {
			t.Errorf("flag(%q) = %v, %v; want %v", value, got, err, want)
		}
	}
	if got, err := (faultArgs{}).flag("hold"); got || err != nil {
		t.Errorf("flag() that is not given = %v, %v; want false", got, err)
	}
	if _, err := (faultArgs{"hold": "perhaps"}).flag("hold"); err == nil {
		t.Error("flag(perhaps) = nil; want an error")
	}
	for _, args := range []faultArgs{{argPause: "1s"}, {argPause: "-1s"}, {argEvery: "soon"}} { // a pause without an end
		if err := (&faults{}).slowDisk(t.Context(), args); err == nil {
			t.Errorf("slowDisk(%v) = nil; want an error", args)
		}
	}
}

func TestLearnerIsWhereNobodyIs(t *testing.T) {
	vips := []netip.Addr{netip.MustParseAddr("10.5.0.254"), netip.MustParseAddr("fd00::fffe")}
	for addr, want := range map[string]string{
		"10.5.0.2/24": "https://10.5.0.253:2380",
		"10.5.0.2/23": "https://10.5.1.254:2380",
		"fd00::2/112": "https://[fd00::fffd]:2380",
	} {
		f := &faults{m: &machine{cfg: Config{Addr: netip.MustParsePrefix(addr), AllVIPs: vips}}}
		if got := f.learnerURL(); got != want {
			t.Errorf("learnerURL() of %s = %s; want %s", addr, got, want)
		}
	}
}

func TestEveryFaultHasItsUndoing(t *testing.T) {
	m, _, _ := newFake(t, nil)
	f := &faults{m: m}
	all := f.table()
	maps.Copy(all, f.apiTable())
	var missing []string
	for name, fault := range all {
		if fault.inject == nil || fault.undo == nil {
			missing = append(missing, name)
		}
	}
	if slices.Sort(missing); len(missing) > 0 {
		t.Errorf("faults that can't be injected and undone: %v", missing)
	}
}
