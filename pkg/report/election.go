package report

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// ElectionReport is the election of a VIP, as etcd has it.
type ElectionReport struct {
	// Revision is etcd's, of the newest answer; the candidates are those of
	// that answer. It is 0 where nobody answered.
	Revision int64 `json:"revision"`
	// Asked are the nodes whose etcd was asked.
	Asked []ElectionAsked `json:"asked"`
	// Candidates are in the order in which they take the VIP.
	Candidates []ElectionCandidate `json:"candidates"`
	// Predicted is missing where nobody is the owner, nobody is next, or etcd
	// would have no quorum without the owner.
	Predicted *CrashPrediction `json:"predicted,omitempty"`
	// Notes say what keeps a prediction from coming true.
	Notes []string `json:"notes,omitempty"`
}

// ElectionAsked is a node whose etcd was asked. With an error it said nothing.
type ElectionAsked struct {
	Node     string `json:"node"`
	Revision int64  `json:"revision,omitempty"`
	Error    string `json:"error,omitempty"`
}

// ElectionCandidate is a key in the queue.
type ElectionCandidate struct {
	Position int    `json:"position"` // from 1 on
	Hostname string `json:"hostname"`
	// Node is the node of that host name, "" where there is none or more than
	// one.
	Node string `json:"node"`
	// Role is next for the first live candidate behind the owner. It takes the VIP
	// next unless the queue changes before: see the notes.
	Role string `json:"role" jsonschema:"enum=owner,enum=next,enum=waiting"`
	// Lease is in lower-case hexadecimal.
	Lease string `json:"lease"`
	// TTLSeconds is the lease's whole time, AgeSeconds how long ago it was last
	// kept alive, RemainingSeconds what is left. etcd counts what is left in
	// whole seconds: it is up to a second more, and the age as much less. They
	// are missing where Error says why.
	TTLSeconds       *float64 `json:"ttlSeconds,omitempty"`
	AgeSeconds       *float64 `json:"ageSeconds,omitempty"`
	RemainingSeconds *float64 `json:"remainingSeconds,omitempty"`
	// Ghost says that nobody waits behind this key. When its turn comes nobody
	// takes the VIP until the lease has run out.
	Ghost       bool   `json:"ghost"`
	GhostReason string `json:"ghostReason,omitempty"`
	Error       string `json:"error,omitempty"`
}

// CrashPrediction is for how long the VIP would be gone if its owner crashed at
// the moment of the answer.
type CrashPrediction struct {
	// Follower is for an owner that follows in etcd, Leader for one that leads.
	Follower Prediction `json:"follower"`
	Leader   Prediction `json:"leader"`
	// OwnerIsEtcdLeader says which of them holds now; it is missing where that
	// is not known.
	OwnerIsEtcdLeader *bool `json:"ownerIsEtcdLeader,omitempty"`
	// Now is the one that holds, or both together where it is not known.
	Now Prediction `json:"now"`
}

// newElection returns the report on the VIP's election, nil where nobody asked.
func newElection(s *cluster.Snapshot, addr netip.Addr) *ElectionReport {
	i := slices.IndexFunc(s.VIPs, func(v cluster.VIP) bool { return v.Addr == addr })
	if i < 0 || len(s.VIPs[i].Elections) == 0 {
		return nil
	}
	r := &ElectionReport{Asked: []ElectionAsked{}, Candidates: []ElectionCandidate{}}
	for _, view := range s.VIPs[i].Elections {
		revision := view.Election.Value().Revision
		r.Asked = append(r.Asked, ElectionAsked{view.Node, revision, view.Election.Err()})
		r.Revision = max(r.Revision, revision)
	}
	queue := s.Queue(addr)
	heir, ghosts := cluster.Heir(queue)
	for i, q := range queue {
		c := newCandidate(i, q)
		switch {
		case i == 0:
			c.Role = roleOwner
		case heir == &queue[i]:
			c.Role = roleNext
		}
		r.Candidates = append(r.Candidates, c)
	}
	if len(queue) > 0 {
		r.predict(s, queue, heir, ghosts)
	}
	return r
}

// The roles in a queue.
const (
	roleOwner   = "owner"
	roleNext    = "next" // the first behind the owner that is no ghost
	roleWaiting = "waiting"
)

func newCandidate(i int, q cluster.Queued) ElectionCandidate {
	c := ElectionCandidate{
		Position: i + 1, Hostname: q.Hostname, Node: q.Node, Role: roleWaiting, Lease: q.Lease,
		Ghost: q.Ghost != "", GhostReason: q.Ghost,
	}
	ttl, knowsTTL := q.TTL.Get()
	left, knowsLeft := q.Remaining.Get()
	if !knowsTTL || !knowsLeft {
		c.Error = cmp.Or(q.TTL.Err(), q.Remaining.Err())
		return c
	}
	c.TTLSeconds, c.RemainingSeconds, c.AgeSeconds = &ttl, &left, new(max(0, ttl-left))
	return c
}

