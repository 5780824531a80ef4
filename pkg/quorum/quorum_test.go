package quorum

import "testing"

func TestMajority(t *testing.T) {
	for _, tt := range []struct{ voters, majority int }{
		{-1, 1}, {0, 1}, {1, 1}, {2, 2}, {3, 2}, {4, 3}, {5, 3}, {6, 4}, {7, 4},
	} {
		if got := Majority(tt.voters); got != tt.majority {
			t.Errorf("Majority(%d) = %d; want %d", tt.voters, got, tt.majority)
		}
	}
}

// One side at most decides, however the voters are parted, and they do together.
func TestNoTwoMajorities(t *testing.T) {
	for n := 1; n <= 40; n++ {
		if m := Majority(n); m > n || 2*m <= n || 2*(m-1) > n {
			t.Errorf("Majority(%d) = %d; want the least that is more than half", n, m)
		}
	}
}
