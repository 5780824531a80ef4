//go:build linux

package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// event is a line of "vipctl lab events -o json".
type event struct {
	At     time.Duration `json:"atNanoseconds"` // on CLOCK_MONOTONIC
	Node   string        `json:"node"`
	Kind   string        `json:"kind"`
	Detail string        `json:"detail"`
}

// The kinds of event that the tests look for, in the lab's words.
const (
	linkCut        = "link-cut"
	powerOff       = "power-off"
	processKilled  = "process-killed"
	sequenceStart  = "sequence-started"
	elected        = "elected"
	addressAdded   = "address-added"
	addressRemoved = "address-removed"
	accepted       = "accepted"
	answered       = "answered"
)

// monotonic reads the clock that the lab's log is on.
func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("clock_gettime(CLOCK_MONOTONIC): " + err.Error()) // cannot fail on Linux
	}
	return time.Duration(ts.Nano())
}
