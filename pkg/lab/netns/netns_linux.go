// Package netns makes network namespaces and the links between them.
//
// A namespace lives as long as something holds it: a Namespace's open file, a
// process, or a socket that was made in it. Nothing is written to the disk.
package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is an open network namespace. Close lets go of it.
type Namespace struct{ file *os.File }

// New makes an empty network namespace with its loopback up.
func New() (*Namespace, error) {
	var ns *Namespace
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		var err error
		if ns, err = current(); err != nil {
			return err
		}
		return SetUp("lo")
	})
	if err != nil {
		return nil, err
	}
	return ns, nil
}

// current opens the namespace of the calling thread.
func current() (*Namespace, error) {
	return open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
}

// ofProcess opens the namespace of the process.
func ofProcess(pid int) (*Namespace, error) {
	return open(fmt.Sprintf("/proc/%d/ns/net", pid))
}

func open(path string) (*Namespace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening a network namespace: %w", err)
	}
	return &Namespace{file: f}, nil
}

// Do runs f on a thread that is in the namespace; sockets that f opens and
// processes that it starts belong there. Goroutines that f starts do not run
// in the namespace.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		return f()
	})
}

// Close lets go of the namespace.
func (n *Namespace) Close() error { return n.file.Close() }

// onThread runs f on a thread of its own, which is thrown away afterwards: a
// goroutine that ends while locked takes its thread along, so no other
// goroutine can come to run in a strange namespace, even where f failed half way.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}
