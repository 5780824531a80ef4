//go:build linux

package main

import (
	"testing"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

func TestRight(t *testing.T) {
	var holding []hold
	for _, e := range []truth.Event{
		{At: 10, Node: "cp-1", Kind: truth.Elected}, {At: 12, Node: "cp-1", Kind: truth.AddressAdded},
		{At: 50, Node: "cp-1", Kind: truth.AddressRemoved}, {At: 60, Node: "cp-2", Kind: truth.Elected},
	} {
		holding = follow(holding, e)
	}
	for _, tt := range []struct {
		name string
		a    answer
		want bool
	}{
		{"the owner, asked while it has it", answer{20, 30, 0, "owned", []string{"cp-1"}, ""}, true},
		{"the old owner, asked as it lets go", answer{45, 70, 0, "owned", []string{"cp-1"}, ""}, true},
		{"the next owner, asked as it takes over", answer{45, 70, 0, "owned", []string{"cp-2"}, ""}, true},
		{"the old owner, asked when all was over", answer{61, 70, 0, "owned", []string{"cp-1"}, ""}, false},
		{"somebody who never had it", answer{20, 30, 0, "owned", []string{"cp-3"}, ""}, false},
		{"the owner, with a bad exit code", answer{20, 30, 3, "owned", []string{"cp-1"}, ""}, false},
		{"nobody, while one had it all the time", answer{20, 30, 3, "unowned", nil, ""}, false},
		{"nobody, between two owners", answer{51, 59, 3, "unowned", nil, ""}, true},
		{"two owners", answer{45, 70, 6, "splitBrain", []string{"cp-1", "cp-2"}, ""}, false},
		{"a dispute", answer{20, 30, 3, "disputed", []string{"cp-1"}, ""}, false},
		{"cannot tell", answer{20, 30, 7, "unknown", nil, ""}, true},
		{"no answer at all", answer{20, 30, 1, "none", nil, ""}, false},
	} {
		if got := right(tt.a, holding); got != tt.want {
			t.Errorf("%s: right(%+v) = %v; want %v", tt.name, tt.a, got, tt.want)
		}
	}
}
