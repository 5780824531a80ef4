package outage

import (
	"slices"
	"time"
)

// Measure returns the outage that the samples of one prober prove to have
// followed the fault. The samples may come in any order and are not changed.
// Those in flight must have come in: a sample that is not there proves nothing.
//
// The bounds are sound for one outage whatever the prober met: answers out of
// order, samples under way when the outage began, answers held in a queue and
// let go in a burst at its end. They rest on nothing but what each sample
// proves, see evidence. Of a flapping outage they bound the time from the
// first of its spells to the end of the last, as far as samples saw them.
func Measure(samples []Sample, cfg Config) Measurement {
	e := weigh(samples)
	m := count(samples)
	spells := e.spells(cfg.Fault)
	if len(spells) == 0 {
		m.Outage.Upper, m.State = e.unseen(cfg)
		return m
	}
	n := e.settled(spells, cfg.Settle)
	for i, failed := range spells {
		if i < n {
			m.Windows = append(m.Windows, e.window(failed))
		} else {
			m.Later = append(m.Later, e.window(failed))
		}
	}
	failed := slices.Concat(spells[:n]...)
	m.Outage = e.window(failed)
	m.Flapping = n > 1
	m.Partial = e.partial(failed, samples, cfg.Interval)
	m.State = e.state(m, cfg.Settle)
	return m
}

// count fills in the numbers of samples.
func count(samples []Sample) Measurement {
	m := Measurement{Samples: len(samples)}
	for _, s := range samples {
		switch {
		case s.Suspect:
			m.Suspect++
		case s.Result == Late:
			m.Late++
		}
	}
	return m
}

// spells groups the failed samples that ended after the fault: a good sample
// that lies whole between two failed ones parts them.
func (e evidence) spells(fault time.Duration) [][]Sample {
	var spells [][]Sample
	var last time.Duration
	for _, s := range e.failed {
		if s.Done < fault {
			continue
		}
		if n := len(spells); n > 0 && e.backAfter(last) > s.Sent {
			spells[n-1] = append(spells[n-1], s)
		} else {
			spells = append(spells, []Sample{s})
		}
		last = s.Sent
	}
	return spells
}

// settled returns how many of the spells belong to the outage: all up to the
// first after which the service was good for the settle time.
func (e evidence) settled(spells [][]Sample, settle time.Duration) int {
	for i := range len(spells) - 1 {
		spell := spells[i]
		back := e.backAfter(spell[len(spell)-1].Sent)
		good, ok := e.lastBefore(spells[i+1][0].Sent)
		if ok && good.Done-back >= settle {
			return i + 1
		}
	}
	return len(spells)
}

// state judges a measurement in which samples failed.
func (e evidence) state(m Measurement, settle time.Duration) State {
	last := m.Outage
	if n := len(m.Later); n > 0 {
		last = m.Later[n-1]
	}
	switch {
	case m.Outage.Open:
		return Open
	case last.Open || m.Outage.Upper == Unbounded:
		return Inconclusive
	case e.good[len(e.good)-1].Done-last.End < settle:
		return Inconclusive
	default:
		return Closed
	}
}

// unseen returns how long an outage after the fault may have been though no
// sample failed: the longest that no good sample lies in.
func (e evidence) unseen(cfg Config) (time.Duration, State) {
	n := len(e.good)
	if n == 0 || e.good[n-1].Sent < cfg.Fault {
		return Unbounded, Inconclusive
	}
	upper := e.longest(never, cfg.Fault)
	if e.good[0].Sent > cfg.Fault {
		upper = max(upper, e.answered[0]-cfg.Fault)
	}
	if back := e.backAfter(cfg.Fault - 1); e.good[n-1].Done-back < cfg.Settle {
		return upper, Inconclusive
	}
	return upper, None
}

// partial says that more than one of the samples due in the outage did not
// fail. Those due are reckoned up to the first good one sent after it, and not
// to its answer, which may have been held back. Suspect ones may have failed.
func (e evidence) partial(failed, samples []Sample, interval time.Duration) bool {
	if interval <= 0 {
		return false
	}
	start, last := failed[0].Sent, failed[len(failed)-1].Sent
	until := last + interval
	if i := e.sentAfter(last); i < len(e.good) {
		until = e.good[i].Sent
	}
	seen := len(failed)
	for _, s := range samples {
		if s.Suspect && s.Sent >= start && s.Sent < until {
			seen++
		}
	}
	due := int((until - start + interval/2) / interval)
	return due-seen > 1
}