// predict fills in how long a crash of the owner would take, or why that cannot
// be told, and what may keep it from coming true.
func (r *ElectionReport) predict(s *cluster.Snapshot, queue []cluster.Queued, heir *cluster.Queued, ghosts []cluster.Queued) {
	owner, etcd := queue[0], checks.EtcdVerdict(s)
	switch {
	case heir != nil && r.stuck(queue, heir):
		return
	case owner.Ghost != "" && heir != nil:
		r.Notes = append(r.Notes, "the first key is a ghost: "+heir.Hostname+" takes the VIP when nothing is left of the leases ahead of it")
		return
	case heir == nil:
		r.Notes = append(r.Notes, "nobody waits behind "+owner.Hostname+": if it crashes, the VIP stays away until a candidate is there")
		return
	case !r.bearsLoss(etcd, owner.Node):
		r.Notes = append(r.Notes, "etcd bears no loss now: if "+owner.Hostname+" crashes, the VIP stays away until there is a quorum again")
		return
	}
	if n := s.Node(owner.Node); n != nil && !n.Reachable.Known() {
		r.Notes = append(r.Notes, owner.Hostname+" did not answer: if it is gone already, that time is running")
	}
	if n := s.Node(heir.Node); n != nil && !n.Reachable.Known() {
		r.Notes = append(r.Notes, heir.Hostname+" did not answer: if it is gone as well, its lease must run out, too")
	}
	leads, lease := leadership(etcd, owner.Node), inSeconds(cmp.Or(owner.TTL.Value(), s.LeaseTTL))
	r.Predicted = &CrashPrediction{
		Follower: crashNow(owner, lease, ghosts, vip.OwnerFollows),
		Leader:   crashNow(owner, lease, ghosts, vip.OwnerLeads),
		Now:      crashNow(owner, lease, ghosts, leads),
	}
	if rivals(queue) > 1 && leads != vip.OwnerFollows {
		r.Notes = append(r.Notes, reordered(owner.Hostname, heir.Hostname, leads))
	}
	if leads != vip.LeadershipUnknown {
		r.Predicted.OwnerIsEtcdLeader = new(leads == vip.OwnerLeads)
	}
}

// rivals is how many may take the VIP when the first is gone.
func rivals(queue []cluster.Queued) (n int) {
	for _, q := range queue[1:] {
		if q.Ghost == "" {
			n++
		}
	}
	return n
}

// reordered says what becomes of the queue where the owner leads etcd. A candidate
// whose member finds no leader for a while may lose its session, and with that its
// place: it queues up again at the end. In the lab another than the next was seen to
// take the VIP.
func reordered(owner, heir string, leads vip.Leadership) string {
	text := owner + " leads etcd: candidates may lose their places while a new leader is elected, so that another than " + heir + " takes the VIP"
	if leads == vip.LeadershipUnknown {
		return "if " + text
	}
	return text
}

// stuck notes the keys ahead of the heir that no time takes away.
func (r *ElectionReport) stuck(queue []cluster.Queued, heir *cluster.Queued) bool {
	before := len(r.Notes)
	for i := range queue {
		if heir == &queue[i] {
			break
		}
		if queue[i].Lease == "0" {
			r.Notes = append(r.Notes, "a key of "+queue[i].Hostname+" has no lease, and stays until somebody deletes it: before that "+
				heir.Hostname+" does not take the VIP")
		}
	}
	return len(r.Notes) > before
}

// bearsLoss says that etcd would keep its quorum without the owner, as far as is
// known; an owner that is gone already costs nothing more. A member that told of
// the election is there, whether or not its node's Talos API answers.
func (r *ElectionReport) bearsLoss(etcd checks.EtcdState, owner string) bool {
	others := 0
	for _, a := range r.Asked {
		if a.Error == "" && a.Node != owner {
			others++
		}
	}
	switch {
	case etcd.Voters == 0 || etcd.Health == checks.EtcdUnknown:
		return true
	case owner == "": // it may be any of them
		return etcd.Tolerance > 0 || others-1 >= etcd.Quorum
	default:
		return etcd.Survives(owner) == checks.Pass || others >= etcd.Quorum
	}
}

// leadership says whether the election's owner leads etcd.
func leadership(etcd checks.EtcdState, owner string) vip.Leadership {
	for _, m := range etcd.Members {
		switch {
		case !m.Leader || m.Node == "" || owner == "":
		case m.Node == owner:
			return vip.OwnerLeads
		default:
			return vip.OwnerFollows
		}
	}
	return vip.LeadershipUnknown
}

// crashNow predicts a crash of the owner, whose lease lasts that long, at the
// moment when etcd was asked. Where it did not tell what is left of a lease, it may
// be all of it; a ghost's is taken to be as long as the owner's then, and may be
// gone as well.
func crashNow(owner cluster.Queued, lease time.Duration, ghosts []cluster.Queued, leads vip.Leadership) Prediction {
	var p vip.Prediction
	if left, ok := owner.Remaining.Get(); ok {
		least, most := make([]time.Duration, len(ghosts)), make([]time.Duration, len(ghosts))
		for i, g := range ghosts {
			least[i] = inSeconds(g.Remaining.Value())
			if most[i] = least[i]; !g.Remaining.Known() {
				most[i] = lease
			}
		}
		p = vip.PredictCrashNow(lease, inSeconds(left), least, leads)
		p.Upper = vip.PredictCrashNow(lease, inSeconds(left), most, leads).Upper
	} else {
		p = vip.PredictCrash(lease, leads)
	}
	return Prediction{LowerSeconds: p.Lower.Seconds(), UpperSeconds: p.Upper.Seconds(), Basis: p.Basis}
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
