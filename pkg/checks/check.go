// Package checks judges a snapshot of a cluster: the checks of the doctor, the
// health of etcd, and whether a drill may begin or has ended well.
//
// It does no I/O. A fact that could not be collected is never taken for good:
// what rests on it is Unknown, or Skip where the reader lacks the rights.
package checks

import (
	"cmp"
	"slices"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// Status is what a check found. The zero value is Unknown, which never counts
// as good.
type Status int

// The statuses.
const (
	Unknown Status = iota // a fact that it rests on could not be collected
	Pass                  // its title is true
	Warn                  // works, and should be put right
	Fail                  // its title is not true
	Skip                  // does not apply here, or takes rights that the reader lacks
)

// String returns the word used in output and JSON.
func (s Status) String() string {
	switch s {
	case Pass:
		return "pass"
	case Warn:
		return "warn"
	case Fail:
		return "fail"
	case Skip:
		return "skip"
	default:
		return "unknown"
	}
}

// Category groups checks by what they look at.
type Category string

// The categories, in the order in which they are shown.
const (
	Talos      Category = "talos"
	VIP        Category = "vip"
	Kubernetes Category = "kubernetes"
	Etcd       Category = "etcd"
)

// Check is one thing that a healthy cluster keeps to.
type Check struct {
	// ID is stable and in kebab-case; it is also its heading in docs/checks.md.
	ID       string
	Category Category
	// Title is a sentence that is true when the check passes.
	Title string
	// Needs says in a few words what access its facts take.
	Needs string
	// Judge is a pure function of the snapshot.
	Judge func(*cluster.Snapshot) Finding
}

// Doc returns the address of the check's documentation.
func (c Check) Doc() string {
	return "https://github.com/vipctl/vipctl/blob/main/docs/checks.md#" + c.ID
}

// Finding is what one check found.
type Finding struct {
	Status Status
	// Message says what was seen, lower case, without a full stop; never "".
	Message string
	// Hint says what to do about it, "" where nothing is to be done.
	Hint string
}

// Result is a check with its finding.
type Result struct {
	Check
	Finding
}

// Run judges the snapshot by each check, in their order. No message refers to a
// check that is not among them for why a node is silent.
func Run(s *cluster.Snapshot, list []Check) []Result {
	results := make([]Result, 0, len(list))
	for _, c := range list {
		results = append(results, Result{Check: c, Finding: c.Judge(s)})
	}
	spellOut(s, results)
	return results
}

// Worst returns the verdict on all results: Fail, Warn or Pass, nothing else.
// Unknown counts as Warn. Skip counts for nothing, so it takes at least one
// Pass to pass; no results at all are a Warn.
func Worst(results []Result) Status {
	if len(results) == 0 {
		return Warn
	}
	worst := slices.MaxFunc(results, func(a, b Result) int {
		return cmp.Compare(a.Status.weight(), b.Status.weight())
	})
	switch worst.Status {
	case Fail, Pass:
		return worst.Status
	default:
		return Warn
	}
}

// weight orders statuses by how much they count against a verdict. Skip is
// lightest: beside a Pass it is silent, alone it is not good.
func (s Status) weight() int {
	return slices.Index([]Status{Skip, Pass, Unknown, Warn, Fail}, s)
}
