package outage

import (
	"strings"
	"testing"
	"time"
)

const (
	ms       = time.Millisecond
	interval = 20 * ms
	timeout  = 200 * ms
	rtt      = ms
)

// draw reads a picture of samples, one character each, sent every 20 ms:
//
//   - good, answered after 1 ms
//   - no answer in 200 ms
//     r  refused after 1 ms
//     l  answered late, after 210 ms
//     q  held in a queue, and answered with the next +
//     ?  suspect, and failed
//     |  no sample: the fault, 10 ms after the sample before it
//
// A number before a character repeats it: 10- is ten samples lost.
func draw(t *testing.T, picture string) (samples []Sample, fault time.Duration) {
	t.Helper()
	var queued []int
	repeat := 0
	for _, c := range picture {
		if c >= '0' && c <= '9' {
			repeat = repeat*10 + int(c-'0')
			continue
		}
		for range max(repeat, 1) {
			s := Sample{Sent: time.Duration(len(samples)) * interval}
			switch c {
			case '+':
				s.Result, s.Done, s.By = OK, s.Sent+rtt, "cp-1"
				for _, i := range queued {
					samples[i].Done = s.Done
				}
				queued = nil
			case '-':
				s.Result, s.Done = Timeout, s.Sent+timeout
			case 'r':
				s.Result, s.Done = Refused, s.Sent+rtt
			case 'l':
				s.Result, s.Done = Late, s.Sent+timeout+10*ms
			case 'q':
				s.Result, s.By = OK, "cp-1"
				queued = append(queued, len(samples))
			case '?':
				s.Result, s.Done, s.Suspect = Failed, s.Sent+timeout, true
			case '|':
				fault = s.Sent - interval/2
				continue
			default:
				t.Fatalf("picture %q: unknown character %q", picture, c)
			}
			samples = append(samples, s)
		}
		repeat = 0
	}
	if len(queued) > 0 {
		t.Fatalf("picture %q: a q needs a + after it", picture)
	}
	return samples, fault
}

func measurePicture(t *testing.T, picture string, settle time.Duration) Measurement {
	t.Helper()
	samples, fault := draw(t, strings.ReplaceAll(picture, " ", ""))
	return Measure(samples, Config{Fault: fault, Settle: settle, Interval: interval, Timeout: timeout})
}
