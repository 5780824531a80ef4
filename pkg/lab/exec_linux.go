package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/netns"
)

// Exit codes of a command that could not be run, as shells have them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// workstation is the host on which commands run.
type workstation struct {
	ns     *netns.Namespace
	bin    string            // directory of this very binary, under the name vipctl
	env    map[string]string // set for every command
	reaper *reaper
}

// start starts a command with the three files as its standard streams, in a
// session of its own.
func (w *workstation) start(c Command, stdio []*os.File) (*exec.Cmd, error) {
	if len(c.Args) == 0 || len(stdio) != 3 {
		return nil, errors.New("a command needs a name and three standard streams")
	}
	env := w.environment(c.Env)
	path, err := lookPath(c.Args[0], c.Dir, valueOf(env, "PATH"))
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: path, Args: c.Args, Env: env, Dir: visible(c.Dir),
		Stdin: stdio[0], Stdout: stdio[1], Stderr: stdio[2],
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	return cmd, w.ns.Do(func() error { return w.reaper.start(cmd) })
}

// environment is the caller's, with the lab's variables in place of his, this
// very binary first on the PATH, and without proxies, which no way leads to.
func (w *workstation) environment(caller []string) []string {
	var env []string
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, kv := range caller {
		key, value, _ := strings.Cut(kv, "=")
		if key == "PATH" {
			path = value
			continue
		}
		if _, ours := w.env[key]; !ours && !strings.HasSuffix(strings.ToLower(key), "_proxy") {
			env = append(env, kv)
		}
	}
	for key, value := range w.env {
		env = append(env, key+"="+value)
	}
	return append(env, "PATH="+w.bin+":"+path)
}

func valueOf(env []string, key string) string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}

// lookPath finds a program as a shell does, but on the caller's PATH and from
// the caller's directory.
func lookPath(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, nil
	}
	for d := range strings.SplitSeq(path, ":") {
		file := filepath.Join(d, name)
		info, err := os.Stat(file)
		if err == nil && !info.IsDir() && unix.Access(file, unix.X_OK) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// visible returns the directory where it can be entered in the lab, and else the root.
func visible(dir string) string {
	if info, err := os.Stat(dir); err == nil && info.IsDir() && unix.Access(dir, unix.X_OK) == nil {
		return dir
	}
	return "/"
}

// startCode is the exit code for a command that could not be started.
func startCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return exitNotFound
	}
	return exitNotExecutable
}

// exitCode is the code of a command that ran: 128 and the signal for one that
// a signal ended.
func exitCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}
