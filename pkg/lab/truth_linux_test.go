package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// TestEventsTellAFailover follows the log through a power cut of the owner:
// every instant that explains the outage is there, in its order.
func TestEventsTellAFailover(t *testing.T) {
	l := start(t)
	owner := status1(t, l)
	var followed []truth.Event
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- l.Events(ctx, true, func(e truth.Event) error { followed = append(followed, e); return nil })
	}()
	stop := probe(t, l, "10.5.0.50:6443", 20*time.Millisecond)
	if err := l.Inject(t.Context(), FaultRequest{Fault: "power-off", Node: Owner}); err != nil {
		t.Fatal(err)
	}
	m := move{how: "power cut", from: owner, began: last(events(t, l), owner, truth.LinkCut)}
	m.to = movedFrom(t, l, m)
	stop()
	all := events(t, l)
	cancel()
	<-ended

	if i := slices.IndexFunc(all, func(e truth.Event) bool { return e.Seq == 0 || e.At == 0 }); i >= 0 {
		t.Errorf("%+v; want a number and a time", all[i])
	}
	if !slices.IsSortedFunc(all, func(a, b truth.Event) int { return int(a.At - b.At) }) {
		t.Error("events are not in the order of their time")
	}
	for i, e := range followed {
		if i > 0 && (e.Seq != followed[i-1].Seq+1 || e.At < followed[i-1].At && !e.Late) {
			t.Errorf("followed %+v after %+v; want the next, and later", e, followed[i-1])
		}
	}
	tellsFailover(t, m, all)
}

// tellsFailover looks for the chain of causes in the log.
func tellsFailover(t *testing.T, m move, all []truth.Event) {
	t.Helper()
	lease := ""
	for _, e := range all {
		if strings.HasSuffix(e.Detail, "("+m.from+")") && e.Kind == truth.KeyWritten {
			_, id, _ := strings.Cut(e.Detail, "/")
			lease, _, _ = strings.Cut(id, " ")
		}
	}
	about := func(kind truth.Kind, what string, since time.Duration) time.Duration {
		i := slices.IndexFunc(all, func(e truth.Event) bool {
			return e.Kind == kind && e.At >= since && strings.Contains(e.Detail, what)
		})
		if i < 0 {
			t.Fatalf("no %s of %q since %v", kind, what, since)
		}
		return all[i].At
	}
	kept := about(truth.LeaseKeptAlive, lease, 0)
	expired := about(truth.LeaseExpired, lease, m.began)
	deleted := about(truth.KeyDeleted, "/"+lease+" ("+m.from+")", m.began)
	elected := firstSince(all, m.began, m.to, truth.Elected)
	added := firstSince(all, m.began, m.to, truth.AddressAdded)
	const slack = 500 * time.Millisecond // whose report of the deletion came first may have stalled
	if kept >= m.began || expired <= m.began || elected+slack <= deleted || added <= elected {
		t.Errorf("kept alive at %v, cut at %v, expired at %v, key deleted at %v, %s elected at %v and with the address at %v; want that order",
			kept, m.began, expired, deleted, m.to, elected, added)
	}
	if apart := (expired - deleted).Abs(); apart > 1500*time.Millisecond {
		t.Errorf("the lease expired at %v and its key went at %v; want that at once", expired, deleted)
	}
	if n := len(slices.DeleteFunc(slices.Clone(all), func(e truth.Event) bool {
		return e.Kind != truth.KeyDeleted || !strings.Contains(e.Detail, lease)
	})); n != 1 {
		t.Errorf("%d members told of the key's end; want one report", n)
	}
}

// TestProcessesDoNotWaitForTheLog looks at how the processes of a lab hold the
// pipe of true instants: each that writes has it open for itself, unblocking.
func TestProcessesDoNotWaitForTheLog(t *testing.T) {
	l := start(t)
	_, code, err := runIn(t.Context(), t, l, nil, "true")
	if err != nil || code != 0 {
		t.Fatal(code, err)
	}
	supervisor, err := supervisorPID(l.Name)
	if err != nil {
		t.Fatal(err)
	}
	writers := 0
	for pid := range tracesOf(supervisor).started {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if role := strings.Split(string(cmdline), "\x00"); len(role) < 3 || !slices.Contains([]string{"machine", "etcd", "apiserver"}, role[2]) {
			continue
		}
		writers++
		if !unblocked(pid) {
			t.Errorf("process %d (%q) may wait for the log's reader", pid, cmdline)
		}
	}
	if writers != 9 {
		t.Errorf("looked at %d processes; want three of each of three nodes", writers)
	}
}

// unblocked says whether the process has a pipe open for writing that does not
// block (O_NONBLOCK, 04000 in proc_pid_fdinfo(5)), and that it inherited too.
func unblocked(pid int) bool {
	inherited, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/3", pid))
	if err != nil {
		return false
	}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		to, _ := os.Readlink(fd)
		info, err := os.Open(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, filepath.Base(fd)))
		if err != nil {
			continue
		}
		var pos, flags int
		_, err = fmt.Fscanf(io.Reader(info), "pos:\t%d\nflags:\t%o\n", &pos, &flags)
		_ = info.Close()
		if err == nil && to == inherited && filepath.Base(fd) != "3" && flags&0o4000 != 0 && flags&0o3 == os.O_WRONLY {
			return true
		}
	}
	return false
}
