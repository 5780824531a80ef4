package report

import (
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// EtcdReport is the health of etcd and of each member.
type EtcdReport struct {
	Meta
	TakenAt time.Time `json:"takenAt"`
	Context string    `json:"context,omitempty"`
	Verdict string    `json:"verdict" jsonschema:"enum=healthy,enum=degraded,enum=noQuorum,enum=unknown"`
	// Reasons are why it is not healthy.
	Reasons []string `json:"reasons"`
	// Notes are what to know or put right that does not speak against its health.
	Notes []EtcdNote `json:"notes"`
	// Voters are the voting members, Healthy those known to be healthy.
	Voters  int `json:"voters"`
	Healthy int `json:"healthy"`
	// Quorum is the majority of Voters; Tolerance how many of the healthy
	// voters may be lost now.
	Quorum    int `json:"quorum"`
	Tolerance int `json:"tolerance"`
	// Indispensable are the voters of which none may be lost now, Doubtful those
	// of which that is not known. Both are empty where there is no quorum.
	Indispensable []string `json:"indispensable"`
	Doubtful      []string `json:"doubtful"`
	// Leader is its host name, "" where none is known.
	Leader  string       `json:"leader"`
	Members []EtcdMember `json:"members"`
	// Outsiders are the control-plane nodes that no listed member is on.
	Outsiders []EtcdOutsider `json:"outsiders"`
	// Differences are what the nodes do not list alike.
	Differences []EtcdDifference `json:"differences"`
	// URLsOnVIP are the URLs of members that hold a VIP.
	URLsOnVIP []EtcdURL       `json:"urlsOnVIP"`
	Alarms    []cluster.Alarm `json:"alarms"`
	// Raft is what two samples of the members' status tell; missing where there
	// was one.
	Raft  *EtcdRaft  `json:"raft,omitempty"`
	Views []EtcdView `json:"views"`
	// Without is missing where nobody asked.
	Without *EtcdWithout `json:"without,omitempty"`
}

// EtcdNote is something to know of etcd.
type EtcdNote struct {
	// About is a word for programs; there may be more of them in time.
	About   string `json:"about"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// EtcdMember is one member, with what it says of itself.
type EtcdMember struct {
	ID       string `json:"id"`
	Hostname string `json:"hostname"`
	Node     string `json:"node,omitempty"`
	// Via is the endpoint through which its node was read, and ViaReason why that
	// was not read directly.
	Via       string `json:"via,omitempty"`
	ViaReason string `json:"viaReason,omitempty"`
	Learner   bool   `json:"learner"`
	Leader    bool   `json:"leader"`
	Health    string `json:"health" jsonschema:"enum=healthy,enum=unhealthy,enum=unknown"`
	Version   string `json:"version,omitempty"`
	// TalosVersion is that of its node.
	TalosVersion string   `json:"talosVersion,omitempty"`
	PeerURLs     []string `json:"peerURLs"`
	ClientURLs   []string `json:"clientURLs"`
	Term         uint64   `json:"term"`
	Index        uint64   `json:"index"`
	// Lag is how many entries of its own log it has not applied yet.
	Lag uint64 `json:"lag"`
	// Behind is by how many entries its log is shorter than the longest seen.
	// Members are not asked at one instant, so that a few mean nothing.
	Behind  uint64 `json:"behind"`
	DBSize  int64  `json:"dbSizeBytes"`
	DBInUse int64  `json:"dbInUseBytes"`
	// Fragmentation is the share of the database's file that holds nothing.
	Fragmentation float64 `json:"fragmentation"`
	Error         string  `json:"error,omitempty"`
}

// EtcdOutsider is a control-plane node that no listed member is on.
type EtcdOutsider struct {
	Node string `json:"node"`
	// ID is the member that its etcd says it is.
	ID string `json:"id,omitempty"`
	// Via and ViaReason are as those of a member.
	Via       string `json:"via,omitempty"`
	ViaReason string `json:"viaReason,omitempty"`
	// Answers is false where the node does not, so that it may be another name of
	// a node that has a member.
	Answers bool   `json:"answers"`
	Error   string `json:"error"`
}

// EtcdDifference is something that the nodes do not list alike.
type EtcdDifference struct {
	Member string `json:"member"`
	ID     string `json:"id"`
	// What is "listed" where some do not list the member at all, else what of it
	// differs, such as "learner" or "peer URL https://192.0.2.1:2380".
	What        string   `json:"what"`
	ListedBy    []string `json:"listedBy"`
	MissingFrom []string `json:"missingFrom"`
}

// EtcdURL is a URL of a member.
type EtcdURL struct {
	Member string `json:"member"`
	ID     string `json:"id"`
	URL    string `json:"url"`
}

// EtcdRaft compares two samples of the members' status.
type EtcdRaft struct {
	// Seconds are between the samples.
	Seconds float64 `json:"seconds"`
	// TermBefore and TermAfter are the highest term of each sample: where it grows,
	// there was an election.
	TermBefore uint64 `json:"termBefore"`
	TermAfter  uint64 `json:"termAfter"`
	// LeaderBefore and LeaderAfter are member IDs, "" where none is known or the
	// members do not agree.
	LeaderBefore string `json:"leaderBefore"`
	LeaderAfter  string `json:"leaderAfter"`
	// EntriesPerSecond is how fast the longest log grew.
	EntriesPerSecond float64 `json:"entriesPerSecond"`
}

// EtcdView is the list of members as one node has it, as IDs.
type EtcdView struct {
	Node    string   `json:"node"`
	Members []string `json:"members"`
	Error   string   `json:"error,omitempty"`
}

// EtcdWithout answers: and if these were gone?
type EtcdWithout struct {
	// Nodes are those that would be gone, by their names; a member that no node is
	// known of by its ID.
	Nodes []string `json:"nodes"`
	// Quorum: pass, there would be one; fail, there would be none.
	Quorum string `json:"quorum" jsonschema:"enum=pass,enum=fail,enum=unknown"`
	// Healthy are the voters left that are known to be healthy, Silent those left
	// that could not be asked, and Needed make a quorum.
	Healthy int `json:"healthy"`
	Silent  int `json:"silent"`
	Needed  int `json:"needed"`
	// Tolerance is how many of the healthy voters may be lost after that.
	Tolerance int `json:"tolerance"`
	// Leader says that the leader would be gone too.
	Leader bool `json:"leader"`
	// VIPs are those whose owner would be gone.
	VIPs []EtcdLostVIP `json:"vips"`
}

// EtcdLostVIP is a VIP whose owner would be gone.
type EtcdLostVIP struct {
	VIP   string `json:"vip"`
	Owner string `json:"owner"`
	// Predicted is how long the VIP would be gone if the owner crashed, missing
	// where there would be no quorum to elect another, or that is not known.
	Predicted *Prediction `json:"predicted,omitempty"`
}

// NewEtcd returns the document on etcd. lease is the lease of the VIP's owner, 0
// for the default.
func NewEtcd(s *cluster.Snapshot, lease time.Duration) *EtcdReport {
	e := checks.EtcdVerdict(s)
	doc := &EtcdReport{
		Meta: meta(KindEtcd), TakenAt: s.TakenAt, Context: s.Context,
		Verdict: e.Health.String(), Reasons: list(e.Reasons), Notes: []EtcdNote{},
		Voters: e.Voters, Healthy: e.Healthy, Quorum: e.Quorum, Tolerance: e.Tolerance, Leader: e.Leader,
		Indispensable: list(e.Indispensable), Doubtful: list(e.Doubtful), Alarms: list(e.Alarms),
		Members: []EtcdMember{}, Outsiders: []EtcdOutsider{}, Differences: []EtcdDifference{}, URLsOnVIP: []EtcdURL{},
		Raft: newEtcdRaft(e.Stability), Views: newEtcdViews(s),
	}
	for _, m := range e.Members {
		doc.Members = append(doc.Members, newEtcdMember(m))
	}
	for _, o := range e.Outsiders {
		doc.Outsiders = append(doc.Outsiders, EtcdOutsider{
			Node: o.Node, ID: o.ID, Via: o.Via, ViaReason: o.ViaReason, Answers: o.Status == checks.Fail, Error: o.Problem,
		})
	}
	for _, d := range e.Differences {
		doc.Differences = append(doc.Differences, EtcdDifference{d.Member, d.ID, d.What, list(d.ListedBy), list(d.MissingFrom)})
	}
	for _, u := range e.OnVIP {
		doc.URLsOnVIP = append(doc.URLsOnVIP, EtcdURL(u))
	}
	for _, n := range slices.Concat(e.Notes, e.LeaderOwnerNotes(lease)) {
		doc.Notes = append(doc.Notes, EtcdNote(n))
	}
	return doc
}

// SetWithout adds what the loss of some nodes would mean.
func (e *EtcdReport) SetWithout(loss checks.EtcdLoss, lease time.Duration) {
	e.Without = &EtcdWithout{
		Nodes: list(loss.Names), Quorum: loss.Quorum.String(), Healthy: loss.Healthy, Silent: loss.Silent,
		Needed: loss.Needed, Tolerance: loss.Tolerance, Leader: loss.Leader, VIPs: []EtcdLostVIP{},
	}
	for _, v := range loss.VIPs {
		lost := EtcdLostVIP{VIP: v.VIP.String(), Owner: v.Node}
		if loss.Quorum == checks.Pass {
			p := vip.PredictCrash(lease, v.Leadership)
			lost.Predicted = &Prediction{LowerSeconds: p.Lower.Seconds(), UpperSeconds: p.Upper.Seconds(), Basis: p.Basis}
		}
		e.Without.VIPs = append(e.Without.VIPs, lost)
	}
}

func newEtcdMember(m checks.EtcdMember) EtcdMember {
	health := map[checks.Status]string{checks.Pass: "healthy", checks.Fail: "unhealthy"}[m.Status]
	said := m.Said.Value()
	return EtcdMember{
		ID: m.ID, Hostname: m.Hostname, Node: m.Node, Via: m.Via, ViaReason: m.ViaReason,
		Learner: m.Learner, Leader: m.Leader,
		Health: orElse(health, "unknown"), Version: said.Version, TalosVersion: m.Talos,
		PeerURLs: list(m.PeerURLs), ClientURLs: list(m.ClientURLs), Term: said.Term, Index: said.Index,
		Lag: said.Index - min(said.Index, said.AppliedIndex), Behind: m.Behind,
		DBSize: said.DBSize, DBInUse: said.DBInUse, Fragmentation: m.Fragmentation(), Error: m.Problem,
	}
}

func newEtcdRaft(s *checks.EtcdStability) *EtcdRaft {
	if s == nil {
		return nil
	}
	return &EtcdRaft{s.Seconds, s.TermBefore, s.TermAfter, s.LeaderBefore, s.LeaderAfter, s.EntriesPerSecond}
}

func newEtcdViews(s *cluster.Snapshot) []EtcdView {
	views := []EtcdView{}
	for i := range s.Nodes {
		view := EtcdView{Node: s.Nodes[i].Name, Members: []string{}, Error: s.Nodes[i].Members.Err()}
		for _, m := range s.Nodes[i].Members.Value() {
			view.Members = append(view.Members, m.ID)
		}
		views = append(views, view)
	}
	return views
}

// list is the list, and [] in JSON where it is nil.
func list[T any](l []T) []T { return append([]T{}, l...) }
