package vip

import (
	"slices"
	"time"
)

// Course is how the verdict on one VIP goes on, for somebody who watches all
// nodes. It is a value: Next returns the one that follows. The zero value has
// seen nothing.
type Course struct {
	// Verdict is the one that holds now.
	Verdict Verdict
	// Since is when it began to hold, zero where it held when first seen.
	Since time.Time
	// Lease is the time to live of an owner's lease, 0 for the default. It says how
	// long a node that fell silent beside another owner may be one as well.
	Lease time.Duration

	claims []Claim
	// fallen held the address beside others, and are silent; doubtUntil is when
	// they are no reason any more to doubt the one who is left, zero where they
	// are none now.
	fallen     []fallen
	doubtUntil time.Time
	// Two owners are no split brain before at least two nodes have held the
	// address from twoSince on, for ResampleAfter; two are those nodes.
	two      Verdict
	twoSince time.Time
}

// Turn is a change of the verdict: of its kind, or of who holds the address.
type Turn struct {
	At            time.Time
	Before, After Verdict
	// Lasted is how long Before did, 0 where it is not known when that began.
	Lasted time.Duration
}

// Begin starts a course with what was seen at that time. confirmed says that two
// owners, if there are two, had been seen twice by then.
func Begin(at time.Time, claims []Claim, confirmed bool) Course {
	if confirmed {
		at = at.Add(-ResampleAfter)
	}
	c, _ := Course{}.Next(at, claims)
	if confirmed {
		c, _ = c.Next(at.Add(ResampleAfter), claims)
	}
	c.Since = time.Time{}
	return c
}

// Next goes on to what all nodes claim at that time, and says whether that made
// a turn, else nil. Time must not go backwards.
func (c Course) Next(at time.Time, claims []Claim) (Course, *Turn) {
	next := c
	next.fallen = fell(c.fallen, c.claims, claims, at)
	next.claims = slices.Clone(claims)
	next.Verdict = next.weigh(at, Judge(claims))
	before := c.Verdict
	if before.Ownership == next.Verdict.Ownership && slices.Equal(before.Owners, next.Verdict.Owners) {
		return next, nil
	}
	next.Since = at
	t := &Turn{At: at, Before: before, After: next.Verdict}
	if !c.Since.IsZero() {
		t.Lasted = max(0, at.Sub(c.Since))
	}
	return next, t
}

// Due is when the same claims as before make a turn, for what was seen once is then
// seen twice, or a doubt has passed; zero where waiting makes none.
func (c Course) Due() time.Time {
	if c.twoSince.IsZero() || c.Verdict.Ownership == SplitBrain {
		return c.doubtUntil
	}
	return c.twoSince.Add(ResampleAfter)
}

// weigh tells a split brain from two owners in a handover, and from one who is
// left of two.
func (c *Course) weigh(at time.Time, now Verdict) Verdict {
	now = c.remember(at, now)
	if now.Ownership != SplitBrain {
		c.two, c.twoSince = Verdict{}, time.Time{}
		return now
	}
	both := common(c.two.Owners, now.Owners)
	if len(both) < 2 {
		c.two, c.twoSince = now, at
		return Confirm(Verdict{}, now)
	}
	c.two.Owners = both // one who let go meanwhile has not held it all the time
	if at.Before(c.twoSince.Add(ResampleAfter)) {
		return Confirm(Verdict{}, now)
	}
	return Confirm(c.two, now)
}
