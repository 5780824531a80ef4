//go:build linux

// Package procfs reads what the kernel tells of the processes below this one:
// who they are, what memory they have and what CPU time they took.
package procfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// userHZ is the unit of times in /proc/PID/stat, a second's part (proc(5)): it
// is 100 on every architecture that Go runs on.
const userHZ = 100

// Process is a process as it was when it was looked at.
type Process struct {
	PID    int
	Parent int
	State  byte          // as in proc_pid_stat(5); Z is a zombie
	CPU    time.Duration // user and system time that it took, without its children's
	// Started tells it from others that had its PID: clock ticks since boot.
	Started uint64
}

// Below returns all processes that descend from the process of that PID,
// without itself.
func Below(pid int) ([]Process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]Process)
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		p, err := parse(string(stat))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		children[p.Parent] = append(children[p.Parent], p)
	}
	all := slices.Clone(children[pid])
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].PID]...)
	}
	return all, nil
}

// parse reads a line of /proc/PID/stat. The name is in brackets, and may hold
// some itself.
func parse(stat string) (p Process, err error) {
	end := strings.LastIndexByte(stat, ')')
	pid, _, _ := strings.Cut(stat, " ")
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 20 {
		return p, fmt.Errorf("%q is no state of a process", stat)
	}
	// Fields 3, 4, 14, 15 and 22 of proc_pid_stat(5).
	var user, system uint64
	var errs [5]error
	p.State = fields[0][0]
	p.PID, errs[0] = strconv.Atoi(pid)
	p.Parent, errs[1] = strconv.Atoi(fields[1])
	user, errs[2] = strconv.ParseUint(fields[11], 10, 64)
	system, errs[3] = strconv.ParseUint(fields[12], 10, 64)
	p.Started, errs[4] = strconv.ParseUint(fields[19], 10, 64)
	p.CPU = time.Duration(user+system) * (time.Second / userHZ)
	return p, errors.Join(errs[:]...)
}

// CPU returns the time that the processes took in sum.
func CPU(list []Process) (sum time.Duration) {
	for _, p := range list {
		sum += p.CPU
	}
	return sum
}

// PSS returns the memory of the processes in sum, in bytes: their proportional
// set size, in which a page that n processes share counts for an nth in each.
// A process that has ended has none.
func PSS(list []Process) (sum uint64, err error) {
	for _, p := range list {
		path := fmt.Sprintf("/proc/%d/smaps_rollup", p.PID)
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return 0, err
		}
		kib, err := pss(text)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

// pss finds "Pss: 123 kB".
func pss(rollup []byte) (uint64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(rollup)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "Pss:" {
			return strconv.ParseUint(f[1], 10, 64)
		}
	}
	return 0, errors.New("no line Pss")
}
