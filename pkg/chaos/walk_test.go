package chaos

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A drill in a random world ends legally, takes back what it did, and never
// says whole of a cluster that is not. rapid prints the seed of a failure.
func TestDrillRandomWalk(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		cancelAt, abandonAt := offBeat(drawTime(rt, "cancelAt", 40)), offBeat(drawTime(rt, "abandonAt", 60))
		dry := rapid.IntRange(0, 9).Draw(rt, "dry") == 0
		var err error
		synctest.Test(t, func(*testing.T) {
			d := w.drill()
			d.DryRun = dry
			out := runWith(d, cancelAt, abandonAt)
			abandoned := abandonAt > 0 && errors.Is(out.Err, ErrAbandoned)
			err = w.broken(d, out, abandoned)
		})
		if err != nil {
			rt.Fatalf("%v; calls %q", err, w.calls)
		}
	})
}

// drawWorld makes each step fail one time in ten.
func drawWorld(rt *rapid.T) *world {
	fails := func(err error) error {
		if rapid.IntRange(0, 9).Draw(rt, err.Error()) == 0 {
			return err
		}
		return nil
	}
	return &world{
		guard: fails(errGuard), available: fails(errNotHere), whole: fails(errMissing),
		injectErr: fails(errInject), recoverErr: fails(errRecover),
		half:         rapid.Bool().Draw(rt, "half"),
		stuck:        rapid.IntRange(0, 19).Draw(rt, "stuck") == 0,
		injectTakes:  drawTime(rt, "injectTakes", 3),
		takeover:     drawTime(rt, "takeover", 40),
		boot:         drawTime(rt, "boot", 70),
		land:         drawTime(rt, "land", 70),
		badAt:        drawTime(rt, "badAt", 60),
		journalFails: max(0, rapid.IntRange(-20, 14).Draw(rt, "journalFails")),
	}
}

// drawTime draws up to that many seconds in steps of a tenth; half of the
// time it is 0.
func drawTime(rt *rapid.T, name string, seconds int) time.Duration {
	tenths := rapid.IntRange(-10*seconds, 10*seconds).Draw(rt, name)
	return time.Duration(max(0, tenths)) * 100 * time.Millisecond
}

// offBeat moves t between the drill's looks at its samples, so that a seed
// repeats its run. 0, which is never, stays 0.
func offBeat(t time.Duration) time.Duration {
	if t == 0 {
		return 0
	}
	return t + 50*time.Millisecond
}
