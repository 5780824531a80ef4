package arp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

const (
	// silence is how long to listen while nobody answers. Machines on a wire
	// answer within a millisecond or two, on Wi-Fi within some 100 ms. Who takes
	// longer is missed.
	silence = 250 * time.Millisecond
	// linger is how long to listen on after the first answer. A second machine
	// that has the address heard the same broadcast and answers about as fast; the
	// questions within linger give its lost answers two more chances.
	linger = 60 * time.Millisecond
	// askAgain is the time between the first question and the second; each
	// further one waits twice as long. So there are three questions within linger,
	// at 0, 15 and 45 ms, and two more, at 105 and 225 ms, where nobody answers.
	// Where one frame in fifty is lost either way, four questions and their answers
	// are all lost once in 400,000 times.
	askAgain = 15 * time.Millisecond
	// drain is how long to read on after the window: what came in time may wait
	// in the socket while this process waits for a processor.
	drain = time.Millisecond
	// maxReplies bounds what somebody can make us remember who answers with ever
	// new hardware addresses.
	maxReplies = 64
)

// wire is a socket on a segment, for the one address that is asked for.
type wire interface {
	// ask sends the question once.
	ask() error
	// hear waits for the next frame, and returns the hardware address that it
	// gives for the address, nil where it gives none; and whether it was told
	// to everybody, unasked, as who takes an address does.
	hear() (hw net.HardwareAddr, announced bool, err error)
	SetDeadline(time.Time) error
	Close() error
}

// listener is one question, and what was heard since.
type listener struct {
	wire
	opts    Options
	begun   time.Time // first question
	end     time.Time // of the window
	again   time.Time // next question
	gap     time.Duration
	replies []cluster.ARPReply
}

// listen asks and listens until the window is over or ctx ends.
func listen(ctx context.Context, w wire, opts Options) ([]cluster.ARPReply, error) {
	now := time.Now()
	l := &listener{wire: w, opts: opts, begun: now, end: now.Add(opts.Silence), again: now, gap: askAgain,
		replies: []cluster.ARPReply{}} // never nil: nobody is an answer too
	stop := context.AfterFunc(ctx, func() { _ = w.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for ; now.Before(l.end); now = time.Now() {
		if err := l.step(ctx, now); err != nil {
			return l.result(ctx, err)
		}
	}
	return l.result(ctx, l.drain(ctx))
}

// step asks if it is time to, and hears one frame or nothing.
func (l *listener) step(ctx context.Context, now time.Time) error {
	if !now.Before(l.again) {
		if err := l.SetDeadline(l.end); err != nil {
			return err
		}
		if err := l.ask(); err != nil {
			return err
		}
		l.again = now.Add(l.gap)
		l.gap *= 2
	}
	until := l.end
	if l.again.Before(until) {
		until = l.again
	}
	_, err := l.hearUntil(ctx, until)
	return err
}

// drain hears what is in the socket already.
func (l *listener) drain(ctx context.Context) error {
	until := time.Now().Add(drain)
	for time.Now().Before(until) {
		if heard, err := l.hearUntil(ctx, until); err != nil || !heard {
			return err
		}
	}
	return nil
}

// hearUntil hears the next frame, if there is one before the deadline.
func (l *listener) hearUntil(ctx context.Context, deadline time.Time) (heard bool, err error) {
	if err := l.SetDeadline(deadline); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil { // after the deadline: who ends ctx now moves it
		return false, err
	}
	hw, announced, err := l.hear()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, ctx.Err()
	case err != nil:
		return false, err
	case hw != nil:
		l.note(hw.String(), announced)
	}
	return true, nil
}

// note keeps the first answer of each hardware address, and whether it was
// announced as well.
func (l *listener) note(hw string, announced bool) {
	i := slices.IndexFunc(l.replies, func(r cluster.ARPReply) bool { return r.HardwareAddr == hw })
	if i >= 0 {
		l.replies[i].Announced = l.replies[i].Announced || announced
	}
	if i >= 0 || len(l.replies) >= maxReplies {
		return
	}
	now := time.Now()
	if len(l.replies) == 0 {
		l.end = now.Add(l.opts.Linger)
	}
	l.replies = append(l.replies, cluster.ARPReply{HardwareAddr: hw, AfterSeconds: now.Sub(l.begun).Seconds(), Announced: announced})
}

// result is what was heard. That somebody answered stays true whatever went
// wrong later; that nobody did is true of a whole window only.
func (l *listener) result(ctx context.Context, err error) ([]cluster.ARPReply, error) {
	switch {
	case err == nil || len(l.replies) > 0:
		return l.replies, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s, and cut short after %d ms: %w", cluster.NoAnswer, time.Since(l.begun).Milliseconds(), ctx.Err())
	default:
		return nil, err
	}
}
