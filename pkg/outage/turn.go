package outage

import "time"

// Turn is a run of good samples that one node answered.
type Turn struct {
	// By is the node, "" where it is not known.
	By string
	// First is when the first of them was answered, Last the last.
	First, Last time.Duration
	// Samples counts them.
	Samples int
}

// Turns returns who answered the good samples, in the order of Sent. After a
// clean failover the old owner has the first turn and the new one the last.
// Two nodes that answer in turn, again and again, are a split brain.
func Turns(samples []Sample) []Turn {
	var turns []Turn
	for _, s := range inOrder(samples) {
		if s.Suspect || s.Result != OK {
			continue
		}
		if n := len(turns); n == 0 || turns[n-1].By != s.By {
			turns = append(turns, Turn{By: s.By, First: s.Done, Last: s.Done})
		}
		t := &turns[len(turns)-1]
		t.First, t.Last = min(t.First, s.Done), max(t.Last, s.Done)
		t.Samples++
	}
	return turns
}
