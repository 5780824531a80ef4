package quorum

import (
	"fmt"
	"math/bits"
	"strings"
	"testing"
)

func TestMajorityAndTolerance(t *testing.T) {
	for _, tt := range []struct{ voters, majority, tolerance int }{
		{-1, 1, 0}, {0, 1, 0}, {1, 1, 0}, {2, 2, 0}, {3, 2, 1}, {4, 3, 1}, {5, 3, 2}, {6, 4, 2}, {7, 4, 3},
	} {
		if got := Majority(tt.voters); got != tt.majority {
			t.Errorf("Majority(%d) = %d; want %d", tt.voters, got, tt.majority)
		}
		if got := Tolerance(tt.voters); got != tt.tolerance {
			t.Errorf("Tolerance(%d) = %d; want %d", tt.voters, got, tt.tolerance)
		}
	}
}

func TestCanLose(t *testing.T) {
	tests := []struct {
		name                  string
		voters, healthy, lost string
		want                  bool
		margin                int
	}{
		{"three healthy voters can lose one", "a b c", "a b c", "a", true, 1},
		{"three healthy voters cannot lose two", "a b c", "a b c", "a b", false, 1},
		{"with one down already no other may go", "a b c", "a b", "a", false, 0},
		{"but the one that is down may", "a b c", "a b", "c", true, 0},
		{"four voters can lose no more than three can", "a b c d", "a b c d", "a b", false, 1},
		{"five voters can lose two", "a b c d e", "a b c d e", "a b", true, 2},
		{"a lone voter cannot be lost", "a", "a", "a", false, 0},
		{"one of two cannot be lost", "a b", "a b", "b", false, 0},
		{"a learner costs nothing", "a b c", "a b l", "l", true, 0},
		{"a healthy learner does not stand in for a voter", "a b c", "a l", "", false, -1},
		{"without quorum nobody can be lost, not even one who is down", "a b c", "a", "b", false, -1},
		{"a name given twice is lost once", "a b c", "a b c", "a a", true, 1},
		{"a voter listed twice votes once", "a a b c", "a b", "", true, 0},
		{"no voters have no quorum", "", "", "", false, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := Members{Voters: strings.Fields(tt.voters), Healthy: strings.Fields(tt.healthy)}
			if got := m.CanLose(strings.Fields(tt.lost)...); got != tt.want {
				t.Errorf("%+v.CanLose(%s) = %t; want %t", m, tt.lost, got, tt.want)
			}
			if got := m.Margin(); got != tt.margin || m.HasQuorum() != (got >= 0) {
				t.Errorf("%+v.Margin() = %d, HasQuorum() = %t; want %d", m, got, m.HasQuorum(), tt.margin)
			}
		})
	}
}

// Every cluster of up to six voters, with every set of healthy and of lost
// ones, against a count of two camps: who is left outvotes everybody else.
func TestCanLoseAgreesWithACount(t *testing.T) {
	for n := 1; n <= 6; n++ {
		for healthy := range uint(1) << n {
			for lost := range uint(1) << n {
				m := Members{Voters: names(1<<n - 1), Healthy: names(healthy)}
				left := bits.OnesCount(healthy &^ lost)
				if got, want := m.CanLose(names(lost)...), left > n-left; got != want {
					t.Fatalf("%+v.CanLose(%v) = %t; want %t", m, names(lost), got, want)
				}
			}
		}
	}
}

// names returns a name for each bit of the set.
func names(set uint) (list []string) {
	for i := range bits.Len(set) {
		if set&(1<<i) != 0 {
			list = append(list, fmt.Sprintf("cp-%d", i))
		}
	}
	return list
}
