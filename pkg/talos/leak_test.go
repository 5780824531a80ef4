package talos

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// ours are the goroutines that a client may have left behind.
func ours() string {
	buf := make([]byte, 1<<22)
	var left []string
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "grpc.(*ClientConn)") || strings.Contains(g, "transport.(*http2Client)") || strings.Contains(g, "(*survey)") ||
			strings.Contains(g, "(*addressWatch)") || strings.Contains(g, "followEvents") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

// Nothing of a client is left after Close, whoever hung.
func TestNothingIsLeftBehind(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[1].hangAll.Store(true)
	w.cutPower("10.5.0.4:50000")
	c := w.client("10.5.0.2")
	c.cfg.Timeout = 2 * time.Second
	if _, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); ours() != ""; time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("left behind:\n%s", ours())
		}
	}
}
