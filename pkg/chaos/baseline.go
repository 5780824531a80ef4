package chaos

import (
	"context"
	"errors"
	"fmt"

	"github.com/vipctl/vipctl/pkg/outage"
)

// baseline watches the service for the baseline time, and a timeout and an
// interval more for the answers still in flight. The first sample that is not
// good ends it.
func (r *run) baseline(ctx context.Context) error {
	from := r.Now()
	until := from + r.Limits.Baseline
	for {
		samples := r.Samples()
		err := outage.Baseline(samples, from, until)
		var bad *outage.BaselineError
		if errors.As(err, &bad) && bad.Failed > 0 {
			return err
		}
		if now := r.Now(); now >= until+r.Timeout+r.Interval {
			// A prober that fell silent on the way would not see an outage.
			if _, ok := outage.LastingSince(samples, from, r.Limits.Baseline/2, now); !ok && err == nil {
				err = fmt.Errorf("the prober fell silent during the baseline of %s", r.Limits.Baseline)
			}
			return err
		}
		if !r.pause(ctx, watchPause) {
			return context.Cause(ctx)
		}
	}
}
