package probe

import (
	"slices"
	"sync"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

// Recorder collects the samples of one prober. The zero value is ready. It is
// safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex
	samples []outage.Sample // in the order of Sent; mu guards it
}

// Add records a sample. Samples may come in any order, nearly that of Sent.
func (r *Recorder) Add(s outage.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Samples come nearly in order: only those in flight can be overtaken.
	i := len(r.samples)
	for i > 0 && r.samples[i-1].Sent > s.Sent {
		i--
	}
	r.samples = slices.Insert(r.samples, i, s)
}

// Samples returns a copy of what was recorded, in the order of Sent.
func (r *Recorder) Samples() []outage.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.samples)
}

// From returns a copy of the samples sent at t or later, in the order of Sent.
// Who looks again and again for a long time copies less with it.
func (r *Recorder) From(t time.Duration) []outage.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, _ := slices.BinarySearchFunc(r.samples, t, func(s outage.Sample, t time.Duration) int {
		return int(min(max(s.Sent-t, -1), 1))
	})
	return slices.Clone(r.samples[i:])
}
