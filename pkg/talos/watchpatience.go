package talos

import (
	"errors"
	"time"
)

// patience is how long a node may take for an answer, given how long it took for
// the last: three times that, but a second at least, and the timeout at most where
// that is more. A list of thousands of addresses, or one over a slow line, takes
// longer than a second, each time.
func (c *Client) patience(took time.Duration) time.Duration {
	return min(max(3*took, watchPatience), max(c.cfg.Timeout, watchPatience))
}

// loss is why a watch was lost, and how long an answer was waited for.
type loss struct {
	error
	waited time.Duration
}

func (l *loss) Unwrap() error { return l.error }

// lost takes note of why a watch was lost, and says it in a person's words. Where
// the time was up, the next has twice as much: the node may be slow, and not gone.
func (w *addressWatch) lost(err error) error {
	waited := w.patience
	if l, ok := errors.AsType[*loss](err); ok {
		err, waited = l.error, l.waited
	}
	if timedOut(err) {
		w.patience = w.client.patience(waited * 2 / 3)
	}
	return plain(err, w.target, waited)
}
