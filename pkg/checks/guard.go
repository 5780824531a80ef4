package checks

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// Aim is what a guard must know of a drill.
type Aim struct {
	VIP netip.Addr
	// Target is the name of the node that is to be disturbed.
	Target string
	// Owner is the node that must have the VIP, "" where any may: the target,
	// unless the target was chosen by hand.
	Owner string
}

// Objection is one reason why a drill must not begin, or why a cluster is not
// whole.
type Objection struct {
	// Check is the ID of the check behind it, "" where drills alone ask this.
	Check   string
	Message string
	Hint    string
}

// Objections are all of them; none means that all is well.
type Objections []Objection

// Reasons returns their messages.
func (o Objections) Reasons() []string {
	list := make([]string, 0, len(o))
	for _, objection := range o {
		list = append(list, objection.Message)
	}
	return list
}

// Err returns nil where there is no objection, else an error that names them
// all and has the first hint as its Hint.
func (o Objections) Err() error {
	if len(o) == 0 {
		return nil
	}
	i := slices.IndexFunc(o, func(x Objection) bool { return x.Hint != "" })
	if i < 0 {
		return errors.New(strings.Join(o.Reasons(), "; "))
	}
	return &objectionError{strings.Join(o.Reasons(), "; "), o[i].Hint}
}

type objectionError struct{ text, hint string }

func (e *objectionError) Error() string { return e.text }
func (e *objectionError) Hint() string  { return e.hint }

// guarded are the checks that must pass before a node is disturbed, and again
// when a drill ends.
var guarded = []string{
	"nodes-answer", "nodes-ready", "etcd-members-agree", "etcd-voters-healthy",
	"etcd-one-leader", "etcd-no-learner-or-alarm",
}

// minVoters is the fewest voters of etcd that a drill is done on: two bear no
// loss at all.
const minVoters = 3

// Guard returns what speaks against disturbing the target now. A fact that is
// not known speaks against it too.
func Guard(s *cluster.Snapshot, aim Aim) Objections {
	found := standing(s, aim)
	if f := endpointNotVIP(s); f.Status == Fail {
		found = append(found, Objection{"endpoint-not-vip", f.Message, f.Hint})
	}
	node := s.Node(aim.Target)
	switch {
	case node == nil:
		return append(found, Objection{Message: fmt.Sprintf("no control-plane node is called %q", aim.Target)})
	case !node.BootTime.Known(): // without it Whole could never tell that a reboot has happened
		found = append(found, Objection{Message: fmt.Sprintf("%s: boot time not known: %s", node.Name, node.BootTime.Err())})
	}
	return append(found, ownership(s, aim)...)
}

// Whole returns what is not as it was before the drill: what a guard asks for,
// with any owner, the same members, and every node's kube-apiserver ready.
// Where the fault reboots, the target must have booted since.
func Whole(now, before *cluster.Snapshot, aim Aim, reboots bool) Objections {
	aim.Owner = ""
	found := append(standing(now, aim), ownership(now, aim)...)
	if f := apiServerReady(now); f.Status != Pass {
		found = append(found, Objection{"apiserver-ready", f.Message, f.Hint})
	}
	was, is := roll(before), roll(now)
	if is != "" && was != is {
		found = append(found, Objection{Message: fmt.Sprintf("the members of etcd were %s, and are %s", was, is)})
	}
	if reboots {
		found = append(found, rebooted(now, before, aim.Target)...)
	}
	return found
}

// standing is what must hold before a drill and after it, whoever has the VIP.
func standing(s *cluster.Snapshot, aim Aim) Objections {
	var found Objections
	for _, c := range All() {
		if !slices.Contains(guarded, c.ID) {
			continue
		}
		if f := c.Judge(s); f.Status != Pass {
			found = append(found, Objection{c.ID, f.Message, f.Hint})
		}
	}
	e := EtcdVerdict(s)
	if e.Voters > 0 && e.Voters < minVoters {
		found = append(found, Objection{"etcd-quorum", fmt.Sprintf("etcd has %s, and a drill needs %d", vip.Count(e.Voters, "voter", "voters"), minVoters),
			"add control-plane nodes: two bear the loss of none"})
	}
	if status := e.Survives(aim.Target); status != Pass {
		word := map[Status]string{Fail: "loses its quorum without", Unknown: "may lose its quorum without"}[status]
		found = append(found, Objection{"etcd-quorum", fmt.Sprintf("etcd %s %s", word, aim.Target),
			"bring the other nodes back first: vipctl etcd --without " + aim.Target})
	}
	return found
}

// ownership asks for exactly one owner, whom every node confirms.
func ownership(s *cluster.Snapshot, aim Aim) Objections {
	const hint = "vipctl owner -o wide shows what each witness says"
	verdict := vip.Judge(s.Claims(aim.VIP))
	var message string
	switch {
	case verdict.Ownership != vip.Owned:
		message = fmt.Sprintf("%s is %s: %s", aim.VIP, verdict.Ownership, verdict.Reason)
	case len(verdict.SilentNodes()) > 0:
		message = fmt.Sprintf("%s is owned by %s, and %s", aim.VIP, verdict.Owners[0], silent(verdict))
	case aim.Owner != "" && verdict.Owners[0] != aim.Owner:
		message = fmt.Sprintf("%s has moved from %s to %s", aim.VIP, aim.Owner, verdict.Owners[0])
	default:
		return nil
	}
	return Objections{{"vip-one-owner", message, hint}}
}

// roll writes down who the members of etcd are.
func roll(s *cluster.Snapshot) string {
	var list []cluster.Member
	for _, m := range members(s) {
		list = append(list, m.Member)
	}
	return census(list)
}

// bootJitter is how far two readings of one boot's time may lie apart: Linux
// reckons it from the clock, in whole seconds, so a step of NTP moves it.
const bootJitter = 2 * time.Second

func rebooted(now, before *cluster.Snapshot, target string) Objections {
	was, is := before.Node(target), now.Node(target)
	if was == nil || is == nil {
		return Objections{{Message: fmt.Sprintf("%s is not among the nodes", target)}}
	}
	old, known := was.BootTime.Get()
	booted, ok := is.BootTime.Get()
	switch {
	case !known:
		return Objections{{Message: fmt.Sprintf("%s: boot time before the drill not known: %s", target, was.BootTime.Err())}}
	case !ok:
		return Objections{{Message: fmt.Sprintf("%s: boot time not known: %s", target, is.BootTime.Err())}}
	case booted.Sub(old) <= bootJitter:
		return Objections{{Message: fmt.Sprintf("%s has not booted since %s", target, old.UTC().Format(time.RFC3339))}}
	default:
		return nil
	}
}
