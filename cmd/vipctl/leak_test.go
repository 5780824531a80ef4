//go:build linux

package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// However "lab run" ends, nothing is left of its lab: no process, namespace,
// mount, link, socket or file.
func TestLabRunLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, client *run, supervisor, command int)
		code int
	}{
		{"when its command ends", func(t *testing.T, _ *run, _, command int) { kill(t, command, syscall.SIGINT) }, 130},
		{"when its command is killed", func(t *testing.T, _ *run, _, command int) { kill(t, command, syscall.SIGKILL) }, 137},
		{"when it is killed itself", func(t *testing.T, client *run, _, _ int) { client.signal(syscall.SIGKILL) }, -1},
		{"when the supervisor is killed", func(t *testing.T, _ *run, supervisor, _ int) { kill(t, supervisor, syscall.SIGKILL) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seat(t)
			before := surroundings(t)
			name := fmt.Sprintf("leak-%d-%d", os.Getpid(), labs.Add(1))
			client := start(t, "", slices.Concat([]string{"lab", "run", "--name", name, "--", "vipctl"}, patient, []string{"--mode", "graceful", "--baseline", "10m"})...)
			client.until("baseline")
			lab := familyOf(client.cmd.Process.Pid)
			if len(lab.started) < 12 || len(lab.spaces) < 20 || len(lab.supervisor) != 1 || len(lab.drill) != 1 || !socketOf(t, name) {
				t.Fatalf("a running lab is %+v; want a client, a supervisor, a drill and nine processes of three nodes, in 20 namespaces", lab)
			}
			tt.end(t, client, lab.supervisor[0], lab.drill[0])
			if ended := client.end(); ended.code != tt.code {
				t.Errorf("want exit code %d\n%s", tt.code, ended)
			}
			var left []string
			for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if left = lab.left(); len(left) == 0 && !socketOf(t, name) {
					break
				}
			}
			if len(left) > 0 || socketOf(t, name) {
				t.Errorf("left: processes %q, socket %v", left, socketOf(t, name))
			}
			if after := surroundings(t); after != before {
				t.Errorf("mounts, links and files before:\n%s\nand after:\n%s", before, after)
			}
			if files, err := os.ReadDir(client.tmp); err != nil || len(files) > 0 {
				t.Errorf("TMPDIR has %v, %v; want nothing", files, err)
			}
		})
	}
}

// kill signals one process, by its ID on the host.
func kill(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// family is a client of "lab run" and all that it started.
type family struct {
	started    map[int]string // by PID: when it was started
	supervisor []int          // the client's children
	drill      []int          // those that run failover-test, but the client
	spaces     map[string]bool
}

func familyOf(client int) family {
	f := family{started: map[int]string{}, spaces: map[string]bool{}}
	children := map[int][]int{}
	for _, pid := range processes() {
		parent, _ := stat(pid)
		children[parent] = append(children[parent], pid)
	}
	f.supervisor = children[client]
	pids := []int{client}
	for i := 0; i < len(pids); i++ { // grows on the way
		pid := pids[i]
		pids = append(pids, children[pid]...)
		_, f.started[pid] = stat(pid)
		maps.Copy(f.spaces, namespaces(pid))
		if words := commandLine(pid); pid != client && len(words) > 1 && words[1] == "failover-test" {
			f.drill = append(f.drill, pid)
		}
	}
	for space := range namespaces(os.Getpid()) {
		delete(f.spaces, space)
	}
	return f
}

// left are those of the family that still run. The first process of every PID
// namespace is among them, and when it ends the kernel ends the others in it.
// The numbers of namespaces would tell nothing: other labs get them again.
func (f family) left() (list []string) {
	for pid, started := range f.started {
		if _, now := stat(pid); started != "" && now == started {
			list = append(list, fmt.Sprint(pid, commandLine(pid)))
		}
	}
	return list
}

func processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat returns the parent of a process and the time when it was started, in
// ticks since the boot; "" for one that is gone, or that nobody has reaped yet.
func stat(pid int) (parent int, started string) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on, see proc_pid_stat(5)
	if len(fields) < 20 || fields[0] == "Z" {
		return 0, ""
	}
	parent, _ = strconv.Atoi(fields[1])
	return parent, fields[19]
}

func commandLine(pid int) []string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Split(string(line), "\x00")
}

func namespaces(pid int) map[string]bool {
	spaces := map[string]bool{}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/ns/*", pid))
	for _, l := range links {
		if space, err := os.Readlink(l); err == nil {
			spaces[space] = true
		}
	}
	return spaces
}

// socketOf says whether the lab's abstract socket is there.
func socketOf(t *testing.T, lab string) bool {
	t.Helper()
	sockets, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(sockets), "-"+lab+"\n")
}

// surroundings are what a lab must leave as it was: the mounts and links of
// this host, and the directories that a lab puts its files over.
func surroundings(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.Write(mounts)
	for _, dir := range []string{"/sys/class/net", "/media", "/mnt", "/srv", "/run", "/dev/shm"} {
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			fmt.Fprintln(&b, filepath.Join(dir, f.Name()))
		}
	}
	return b.String()
}
