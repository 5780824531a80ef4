package vip

import (
	"testing"
	"time"
)

func TestSeconds(t *testing.T) {
	const ms = time.Millisecond
	for in, want := range map[time.Duration]string{
		0: "0 s", 5 * time.Second: "5 s", time.Minute: "60 s", 184 * time.Second: "184 s",
		1200 * ms: "1.2 s", 400 * ms: "0.4 s", 12 * ms: "0.012 s", 4988 * ms: "4.988 s",
		15_230 * ms: "15.23 s", 61_800 * ms: "61.8 s", 123_456 * ms: "123.5 s", 12_345_678 * ms: "12346 s",
		9_999_600 * time.Microsecond: "10 s", 2_833_333 * time.Microsecond: "2.833 s",
		time.Microsecond: "0.001 s", -1500 * ms: "-1.5 s",
	} {
		if got := Seconds(in); got != want {
			t.Errorf("Seconds(%v) = %q; want %q", in, got, want)
		}
	}
}

func TestWaited(t *testing.T) {
	const ms = time.Millisecond
	for in, want := range map[time.Duration]string{
		5003 * ms: "5 s", 2549 * ms: "2.5 s", 420 * ms: "0.4 s", 99 * ms: "0.099 s", time.Microsecond: "0.001 s",
	} {
		if got := Waited(in); got != want {
			t.Errorf("Waited(%v) = %q; want %q", in, got, want)
		}
	}
}
