package quorum

import "slices"

// Members are those of an etcd cluster, by any name that is unique. The zero
// value has no quorum.
type Members struct {
	// Voters are the members that vote. Learners are not among them.
	Voters []string
	// Healthy are the members that answer and follow the leader. Who is not
	// known to be healthy must be left out; who does not vote counts for nothing.
	Healthy []string
}

// Majority returns how many voters must be healthy.
func (m Members) Majority() int {
	return Majority(len(distinct(m.Voters)))
}

// HasQuorum says that the healthy voters decide.
func (m Members) HasQuorum() bool {
	return m.Margin() >= 0
}

// Margin returns how many of the healthy voters may be lost now. Negative, it
// is how many are missing for quorum.
func (m Members) Margin() int {
	return m.healthyWithout(nil) - m.Majority()
}

// CanLose says that quorum is there once all of the members named are gone.
// One that is not healthy, or no voter, costs nothing; a cluster that has no
// quorum can lose nobody. The majority stays that of all voters: who is gone
// is a member still.
func (m Members) CanLose(names ...string) bool {
	return m.healthyWithout(names) >= m.Majority()
}

// healthyWithout counts the healthy voters but for those named.
func (m Members) healthyWithout(names []string) int {
	n := 0
	for _, v := range distinct(m.Voters) {
		if slices.Contains(m.Healthy, v) && !slices.Contains(names, v) {
			n++
		}
	}
	return n
}

func distinct(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}
