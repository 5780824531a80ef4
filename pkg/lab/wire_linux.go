package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// A lab is reached through an abstract Unix socket (unix(7)): it has no file,
// and is gone with its lab. A client opens with one byte, which may carry file
// descriptors, and a request; lines of JSON follow in both directions until the
// answer that is marked as the last.

// op is what a client asks for.
type op string

const (
	opStatus op = "status"
	opEvents op = "events"
	opLogs   op = "logs"
	opInject op = "inject"
	opUndo   op = "undo"
	opFaults op = "faults"
	opPower  op = "power"
	opExec   op = "exec"
	opDown   op = "down"
)

type request struct {
	Op     op            `json:"op"`
	Node   string        `json:"node,omitempty"`
	Follow bool          `json:"follow,omitempty"`
	Power  PowerAction   `json:"power,omitempty"`
	Fault  *FaultRequest `json:"fault,omitempty"`
	Exec   *Command      `json:"exec,omitempty"`
	// Signal is for the command of an exec that is under way.
	Signal int `json:"signal,omitempty"`
}

type answer struct {
	Error  string        `json:"error,omitempty"`
	Hint   string        `json:"hint,omitempty"`
	Usage  bool          `json:"usage,omitempty"` // the error is a UsageError
	Last   bool          `json:"last,omitempty"`
	Status *Status       `json:"status,omitempty"`
	Event  *truth.Event  `json:"event,omitempty"`
	Text   []byte        `json:"text,omitempty"`
	Faults []ActiveFault `json:"faults,omitempty"`
	Exit   int           `json:"exit,omitempty"`
}

// err returns the error that the answer carries.
func (a answer) err() error {
	if a.Error == "" {
		return nil
	}
	err := errors.New(a.Error)
	if a.Usage {
		err = &UsageError{a.Error}
	}
	if a.Hint == "" {
		return err
	}
	return withHint(err, "%s", a.Hint)
}

// answerErr is the last answer, with what became of the request.
func answerErr(err error) answer {
	a := answer{Last: true}
	if err != nil {
		a.Error = err.Error()
		_, a.Usage = errors.AsType[*UsageError](err)
		if h, ok := errors.AsType[interface {
			error
			Hint() string
		}](err); ok {
			a.Hint = h.Hint()
		}
	}
	return a
}

// socketPrefix is what the sockets of this user's labs begin with.
func socketPrefix() string { return fmt.Sprintf("@vipctl-lab-%d-", os.Geteuid()) }

func listenSocket(name string) (*net.UnixListener, error) {
	addr := &net.UnixAddr{Name: socketPrefix() + name, Net: "unix"}
	l, err := net.ListenUnix("unix", addr)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, withHint(fmt.Errorf("a lab called %s is running already", name),
			"take it down with `vipctl lab down --name %s`, or give this one another --name", name)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the lab's socket: %w", err)
	}
	return l, nil
}

// conn is one end of a conversation.
type conn struct {
	*net.UnixConn
	in  *json.Decoder
	out *json.Encoder
}

// errNoLab says that there is no lab of the name.
var errNoLab = errors.New("there is no such lab")

func dial(name string) (*conn, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socketPrefix() + name, Net: "unix"})
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil, withHint(fmt.Errorf("no lab called %s is running: %w", name, errNoLab),
			"start one with `vipctl lab up --name %s`; `vipctl lab list` shows those that run", name)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the lab %s: %w", name, err)
	}
	if err := checkPeer(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return newConn(c), nil
}

func newConn(c *net.UnixConn) *conn {
	return &conn{UnixConn: c, in: json.NewDecoder(c), out: json.NewEncoder(c)}
}

// checkPeer refuses whoever is not the user that runs this process. Anybody
// may bind or connect to an abstract name.
func checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var (
		cred *unix.Ucred
		opt  error
	)
	if err := raw.Control(func(fd uintptr) {
		cred, opt = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if opt != nil {
		return fmt.Errorf("asking who is at the other end of the lab's socket: %w", opt)
	}
	if int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("the other end of the lab's socket belongs to user %d, not %d", cred.Uid, os.Geteuid())
	}
	return nil
}

// ask opens the conversation.
func (c *conn) ask(r request, files ...*os.File) error {
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	if _, _, err := c.WriteMsgUnix([]byte{0}, rights, nil); err != nil {
		return fmt.Errorf("asking the lab: %w", err)
	}
	if err := c.out.Encode(r); err != nil {
		return fmt.Errorf("asking the lab: %w", err)
	}
	return nil
}

// heard reads what ask sent.
func (c *conn) heard() (r request, files []*os.File, err error) {
	var (
		first [1]byte
		oob   = make([]byte, unix.CmsgSpace(4*3))
	)
	_, n, _, _, err := c.ReadMsgUnix(first[:], oob)
	if err != nil {
		return r, nil, err
	}
	if files, err = received(oob[:n]); err != nil {
		return r, nil, err
	}
	if err = c.in.Decode(&r); err != nil {
		closeAll(files)
		return r, nil, err
	}
	return r, files, nil
}

func received(oob []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // some other kind of message
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("received-%d", len(files))))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// each hands every answer to f until the last one, or until f or the lab says no.
func (c *conn) each(f func(answer) error) error {
	for {
		var a answer
		if err := c.in.Decode(&a); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
				err = errGone
			}
			return err
		}
		if err := a.err(); err != nil {
			return err
		}
		if err := f(a); err != nil || a.Last {
			return err
		}
	}
}

// errGone says that the lab ended in the middle of a conversation.
var errGone = errors.New("the lab is gone")

// List returns the names of the labs of this user that run, in no order.
func List() ([]string, error) {
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, fmt.Errorf("looking for labs: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		// Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 is a
		// listening socket (__SO_ACCEPTCON), the others are its connections.
		if len(fields) == 8 && fields[3] == "00010000" {
			if name, ok := strings.CutPrefix(fields[7], socketPrefix()); ok {
				names = append(names, name)
			}
		}
	}
	return names, nil
}
