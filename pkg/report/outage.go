package report

import (
	"fmt"
	"math"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
	"github.com/vipctl/vipctl/pkg/vip"
)

// NewOutage returns what was measured, with its times counted from the fault, an
// instant on the clock of m; nil where there were no samples.
func NewOutage(m outage.Measurement, fault time.Duration) *Outage {
	if m.Samples == 0 {
		return nil
	}
	o := &Outage{
		State: m.State.String(), Lost: m.Outage.Lost,
		LowerSeconds: m.Outage.Lower.Seconds(), UpperSeconds: bounded(m.Outage.Upper),
		Flapping: m.Flapping, Partial: m.Partial, Windows: []Window{},
	}
	switch m.State {
	case outage.Closed:
		o.Seconds = new(m.Outage.Value.Seconds())
	case outage.None:
		o.Seconds = new(0.0)
	case outage.Open:
		o.UpperSeconds = nil
	default:
		o.LowerSeconds, o.UpperSeconds = 0, nil
	}
	for _, list := range [][]outage.Window{m.Windows, m.Later} {
		for _, w := range list {
			o.Windows = append(o.Windows, newWindow(w, fault))
		}
	}
	return o
}

func newWindow(w outage.Window, fault time.Duration) Window {
	out := Window{
		FromAtSeconds: (w.Start - fault).Seconds(), ToAtSeconds: new((w.End - fault).Seconds()),
		LowerSeconds: w.Lower.Seconds(), UpperSeconds: bounded(w.Upper), Lost: w.Lost,
	}
	if w.Open {
		out.ToAtSeconds, out.UpperSeconds = nil, nil
	}
	return out
}

// NewProbe returns what one prober, known by name, measured at target (an address
// and port). The fault is when it was done, on the clock of m.
func NewProbe(name, target string, m outage.Measurement, fault time.Duration) Probe {
	return Probe{
		Name: name, Target: target, Outage: NewOutage(m, fault),
		Samples: m.Samples, Late: m.Late, Suspect: m.Suspect,
	}
}

func bounded(d time.Duration) *float64 {
	if d == outage.Unbounded {
		return nil
	}
	return new(d.Seconds())
}

// String prints the outage with its bounds: "12.63 s (12.60 - 12.84)". Bounds
// are rounded outwards, so that the truth lies between the printed ones too.
// Nothing measured prints as "not measured".
func (o *Outage) String() string {
	switch {
	case o == nil:
		return "not measured"
	case o.State == outage.None.String() && o.UpperSeconds != nil:
		return "none seen (shorter than " + ceiling(*o.UpperSeconds, digits(*o.UpperSeconds)) + " s)"
	case o.State == outage.Open.String():
		return "open: not back after " + floor(o.LowerSeconds, digits(o.LowerSeconds)) + " s"
	case o.Seconds == nil:
		return orElse(o.State, outage.Inconclusive.String())
	}
	n := digits(*o.Seconds)
	upper := "..."
	if o.UpperSeconds != nil {
		upper = ceiling(*o.UpperSeconds, n)
	}
	return fmt.Sprintf("%.*f s (%s - %s)", n, *o.Seconds, floor(o.LowerSeconds, n), upper)
}

// digits is how many decimals a length deserves: hundredths of a second,
// milliseconds below one.
func digits(seconds float64) int {
	if seconds < 1 {
		return 3
	}
	return 2
}

func floor(seconds float64, digits int) string { return outward(seconds, digits, math.Floor) }

func ceiling(seconds float64, digits int) string { return outward(seconds, digits, math.Ceil) }

// outward rounds in one direction. It goes by whole nanoseconds, or 2.03 would
// round down to 2.02 for the sake of its last bit.
func outward(seconds float64, digits int, round func(float64) float64) string {
	scale := math.Pow10(9 - digits)
	ns := math.Round(seconds * 1e9)
	return fmt.Sprintf("%.*f", digits, round(ns/scale)*scale/1e9)
}

// span prints a prediction: "40 - 60 s", "under 1 s".
func (p Prediction) span() string {
	switch {
	case p.Basis == "":
		return ""
	case p.LowerSeconds == 0:
		return "under " + seconds(p.UpperSeconds)
	default:
		return vip.Figure(inSeconds(p.LowerSeconds)) + " - " + seconds(p.UpperSeconds)
	}
}
