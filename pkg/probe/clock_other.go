//go:build !linux

package probe

import "time"

func monotonic() time.Duration { return 0 }
