//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/vipctl/vipctl/hack/procfs"
)

// world is what a lab must leave as it was. A namespace lives by a process in
// it, an open file or a mount: all three are here.
type world struct {
	processes  []string // below this one, by PID and start, zombies too
	files      []string // that this process has open, of the kinds that a lab uses
	mounts     string
	links      []string // of this network namespace
	sockets    []string // the lab's abstract Unix sockets
	goroutines int
}

// surroundings looks at the world; name is the lab's, "" before the first.
func surroundings(name string) (w world, err error) {
	all, err := procfs.Below(os.Getpid())
	if err != nil {
		return w, err
	}
	for _, p := range all {
		w.processes = append(w.processes, fmt.Sprintf("process %d (%c)", p.PID, p.State))
	}
	if w.files, err = openFiles(); err != nil {
		return w, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return w, err
	}
	w.mounts = string(mounts)
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return w, err
	}
	for _, l := range links {
		w.links = append(w.links, l.Name())
	}
	sockets, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return w, err
	}
	for line := range strings.Lines(string(sockets)) {
		if name != "" && strings.HasSuffix(strings.TrimSpace(line), "-"+name) {
			w.sockets = append(w.sockets, strings.TrimSpace(line))
		}
	}
	w.goroutines = runtime.NumGoroutine()
	return w, nil
}

// openFiles returns what this process has open, but for what Go's runtime
// opens when it needs it: its poller and the timers of that.
func openFiles() (list []string, err error) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "/proc/") {
			list = append(list, fd.Name()+" -> "+to)
		}
	}
	return list, nil
}

// left notes what the round left behind. What is on its way out gets a moment.
func (r *round) left(base world) {
	var found []string
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		runtime.GC() // closes files that nobody holds any more
		now, err := surroundings(r.name)
		if err != nil {
			r.wrong("looking for what is left: %v", err)
			return
		}
		if found = now.beyond(base); len(found) == 0 {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	r.wrong("left behind: %s", strings.Join(found, ", "))
}

// beyond returns what there is more than in base.
func (w world) beyond(base world) (found []string) {
	found = append(found, more(w.processes, base.processes)...)
	found = append(found, more(w.files, base.files)...)
	found = append(found, more(w.links, base.links)...)
	found = append(found, w.sockets...)
	if w.mounts != base.mounts {
		found = append(found, "other mounts than before")
	}
	if w.goroutines > base.goroutines+1 { // the signals' own may come later
		found = append(found, fmt.Sprintf("%d goroutines (%d before)", w.goroutines, base.goroutines))
	}
	return found
}

// more returns what of list is not in base.
func more(list, base []string) (found []string) {
	for _, s := range list {
		if !slices.Contains(base, s) {
			found = append(found, s)
		}
	}
	return found
}
