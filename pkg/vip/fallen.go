package vip

import (
	"slices"
	"time"
)

// fallen is a node that fell silent while it held the address beside others. It
// may hold it still: none of those others is known to be the one who was elected.
type fallen struct {
	node  string
	since time.Time
	// beside held the address as well, and have not let go since. One who takes it
	// later was elected after the fallen one's lease had ended.
	beside []string
}

// mayHold is for how long a node that fell silent may hold the address: it has at
// most its lease, and whoever is cut off gives it up by then; but if it led etcd
// the others count that lease anew.
func mayHold(lease time.Duration) time.Duration { return PredictCrash(lease, OwnerLeads).Upper }

// fell returns who is fallen after what all nodes claim now, given who was before
// and what they claimed then.
func fell(was []fallen, before, now []Claim, at time.Time) []fallen {
	held := hear(before).holders
	for _, f := range was {
		held = add(held, f.node)
	}
	h := hear(now)
	var next []fallen
	for _, node := range h.mute {
		i := slices.IndexFunc(was, func(f fallen) bool { return f.node == node })
		f := fallen{node: node, since: at, beside: held}
		switch {
		case !slices.Contains(held, node):
			continue
		case i >= 0:
			f = was[i]
		}
		f.beside = slices.DeleteFunc(slices.Clone(f.beside), func(other string) bool {
			return other == node || slices.Contains(h.free, other)
		})
		if len(f.beside) > 0 {
			next = append(next, f)
		}
	}
	return next
}

// remember weighs the verdict on what all nodes claim now with those who fell
// silent: a sole owner beside whom one of them held the address is none for sure.
func (c *Course) remember(at time.Time, now Verdict) Verdict {
	c.doubtUntil = time.Time{}
	if now.Ownership != Owned {
		return now
	}
	var may []string
	for _, f := range c.fallen {
		until := f.since.Add(mayHold(c.Lease))
		if at.Before(until) && slices.Contains(f.beside, now.Owners[0]) {
			may = append(may, f.node)
			if until.After(c.doubtUntil) {
				c.doubtUntil = until
			}
		}
	}
	if len(may) == 0 {
		return now
	}
	now.Ownership = Disputed
	now.Reason += "; " + list(may) + " held it too when last seen, and may still"
	now.Findings = tidy(append(slices.Clone(now.Findings), Finding{TwoOwners, "", now.Reason}))
	return now
}
