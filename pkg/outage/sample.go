// Package outage turns the samples of a prober into the outages that they
// prove, each with a lower and an upper bound.
//
// Every time in it is a duration since the start of the run, on one monotonic
// clock. A sample is an interval: it proves the service up at some instant
// between Sent and Done, and no more.
package outage

import "time"

// Result is how a sample ended. The zero value is no result and never counts
// as good.
type Result int

// The results. Only OK is good.
const (
	_           Result = iota
	OK                 // answered in time, by a server of the cluster
	Timeout            // no answer in time: a black hole
	Late               // answered, but after the timeout: counts as a failure
	Refused            // the address answered with a reset to the SYN: VIP there, server not
	Unreachable        // no route, or ARP failed
	Reset              // the connection was made and then reset
	WrongHost          // answered with a certificate that is no cluster node's
	BadStatus          // an HTTP answer that means not ready
	Failed             // any other error
)

// Sample is one probe. It is Suspect when the prober itself was late in
// sending it (by more than an interval), and then it counts for nothing.
type Sample struct {
	Sent, Done time.Duration
	Result     Result
	// By names the node that answered, "" where that is not known.
	By      string
	Suspect bool
}

var resultNames = [...]string{
	"none", "ok", "timeout", "late", "refused", "unreachable", "reset", "wrongHost", "badStatus", "failed",
}

// String returns the word used in output and JSON.
func (r Result) String() string {
	if r < 0 || int(r) >= len(resultNames) {
		return "none"
	}
	return resultNames[r]
}
