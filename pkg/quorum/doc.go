// Package quorum is the arithmetic of majorities: how many voters decide, and
// what may still be lost.
package quorum

// Majority returns how many of n voters decide: more than half (Raft, section
// 5.2; so in etcd). It is at least 1, so that no voters never have quorum.
func Majority(n int) int {
	return max(n, 0)/2 + 1
}

// Tolerance returns how many of n healthy voters may be lost while the others
// still decide. An even number tolerates no more than the odd one below it.
func Tolerance(n int) int {
	return max(n-Majority(n), 0)
}
