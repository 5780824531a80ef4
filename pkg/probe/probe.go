// Package probe asks a service on schedule and hands out samples.
//
// It asks in an open loop: a sample is sent when it is due, whatever became
// of those before it. So a service that is slow or gone cannot slow down the
// questions, and thereby hide how long it was (coordinated omission). Each
// sample is a new connection, with no retry, no proxy and no look-up of names,
// and the timeout is short and fixed: an answer after it is a failure.
//
// It sends to the addresses it is given, and listens to none.
package probe

import (
	"context"

	"github.com/vipctl/vipctl/pkg/outage"
)

// Prober asks a service, a sample a call.
type Prober interface {
	// Probe asks, and says how it went and which node answered ("" where that
	// cannot be told). It returns soon after ctx is done, with outage.Timeout.
	// Many calls are under way at a time.
	//
	// The zero Result says that it could not ask at all, for a reason that lies
	// with this machine. Such a sample counts for nothing.
	Probe(ctx context.Context) (result outage.Result, by string)
}
