package vip

import "slices"

// NeedsSecondLook says whether a verdict may come from a handover, or from
// witnesses that were asked one after the other while the address moved: the
// cluster should be looked at again ResampleAfter later, and both verdicts given
// to Confirm.
func NeedsSecondLook(v Verdict) bool {
	return v.Ownership == SplitBrain || v.Ownership == Disputed
}

// Confirm judges two verdicts on one VIP taken about ResampleAfter apart. The
// second stands, and its reason says what became of the first.
//
// But two owners are a split brain only if at least two nodes held the address
// both times. Those that were seen only the second time are Disputed, to be
// looked at again, whatever the first verdict was.
func Confirm(first, second Verdict) Verdict {
	switch {
	case second.Ownership == SplitBrain:
		return confirmOwners(first, second)
	case first.Ownership == SplitBrain:
		second.Reason += "; a moment before " + list(first.Owners) + " held the address"
		if second.Ownership != Disputed {
			second.Reason += ": a handover"
		}
	case first.Ownership == Disputed && second.Ownership == Disputed && sameTrouble(first, second):
		second.Reason += "; seen twice"
	case first.Ownership == Disputed:
		second.Reason += "; a moment before: " + first.Reason
	}
	return second
}

func confirmOwners(first, second Verdict) Verdict {
	both := common(first.Owners, second.Owners)
	switch {
	case first.Ownership != SplitBrain || len(both) < 2:
		second.Ownership = Disputed
		second.Reason += "; seen once only, so it may be a handover"
	case len(both) < len(second.Owners):
		second.Reason += "; seen twice: " + list(both)
	default:
		second.Reason += "; seen twice"
	}
	return second
}

// sameTrouble says that a finding of the first verdict is in the second as well.
func sameTrouble(first, second Verdict) bool {
	return slices.ContainsFunc(second.Findings, func(now Finding) bool {
		return slices.ContainsFunc(first.Findings, func(was Finding) bool {
			return was.Trouble == now.Trouble && was.Node == now.Node
		})
	})
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
