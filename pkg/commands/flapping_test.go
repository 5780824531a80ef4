package commands

import (
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/vip"
)

// What was held back is told from what was last told, not from what came between;
// and what comes after it, from there on.
func TestFlappingTellsFromWhatWasTold(t *testing.T) {
	at, f := watchBegun, &flapping{told: changesASecond, second: watchBegun}
	owned := func(node string) vip.Verdict { return vip.Verdict{Ownership: vip.Owned, Owners: []string{node}} }
	turn := func(before, after string) *vip.Turn {
		at = at.Add(time.Millisecond)
		return f.tell(at, &vip.Turn{At: at, Before: owned(before), After: owned(after), Lasted: time.Minute})
	}
	for _, step := range []struct{ before, after string }{{"cp-1", "cp-2"}, {"cp-2", "cp-3"}, {"cp-3", "cp-4"}} {
		if got := turn(step.before, step.after); got != nil {
			t.Fatalf("%v is told as %+v; want it held back", step, got)
		}
	}
	last := at
	at = f.due()
	if got := f.tell(at, nil); got == nil || got.Before.Owners[0] != "cp-1" || got.After.Owners[0] != "cp-4" || got.Lasted != 0 || !got.At.Equal(last) {
		t.Errorf("when due: %+v; want from cp-1 to cp-4 at %v, and nothing of how long cp-1 had it", got, last)
	}
	if got := turn("cp-4", "cp-5"); got == nil || got.Before.Owners[0] != "cp-4" || got.After.Owners[0] != "cp-5" || got.Lasted != time.Minute {
		t.Errorf("after that: %+v; want from cp-4, which lasted a minute, to cp-5", got)
	}
}
