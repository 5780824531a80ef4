package vip

import "slices"

// NeedsSecondLook says whether a verdict may come from a handover, or from
// witnesses that were asked one after the other while the address moved, so that
// two held it or nobody did: the cluster should be looked at again ResampleAfter
// later, and both verdicts given to Confirm. What only this machine remembered is
// gone by then, for the first look has corrected it.
func NeedsSecondLook(v Verdict) bool {
	switch v.Ownership {
	case SplitBrain, Unowned:
		return true
	case Disputed:
		return !v.Remembered
	default:
		return false
	}
}

// Confirm judges two verdicts on one VIP taken about ResampleAfter apart. The
// second stands, and its reason says what became of the first.
//
// But two owners are a split brain only if at least two nodes held the address
// both times. Those that were seen only the second time are Disputed, to be
// looked at again, whatever the first verdict was. And one of two who only fell
// silent may have the address still, so that the other one is no sole owner. A
// dispute with this machine's neighbour table alone stands if the same node is
// the owner the second time: it was the first look that ended it.
func Confirm(first, second Verdict) Verdict {
	switch {
	case second.Ownership == SplitBrain:
		return confirmOwners(first, second)
	case first.Remembered && second.Ownership == Owned && slices.Equal(first.Owners, second.Owners):
		second.Ownership, second.Findings, second.Remembered = Disputed, first.Findings, true
		second.Reason = first.Reason
	case first.Ownership == SplitBrain:
		return resolveOwners(first, second)
	case first.Ownership == Unowned && second.Ownership != Disputed:
		return resolveGap(second)
	case (second.Ownership == Disputed || second.Ownership == Unowned) && first.Ownership != Disputed:
		second.Reason += onceOnly
	case second.Ownership == Disputed && sameTrouble(first, second):
		second.Reason += "; seen twice"
	case first.Ownership == Disputed:
		second.Reason += "; a moment before: " + first.Reason
	}
	return second
}

// onceOnly is said of what the first look did not show.
const onceOnly = "; seen once only, so it may be a handover"

// resolveOwners is for two owners who are not both seen any more: whoever let go
// did so in a handover, if he says so himself.
func resolveOwners(first, second Verdict) Verdict {
	before := "; a moment before " + list(first.Owners) + " held the address"
	var mute []string
	for _, c := range second.SilentNodes() {
		if slices.Contains(first.Owners, c.From) && !slices.Contains(second.Owners, c.From) {
			mute = add(mute, c.From)
		}
	}
	switch {
	case second.Ownership != Owned:
		second.Reason += before
	case len(mute) > 0:
		second.Ownership = Disputed
		second.Reason += before + ", and " + list(mute) + " may still"
		second.Findings = tidy(append(slices.Clone(second.Findings), Finding{TwoOwners, "", second.Reason}))
	default:
		second.Reason += before + ": a handover"
	}
	return second
}

// resolveGap is for an address that nobody held the first time.
func resolveGap(second Verdict) Verdict {
	switch second.Ownership {
	case Unowned:
		second.Reason += "; seen twice"
	case Owned:
		second.Reason += "; a moment before nobody held the address: a handover"
	default:
		second.Reason += "; a moment before nobody held the address"
	}
	return second
}

func confirmOwners(first, second Verdict) Verdict {
	both := common(first.Owners, second.Owners)
	switch {
	case first.Ownership != SplitBrain || len(both) < 2:
		second.Ownership = Disputed
		second.Reason += onceOnly
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
