package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/process"
)

// launched is a supervisor that this process started.
type launched struct {
	cmd    *exec.Cmd
	stderr *os.File      // a file without a name
	gone   chan struct{} // closed when the supervisor is gone, and so all of the lab

	mu sync.Mutex // guards lifeline
	// lifeline is the write end of a pipe; the supervisor ends when it is
	// closed, unless it was released before. It is closed when the supervisor
	// is gone, and then -1. Not an os.File, which the garbage collector would
	// close.
	lifeline int
}

// launch starts the supervisor in namespaces of its own. The listener is made
// here, in the network namespace of those who will look for it.
func launch(spec Spec) (*launched, error) {
	listener, err := listenSocket(spec.Name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = listener.Close() }()
	socket, err := listener.File()
	if err != nil {
		return nil, fmt.Errorf("handing on the lab's socket: %w", err)
	}
	defer func() { _ = socket.Close() }()
	stderr, err := memfile("vipctl-lab-supervisor")
	if err != nil {
		return nil, err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	far, near := os.NewFile(uintptr(pipe[0]), "lifeline"), pipe[1]
	defer func() { _ = far.Close() }()
	arg, err := newCharter(spec)
	if err != nil {
		return nil, err
	}
	cmd := process.Self(process.Supervisor, arg)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = stderr, stderr
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{socket, far} // listenerFD, lifelineFD
	cmd.SysProcAttr = namespaces(needUser())
	if err := cmd.Start(); err != nil {
		_ = unix.Close(near)
		return nil, explain(fmt.Errorf("making the lab's namespaces: %w", err), sysctl)
	}
	// Reap it, so that a killed supervisor is no zombie of a long-lived caller.
	sup := &launched{cmd: cmd, stderr: stderr, lifeline: near, gone: make(chan struct{})}
	go func() {
		defer close(sup.gone)
		_ = cmd.Wait()
		sup.hangUp()
	}()
	return sup, nil
}

// namespaces are those of the supervisor, in a session of its own, which the
// terminal's signals do not reach.
func namespaces(user bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	if user {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// memfile is a file in memory, gone with the last who has it open.
func memfile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// release lets the lab outlive this process.
func (s *launched) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := unix.Write(s.lifeline, []byte{1})
	return err
}

// released waits for the word that the lab may outlive who started it, and
// returns false when he is gone without it.
func released(lifeline io.Reader) bool {
	n, _ := lifeline.Read(make([]byte, 1))
	return n == 1
}

// hangUp closes the lifeline of a supervisor that is gone.
func (s *launched) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = unix.Close(s.lifeline)
	s.lifeline = -1
}

// end kills the supervisor, and with it the lab, and waits until they are gone.
func (s *launched) end() {
	_ = s.cmd.Process.Kill()
	<-s.gone
}

// reason tells from the supervisor's last words why it ended.
func (s *launched) reason() error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", s.stderr.Fd()))
	if err != nil {
		return fmt.Errorf("the lab's supervisor ended: %w", err)
	}
	var said, hint string
	for line := range strings.Lines(string(text)) {
		if t, ok := strings.CutPrefix(line, "error: "); ok {
			said, hint = strings.TrimSpace(t), ""
		}
		if t, ok := strings.CutPrefix(line, "hint: "); ok {
			hint = strings.TrimSpace(t)
		}
	}
	switch {
	case said == "":
		return fmt.Errorf("the lab's supervisor ended: %s", tail(string(text), 5))
	case hint == "":
		return errors.New(said)
	default:
		return withHint(errors.New(said), "%s", hint)
	}
}

// tail returns the last n lines of text, or says that there are none.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if lines[0] == "" {
		return "it was killed without a word"
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
