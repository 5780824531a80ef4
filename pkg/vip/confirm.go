package vip

import "slices"

// Confirm judges two verdicts on one VIP taken about ResampleAfter apart. Two
// owners are a split brain only if at least two nodes held the address both
// times. Otherwise it was a handover, or nodes that were asked one after the
// other while it moved: the second verdict stands, and says so; two owners
// that were seen only then are Disputed, to be looked at again.
//
// For a first verdict other than SplitBrain there is nothing to confirm, and
// the rule is the same: the second stands, but is no split brain yet.
func Confirm(first, second Verdict) Verdict {
	if first.Ownership != SplitBrain && second.Ownership != SplitBrain {
		return second
	}
	v := second
	both := common(first.Owners, second.Owners)
	switch {
	case first.Ownership == SplitBrain && second.Ownership == SplitBrain && len(both) > 1:
		v.Reason += "; seen twice"
		if len(both) < len(v.Owners) {
			v.Reason += ": " + list(both)
		}
	case second.Ownership == SplitBrain:
		v.Ownership = Disputed
		v.Reason += "; seen once only, so it may be a handover"
	default:
		v.Reason += "; a moment before " + list(first.Owners) + " held the address: a handover"
	}
	return v
}

// common returns the names that are in both, in the order of b.
func common(a, b []string) []string {
	var both []string
	for _, name := range b {
		if slices.Contains(a, name) {
			both = add(both, name)
		}
	}
	return both
}
