package commands

import (
	"cmp"
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/chaos"
	"github.com/vipctl/vipctl/pkg/outage"
	"github.com/vipctl/vipctl/pkg/report"
)

// phases are what was seen to happen in a drill, each from its own evidence,
// in the order of their times.
func phases(out chaos.Outcome, p *probes, seen *sightings, opts *failoverOptions) []report.Phase {
	list := []report.Phase{}
	add := func(name string, at time.Duration, ok bool) {
		if ok {
			list = append(list, report.Phase{Name: name, AtSeconds: (at - out.FaultAt).Seconds()})
		}
	}
	gone, ok := seen.lost(out.Target, out.FaultAt)
	gained, isGained := seen.gained(out.Target, out.FaultAt)
	tcp, readyz := p.headline().measure(out, opts), p.readyz().measure(out, opts)
	add("accepted", out.AckAt, out.AckAt > 0)
	add("address gone from "+out.Target, gone, ok)
	add("address on the new owner", gained, isGained)
	add("TCP connects", tcp.Outage.End, tcp.State == outage.Closed)
	add("/readyz good", readyz.Outage.End, readyz.State == outage.Closed)
	add("cluster whole", out.EndAt, out.Phase == chaos.Whole)
	slices.SortStableFunc(list, func(a, b report.Phase) int { return cmp.Compare(a.AtSeconds, b.AtSeconds) })
	return list
}
