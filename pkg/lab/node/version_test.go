package node

import (
	"slices"
	"testing"
)

func TestReleases(t *testing.T) {
	tests := map[string]struct {
		does  func(Release) bool
		true  []string
		false []string
	}{
		"FORCE is a mode of its own": {Release.HasForce,
			[]string{"v1.12.0-beta.0", "v1.12.0", "v1.13.9", "v2.0.0"}, []string{"v1.8.0", "v1.11.99", "v1.12.0-alpha.2"}},
		"VIPs have documents": {Release.HasDocuments,
			[]string{"v1.12.0-alpha.2", "v1.12.0", "v1.14.0"}, []string{"v1.8.0", "v1.11.6", "v1.12.0-alpha.1"}},
		"a VIP's link may be called by another name": {Release.KnowsAltNames,
			[]string{"v1.10.0", "v1.13.9"}, []string{"v1.8.0", "v1.9.5"}},
		"user disks are unmounted": {Release.UnmountsUserDisks,
			[]string{"v1.8.0", "v1.9.5"}, []string{"v1.10.0", "v1.10.0-alpha.0", "v1.13.9"}},
		"the VIP is its own broadcast address": {Release.SetsBroadcast,
			[]string{"v1.8.0", "v1.11.2", "v1.11.3-rc.0"}, []string{"v1.11.3", "v1.12.0", "v1.13.9"}},
		"a stopped candidate leaves its lease": {Release.LeavesLease,
			[]string{"v1.8.0", "v1.11.6", "v1.12.10", "v1.13.0", "v1.13.7", "v1.14.0-alpha.1", "v1.14.0-beta.0"},
			[]string{"v1.12.11", "v1.13.8", "v1.13.9", "v1.14.0-beta.1", "v1.14.0", "v1.15.0-alpha.0"}},
	}
	for name, row := range tests {
		t.Run(name, func(t *testing.T) {
			for _, v := range slices.Concat(row.true, row.false) {
				r, err := ParseRelease(v)
				want := slices.Contains(row.true, v)
				if err != nil || row.does(r) != want {
					t.Errorf("of %s: %v, %v; want %v", v, row.does(r), err, want)
				}
			}
			newest, _ := ParseRelease("v99.0.0")
			if zero := (Release{}); row.does(zero) != row.does(newest) {
				t.Errorf("of the zero Release: %v; want the newest's", row.does(zero))
			}
		})
	}
	for _, v := range []string{"", "1.13.9", "v1.13", "v1.7.6", "v0.14.0", "vx"} {
		if r, err := ParseRelease(v); err == nil {
			t.Errorf("ParseRelease(%q) = %v; want an error", v, r)
		}
	}
}
