//go:build linux

package truth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// lineLimit is PIPE_BUF (pipe(7)): many processes can share one pipe, and no
// line of up to that many bytes is torn.
const lineLimit = 4096

// Writer is a Recorder that writes each event as one line of JSON. A pipe that
// nobody reads does not hold it up: events that do not fit are dropped, and
// counted in an event of their own (EventsDropped) once there is room.
type Writer struct {
	node string

	mu      sync.Mutex // guards following, and keeps the lines of this process in order
	w       io.Writer
	dropped int
}

// NewWriter returns a Writer whose events carry node where they name none. It
// opens a pipe anew, so that its writes need not wait; Close closes that, and
// w stays as it is.
func NewWriter(node string, w io.Writer) *Writer {
	l := &Writer{node: node, w: w}
	if f, ok := w.(*os.File); ok {
		// O_NONBLOCK belongs to the open file, which all processes of the lab
		// have inherited: one of its own cannot be changed by the others.
		fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			l.w = impatient(fd)
		}
	}
	return l
}

// Record writes the event, stamped with Now where At is zero. A log that
// cannot be written (its reader is gone) is not worth stopping for.
func (l *Writer) Record(e Event) {
	if e.At == 0 {
		e.At = Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		missed := Event{At: e.At, Kind: EventsDropped, Detail: strconv.Itoa(l.dropped)}
		if !l.write(missed) {
			l.dropped++
			return
		}
		l.dropped = 0
	}
	if !l.write(e) {
		l.dropped++
	}
}

// write reports whether the event was written. The caller holds mu.
func (l *Writer) write(e Event) bool {
	if e.Node == "" {
		e.Node = l.node
	}
	line, err := json.Marshal(e)
	if err == nil && len(line) >= lineLimit {
		e.Detail = "too long to tell"
		line, err = json.Marshal(e)
	}
	if err != nil {
		return false // an Event always marshals
	}
	_, err = l.w.Write(append(line, '\n'))
	return err == nil
}

// Close gives back what NewWriter opened. Nothing can be recorded any more.
func (l *Writer) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	fd, ok := l.w.(impatient)
	if !ok {
		return nil
	}
	l.w = closed{}
	return unix.Close(int(fd))
}

// impatient is a file descriptor that writes at once or not at all.
type impatient int

func (fd impatient) Write(line []byte) (int, error) {
	for {
		n, err := unix.Write(int(fd), line)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, os.ErrClosed }
