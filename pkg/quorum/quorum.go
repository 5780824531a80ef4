// Package quorum is the arithmetic of majorities: how many voters decide.
package quorum

// Majority returns how many of n voters decide: more than half (Raft, section
// 5.2; so in etcd). An even number bears the loss of no more voters than the odd
// one below it. It is at least 1, so that no voters never have quorum.
func Majority(n int) int {
	return max(n, 0)/2 + 1
}
