package cluster

// Why a fact is not known is kept as a sentence, so that a snapshot has it as it was
// told. A reason of one of these kinds begins with its words: whoever collects
// writes them with these constants, and by them whoever judges a snapshot tells what
// happened. Snapshots that were saved have them too, so they must not change.
const (
	// NoAnswer is that somebody was asked in vain until the time was over.
	NoAnswer = "no answer"
	// NotAuthorized is that a node refused for want of rights.
	NotAuthorized = "not authorized"
	// EtcdOn is that the etcd of a node, which it goes on to name, was asked for an
	// election. Other reasons why it told none are that nobody could ask it.
	EtcdOn = "etcd on "
	// NeedsRight is that nobody was asked for want of a right of this process, which it
	// goes on to name: who runs it may give it.
	NeedsRight = "needs "
)
