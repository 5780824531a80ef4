package vip

// Ownership is the verdict's kind. The zero value is Unknown, which never
// counts as good.
type Ownership int

// The kinds of ownership.
const (
	Unknown    Ownership = iota // nobody claims it and somebody is silent
	Owned                       // one node claims it and nothing contradicts
	Unowned                     // every node answered and none has it
	Disputed                    // the witnesses contradict each other
	SplitBrain                  // two nodes hold the address
)

// String returns the word used in output and JSON: owned, unowned, disputed,
// splitBrain, unknown.
func (o Ownership) String() string {
	switch o {
	case Owned:
		return "owned"
	case Unowned:
		return "unowned"
	case Disputed:
		return "disputed"
	case SplitBrain:
		return "splitBrain"
	default:
		return "unknown"
	}
}

// Verdict is what the claims amount to.
type Verdict struct {
	Ownership Ownership
	// Owners are the nodes that hold the address, in the order of the claims:
	// one when Owned, two or more when SplitBrain, the last of which may only be
	// known by their answers on the wire; when Disputed those that say that they
	// hold it, if any.
	Owners []string
	// Silent are the claims of witnesses that could not be asked.
	Silent []Claim
	// Findings are what the cluster shows to be wrong, the gravest first; none
	// where the VIP is owned, or where it cannot be told.
	Findings []Finding
	// Remembered says that the dispute is between this machine's neighbour table
	// and everybody else, the owner's answer on the wire included. That answer
	// corrects the table, so nobody sees it twice.
	Remembered bool
	// Reason is a sentence for people, lower case, without a full stop.
	Reason string
}

// SilentNodes are the silent claims that may hide an owner: those of nodes that
// did not say whether they hold the address. The other witnesses only confirm
// what nodes say, or contradict it.
func (v Verdict) SilentNodes() []Claim {
	var nodes []Claim
	for _, c := range v.Silent {
		if c.Witness == Address {
			nodes = append(nodes, c)
		}
	}
	return nodes
}
