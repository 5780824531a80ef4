package vip

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 nodes are", 1: "1 node is", 2: "2 nodes are", 11: "11 nodes are"} {
		if got := Count(n, "node is", "nodes are"); got != want {
			t.Errorf("Count(%d) = %q; want %q", n, got, want)
		}
	}
}
