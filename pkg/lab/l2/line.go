package l2

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Way is a direction of a cable, as its host sees it.
type Way int

// The ways.
const (
	In  Way = iota // towards the host
	Out            // from the host
)

// Impairment is what is wrong with one way of a cable. The zero value is a
// sound one.
type Impairment struct {
	// Delay is how late every frame is, and Jitter by how much more it may be,
	// evenly spread. Frames keep their order, so a late one holds up the next.
	Delay, Jitter time.Duration
	// Loss is the share of frames that are lost, from 0 to 1.
	Loss float64
	// Seed makes the sequence of losses and of jitter the same each time.
	Seed uint64
}

func (i Impairment) sound() bool { return i.Delay <= 0 && i.Jitter <= 0 && i.Loss <= 0 }

// maxLate bounds the frames that are on one line; what comes then is lost.
const maxLate = 10_000

// line is one way of a cable.
type line struct {
	// faulty is false where frames may pass without a look at the rest.
	faulty atomic.Bool

	mu   sync.Mutex // guards following
	what Impairment
	rand *rand.Rand
	last time.Time // when the last frame on the line is due
	late int       // frames on the line
}

// fate is what becomes of a frame at the beginning of a line.
type fate int

const (
	passes fate = iota
	isLate
	isLost
)

func (l *line) impair(i Impairment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.what, l.rand = i, rand.New(rand.NewPCG(i.Seed, 0))
	l.faulty.Store(!i.sound() || l.late > 0)
}

// admit decides about a frame that comes now. One that is late is on the line
// from now until left is called.
func (l *line) admit() (due time.Time, f fate) {
	if !l.faulty.Load() {
		return due, passes
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.what.Loss > 0 && l.rand.Float64() < l.what.Loss || l.late >= maxLate {
		return due, isLost
	}
	wait := l.what.Delay
	if l.what.Jitter > 0 {
		wait += time.Duration(l.rand.Int64N(int64(l.what.Jitter) + 1))
	}
	if wait <= 0 && l.late == 0 {
		return due, passes
	}
	due = time.Now().Add(wait)
	if due.Before(l.last) {
		due = l.last
	}
	l.last = due
	l.late++
	return due, isLate
}

// left says that a late frame has left the line.
func (l *line) left() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late--
	l.faulty.Store(!l.what.sound() || l.late > 0)
}
