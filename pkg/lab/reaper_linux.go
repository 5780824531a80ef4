package lab

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper starts processes and waits for them, and, being part of PID 1, also
// for orphans that nobody else will wait for.
type reaper struct {
	mu  sync.Mutex // guards own, and is held while a process starts
	own map[int]bool
}

func newReaper() *reaper { return &reaper{own: make(map[int]bool)} }

// start starts the command so that the reaper leaves it to wait.
func (r *reaper) start(cmd *exec.Cmd) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.own[cmd.Process.Pid] = true
	return nil
}

// wait waits for a command that start started.
func (r *reaper) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.own, cmd.Process.Pid)
	return err
}

// run reaps orphans until ctx ends.
func (r *reaper) run(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		select {
		case <-died:
			r.reap()
		case <-ctx.Done():
			return
		}
	}
}

func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range processes() {
		if p.parent == os.Getpid() && p.state == 'Z' && !r.own[p.pid] {
			_, _ = unix.Wait4(p.pid, nil, unix.WNOHANG, nil)
		}
	}
}

// proc is a line of proc_pid_stat(5).
type proc struct {
	pid, parent, session int
	state                byte
}

// processes returns all processes of this PID namespace and those below.
func processes() []proc {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil // the pattern is good
	}
	var all []proc
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		if p, ok := parseStat(stat); ok {
			all = append(all, p)
		}
	}
	return all
}

// parseStat reads "pid (name) state ppid pgrp session ..."; the name may hold
// blanks and parentheses, so the last parenthesis counts.
func parseStat(stat []byte) (p proc, ok bool) {
	head, _, found := bytes.Cut(stat, []byte(" ("))
	end := bytes.LastIndexByte(stat, ')')
	if !found || end < 0 {
		return p, false
	}
	rest := strings.Fields(string(stat[end+1:]))
	if len(rest) < 4 || len(rest[0]) != 1 {
		return p, false
	}
	p.state = rest[0][0]
	var errs [3]error
	p.pid, errs[0] = strconv.Atoi(string(head))
	p.parent, errs[1] = strconv.Atoi(rest[1])
	p.session, errs[2] = strconv.Atoi(rest[3])
	return p, errs == [3]error{}
}

// killSession kills every process of the session; new ones may be started
// while it looks, so it looks until there is none.
func killSession(session int) {
	for range 100 {
		found := false
		for _, p := range processes() {
			if p.session == session && p.state != 'Z' {
				found = true
				_ = unix.Kill(p.pid, unix.SIGKILL)
			}
		}
		if !found {
			return
		}
	}
}
