//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/lab"
)

// round is one life of a lab.
type round struct {
	name, fault, node string
	hold              time.Duration // how long the fault lasts

	refused                string // why the lab did not do the fault
	up, broken, mend, down time.Duration
	trouble                []string
}

func (r *round) wrong(format string, args ...any) {
	r.trouble = append(r.trouble, fmt.Sprintf(format, args...))
}

func (r round) took() time.Duration { return r.up + r.broken + r.mend + r.down }

func (r round) String() string {
	s := fmt.Sprintf("%-18s %-5s up %4.1f s, fault %4.1f s, whole again %4.1f s, down %4.2f s",
		r.fault, r.node, r.up.Seconds(), r.broken.Seconds(), r.mend.Seconds(), r.down.Seconds())
	if r.refused != "" {
		s += "  refused: " + r.refused
	}
	if len(r.trouble) > 0 {
		return s + "  TROUBLE: " + strings.Join(r.trouble, "; ")
	}
	return s + "  ok"
}

// run starts the lab, breaks and mends it, and takes it down.
func (r *round) run(ctx context.Context) {
	spec := lab.Spec{Name: r.name, LeaseTTL: 2 * time.Second}.Default()
	spec.BootTime = 200 * time.Millisecond
	begin := time.Now()
	l, err := lab.Up(ctx, spec, lab.Options{Bound: true})
	r.up = time.Since(begin)
	if err != nil {
		r.wrong("up: %v", err)
		return
	}
	if err := r.breakAndMend(ctx, l); err != nil {
		r.wrong("%v", err)
	}
	begin = time.Now()
	if err := l.Down(context.WithoutCancel(ctx)); err != nil {
		r.wrong("down: %v", err)
	}
	r.down = time.Since(begin)
}

// breakAndMend does the fault, lets it work, undoes it, and waits until the
// lab is whole.
func (r *round) breakAndMend(ctx context.Context, l *lab.Lab) error {
	begin := time.Now()
	if err := r.inject(ctx, l); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("inject: %w", err)
		}
		r.refused = err.Error() // it may need a flag, or another node
		return nil
	}
	if err := sleep(ctx, r.hold); err != nil {
		return err
	}
	r.broken = time.Since(begin)
	begin = time.Now()
	if err := l.Undo(ctx, lab.FaultRequest{Fault: r.fault}); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	err := r.awaitWhole(ctx, l)
	r.mend = time.Since(begin)
	return err
}

// inject does the fault to the round's node, or to the owner where it may not
// be done to that one.
func (r *round) inject(ctx context.Context, l *lab.Lab) error {
	err := l.Inject(ctx, lab.FaultRequest{Fault: r.fault, Node: r.node})
	if err == nil || ctx.Err() != nil {
		return err
	}
	if l.Inject(ctx, lab.FaultRequest{Fault: r.fault, Node: lab.Owner}) == nil {
		r.node = lab.Owner
		return nil
	}
	return err
}

// awaitWhole waits until all nodes are on, no fault is active, and each VIP is
// held by one node.
func (r *round) awaitWhole(ctx context.Context, l *lab.Lab) error {
	for {
		st, err := l.Status(ctx)
		if err != nil {
			return fmt.Errorf("status: %w", err)
		}
		lacking := lacking(st)
		if lacking == "" {
			return nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return errors.New("not whole again: " + lacking)
		}
	}
}

// lacking says what keeps the lab from being whole, or "".
func lacking(st lab.Status) string {
	for _, n := range st.Nodes {
		if n.Power != lab.PowerOn {
			return fmt.Sprintf("%s is %s", n.Name, n.Power)
		}
		if len(n.Faults) > 0 {
			return fmt.Sprintf("%s has %v", n.Name, n.Faults)
		}
	}
	for _, v := range st.VIPs {
		if len(v.Holders) != 1 {
			return fmt.Sprintf("%s is held by %v", v.Address, v.Holders)
		}
	}
	return ""
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
