package vip

import (
	"strconv"
	"time"
)

// Seconds writes a length of time for people, the one way in which all output
// does: "5 s", "61.8 s", "0.012 s", four digits and milliseconds at most. Less
// than a millisecond is written as one, for 0 s would say that no time passed.
func Seconds(d time.Duration) string { return Figure(d) + " s" }

// Waited is Seconds of how long somebody waited in vain, in tenths: "5 s", "0.4 s".
// What is less than a tenth stays as it is, for nobody answers within 0 s.
func Waited(d time.Duration) string {
	if tenth := 100 * time.Millisecond; d >= tenth { // finer tells nothing of a timeout
		d = d.Round(tenth)
	}
	return Seconds(d)
}

// Figure is Seconds without its unit, for "2.833 - 5.5 s": a decimal point, no
// exponent, "0" for nothing, and a minus sign where d is negative.
func Figure(d time.Duration) string {
	if d < 0 {
		return "-" + Figure(-d)
	}
	step := time.Millisecond
	for limit := 10 * time.Second; d >= limit && step < time.Second; limit *= 10 {
		step *= 10
	}
	if d > 0 {
		d = max(d.Round(step), step)
	}
	return strconv.FormatFloat(float64(d)/float64(time.Second), 'f', -1, 64) // d.Seconds() is a sum, which may miss the nearest float
}
