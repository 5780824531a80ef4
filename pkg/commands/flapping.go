package commands

import (
	"fmt"
	"time"

	"github.com/vipctl/vipctl/pkg/vip"
)

// changesASecond is how many changes of a VIP are told one by one. A handover has
// three or so; who gives and takes an address in a loop makes hundreds, which nobody
// reads, and which fill a disk in a day.
const changesASecond = 50

// flapping bounds how often the changes of a VIP are told. The zero value has
// told none.
type flapping struct {
	second time.Time // when the one began in which told are counted
	told   int
	held   int      // turns that are not told yet
	last   vip.Turn // the last of them, from what was so before the first
}

// tell is what is to be told at a time of a turn that came, or nil for none, and
// of those before it: all in one where they are too many to be told one by one.
func (f *flapping) tell(at time.Time, came *vip.Turn) *vip.Turn {
	if came != nil {
		before, lasted := f.last.Before, time.Duration(0)
		if f.held == 0 {
			before, lasted = came.Before, came.Lasted
		}
		f.held++
		f.last = vip.Turn{At: came.At, Before: before, After: came.After, Lasted: lasted}
	}
	if at.Sub(f.second) >= time.Second {
		f.second, f.told = at, 0
	}
	if f.held == 0 || f.told >= changesASecond {
		return nil
	}
	now := f.last
	if f.held > 1 {
		now.After.Reason += fmt.Sprintf("; the last of %d changes within a second", f.held)
	}
	f.told++
	f.held = 0
	return &now
}

// due is when that which is held back is told, zero where nothing is.
func (f *flapping) due() time.Time {
	if f.held == 0 {
		return time.Time{}
	}
	return f.second.Add(time.Second)
}
