package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// serve answers clients until the listener is closed.
func (s *supervisor) serve(l *net.UnixListener) {
	for {
		c, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, for example: that may pass
			sleep(s.ctx, 10*time.Millisecond)
			continue
		}
		go s.converse(c)
	}
}

// converse answers one client.
func (s *supervisor) converse(u *net.UnixConn) {
	defer func() { _ = u.Close() }()
	c := newConn(u)
	if err := checkPeer(u); err != nil {
		_ = c.out.Encode(answerErr(err))
		return
	}
	r, files, err := c.heard()
	if err != nil {
		return
	}
	defer closeAll(files)
	last := answerErr(nil)
	if r.Op == opExec {
		last = s.exec(c, r, files)
	} else {
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		go func() { // nothing more is expected from the client than its end
			defer cancel()
			var more request
			_ = c.in.Decode(&more)
		}()
		if err := s.do(ctx, c, r); err != nil {
			last = answerErr(err)
		}
	}
	_ = c.out.Encode(last)
	if r.Op == opDown {
		s.end()
	}
}

// do handles every request but exec.
func (s *supervisor) do(ctx context.Context, c *conn, r request) error {
	switch {
	case r.Op == opStatus:
		status := s.status()
		return c.out.Encode(answer{Status: &status})
	case r.Op == opEvents:
		return s.events(ctx, c, r.Follow)
	case r.Op == opLogs:
		return s.logs(c, r.Node)
	case r.Op == opFaults:
		return c.out.Encode(answer{Faults: s.faults.list()})
	case r.Op == opInject && r.Fault != nil:
		return s.faults.inject(context.WithoutCancel(ctx), *r.Fault)
	case r.Op == opUndo && r.Fault != nil:
		return s.faults.undo(context.WithoutCancel(ctx), *r.Fault)
	case r.Op == opPower:
		return s.faults.power(context.WithoutCancel(ctx), r.Node, r.Power)
	case r.Op == opDown:
		s.killAll()
		return nil
	default:
		return fmt.Errorf("the lab knows no request %q: is it of another version?", r.Op)
	}
}

// events writes the log of true instants, and with follow what comes.
func (s *supervisor) events(ctx context.Context, c *conn, follow bool) error {
	say := func(e truth.Event) error { return c.out.Encode(answer{Event: &e}) }
	if follow {
		return s.log.Follow(ctx, say)
	}
	for _, e := range s.log.Settled(ctx) {
		if err := say(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *supervisor) logs(c *conn, name string) error {
	m, err := s.faults.node(name)
	if err != nil {
		return err
	}
	return m.console.copyTo(textWriter{c})
}

// textWriter sends what is written to it as answers.
type textWriter struct{ c *conn }

func (w textWriter) Write(p []byte) (int, error) {
	return len(p), w.c.out.Encode(answer{Text: p})
}

// exec runs a command for a client, passes its signals on, and kills it when
// the client is gone.
func (s *supervisor) exec(c *conn, r request, stdio []*os.File) answer {
	if r.Exec == nil {
		return answerErr(errors.New("no command is named"))
	}
	cmd, err := s.workstation.start(*r.Exec, stdio)
	if err != nil {
		return answer{Last: true, Exit: startCode(err), Text: []byte(err.Error())}
	}
	closeAll(stdio) // or a pipe's reader would wait for the supervisor
	pid := cmd.Process.Pid
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			var more request
			if c.in.Decode(&more) != nil {
				return
			}
			if more.Signal > 0 {
				_ = unix.Kill(-pid, unix.Signal(more.Signal))
			}
		}
	}()
	ended := make(chan struct{})
	go func() {
		select {
		case <-gone:
			killSession(pid)
		case <-ended:
		}
	}()
	_ = s.reaper.wait(cmd) // its state says it all
	close(ended)
	return answer{Last: true, Exit: exitCode(cmd.ProcessState)}
}

// status looks at everything once.
func (s *supervisor) status() Status {
	events, active := s.log.Events(), s.faults.list()
	st := Status{
		Name: s.spec.Name, Dir: s.files.dir, TalosVersion: s.spec.TalosVersion, TalosTiming: s.spec.TalosTiming,
		LeaseTTLSeconds: s.spec.LeaseTTL.Seconds(), BootTimeSeconds: s.spec.BootTime.Seconds(),
		Ready: wasReady(s.spec, events), ConfigStyle: s.spec.configStyle(), Segments: s.spec.segmentStatus(), Faults: []string{},
	}
	for _, a := range active {
		if a.Node == "" {
			st.Faults = append(st.Faults, a.String())
		}
	}
	held := make(map[string][]string)
	for _, vip := range s.spec.VIPs {
		nodes := holders(events, vip)
		st.VIPs = append(st.VIPs, VIPStatus{Address: vip.String(), Holders: nodes,
			Eligible: append([]string{}, s.spec.eligible(vip)...), Note: s.spec.vipNote(vip)})
		for _, n := range nodes {
			held[n] = append(held[n], vip.String())
		}
	}
	for _, p := range s.spec.places() {
		power, pid := s.faults.machines[p.Name].state()
		n := s.spec.nodeStatus(p)
		n.Power, n.PID, n.VIPs, n.Faults = power, pid, append([]string{}, held[p.Name]...), []string{}
		for _, a := range active {
			if a.Node == p.Name {
				n.Faults = append(n.Faults, a.String())
			}
		}
		st.Nodes = append(st.Nodes, n)
	}
	return st
}

func wasReady(spec Spec, events []truth.Event) bool {
	r := newReadiness(spec)
	for _, e := range events {
		_, _ = r.see(e, 0)
	}
	return r.done()
}

// crashLine is what a supervisor says last, for launched.reason to read.
func crashLine(err error) string {
	line := "error: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "\n"
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		line += "hint: " + h.Hint() + "\n"
	}
	return line
}
