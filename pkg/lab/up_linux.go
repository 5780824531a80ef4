package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// Options are about how a lab is started, not about what it is.
type Options struct {
	// Progress is told what happens, a line at a time; may be nil.
	Progress func(line string)
	// Timeout bounds the wait for every node and VIP; 0 is a minute.
	Timeout time.Duration
	// Bound ties the lab's life to this process: however it ends, the lab ends.
	Bound bool
}

// Files that the supervisor inherits.
const (
	listenerFD = 3
	lifelineFD = 4
)

// charter is what the supervisor is told.
type charter struct {
	Spec Spec `json:"spec"`
	// Keep are paths that the lab's own files must not hide.
	Keep []string `json:"keep"`
}

// newCharter keeps in sight the directory and the binary of this process.
func newCharter(spec Spec) (string, error) {
	ch := charter{Spec: spec}
	if dir, err := os.Getwd(); err == nil {
		ch.Keep = append(ch.Keep, dir)
	}
	if home, err := os.UserHomeDir(); err == nil {
		ch.Keep = append(ch.Keep, home)
	}
	if exe, err := os.Executable(); err == nil {
		ch.Keep = append(ch.Keep, exe)
	}
	if spec.KubeAPIServer != "" {
		ch.Keep = append(ch.Keep, spec.KubeAPIServer)
	}
	data, err := json.Marshal(ch)
	return string(data), err
}

// environment is what the supervisor and the nodes get of this process's:
// nothing that could change how they behave, such as a proxy, but how the Go
// runtime is to run.
func environment() []string {
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, key := range []string{"GODEBUG", "GOGC", "GOMEMLIMIT", "GOTRACEBACK", "GORACE", "GOCOVERDIR"} {
		if v, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+v)
		}
	}
	return env
}

// Up starts a lab and waits until every node has booted and every VIP is
// held. On an error nothing is left of it.
func Up(ctx context.Context, spec Spec, opts Options) (*Lab, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if opts.Progress != nil {
		for _, vip := range spec.VIPs {
			if note := spec.vipNote(vip); note != "" {
				opts.Progress(fmt.Sprintf("VIP %s: %s", vip, note))
			}
		}
	}
	since := truth.Now()
	sup, err := launch(spec)
	if err != nil {
		return nil, err
	}
	l := &Lab{Name: spec.Name}
	if err := l.awaitReady(ctx, spec, opts, since); err != nil {
		err = l.explainCrash(ctx, err)
		sup.end()
		if errors.Is(err, errGone) {
			err = sup.reason()
		}
		return nil, err
	}
	if !opts.Bound && sup.release() != nil {
		sup.end()
		return nil, sup.reason()
	}
	return l, nil
}

// awaitReady follows the lab's events until it is whole.
func (l *Lab) awaitReady(ctx context.Context, spec Spec, opts Options, since time.Duration) error {
	timeout := opts.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ready := newReadiness(spec)
	err := l.Events(waiting, true, func(e truth.Event) error {
		line, err := ready.see(e, since)
		if err != nil {
			return err
		}
		if line != "" && opts.Progress != nil {
			opts.Progress(line)
		}
		if ready.done() {
			return errReady
		}
		return nil
	})
	switch {
	case errors.Is(err, errReady):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("starting the lab: %w", ctx.Err())
	case waiting.Err() != nil:
		return withHint(fmt.Errorf("the lab is not whole after %v: %s", timeout, ready.lacking()),
			"a busy machine may need a longer --timeout")
	default:
		return err
	}
}

// explainCrash adds the node's last words to its crash, before they are gone
// with the lab.
func (l *Lab) explainCrash(ctx context.Context, err error) error {
	crash, ok := errors.AsType[*crashError](err)
	if !ok {
		return err
	}
	var log strings.Builder
	if l.Logs(ctx, crash.node, &log) != nil || log.Len() == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, tail(log.String(), 5))
}

var errReady = errors.New("ready")
