package checks

import (
	"slices"
	"strings"
	"testing"
)

// TestWhySilent: whichever checks were chosen, the output says why a node is silent,
// once, and refers to no check that is not in it.
func TestWhySilent(t *testing.T) {
	s := healthy(3, down(2), down(3))
	why := "not known of cp-2 (" + errDown.Error() + "), cp-3 (" + errDown.Error() + ")"
	for _, tt := range []struct {
		name   string
		choice Choice
		want   int // how many messages tell it
	}{
		{"all checks", Choice{}, 0}, // nodes-answer does
		{"the category vip", Choice{Categories: []string{"vip"}}, 1},
		{"the category etcd", Choice{Categories: []string{"etcd"}}, 1},
		{"one check", Choice{Only: []string{"vip-link-up"}}, 1},
		{"all but the one that tells", Choice{Skip: []string{"nodes-answer"}}, 1},
	} {
		list, err := Choose(All(), tt.choice)
		if err != nil {
			t.Fatal(err)
		}
		results := Run(s, list)
		told := 0
		for _, r := range results {
			if strings.Contains(r.Message, why) {
				told++
			}
			_, other, refers := strings.Cut(r.Message, ": see ")
			other, _, _ = strings.Cut(other, ";")
			if refers && strings.Contains(r.Message, notKnownOf) && !slices.ContainsFunc(results, func(r Result) bool { return r.ID == other }) {
				t.Errorf("%s: %s says %q; %q is not in the output", tt.name, r.ID, r.Message, other)
			}
		}
		if told != tt.want {
			t.Errorf("%s: %d of %d messages say %q; want %d", tt.name, told, len(results), why, tt.want)
		}
	}
}
