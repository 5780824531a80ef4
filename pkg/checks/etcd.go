package checks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/quorum"
)

// EtcdHealth is the verdict on etcd as a whole. The zero value is EtcdUnknown,
// which never counts as good.
type EtcdHealth int

// The kinds of health.
const (
	EtcdUnknown  EtcdHealth = iota // too few could be asked
	EtcdHealthy                    // every member is a healthy voter, and all agree
	EtcdDegraded                   // there is a quorum, and something is wrong or not known
	EtcdNoQuorum                   // too few voters are healthy, whatever the silent ones are
)

// String returns the word used in output and JSON: healthy, degraded,
// noQuorum, unknown.
func (h EtcdHealth) String() string {
	switch h {
	case EtcdHealthy:
		return "healthy"
	case EtcdDegraded:
		return "degraded"
	case EtcdNoQuorum:
		return "noQuorum"
	default:
		return "unknown"
	}
}

// EtcdState is etcd as the snapshot shows it.
type EtcdState struct {
	Health EtcdHealth
	// Reasons are why it is not healthy, lower case; none where it is.
	Reasons []string
	// Voters is the number of voting members, Healthy of those known to be
	// healthy. Both are 0 where no node listed the members.
	Voters, Healthy int
	// Quorum is the majority of Voters, and Tolerance how many of the healthy
	// voters may be lost now, never below 0.
	Quorum, Tolerance int
	// Leader is the host name of the leader, "" where none is known or the
	// members do not agree.
	Leader string
	// Members are in the order of their host names.
	Members []EtcdMember
	Alarms  []cluster.Alarm
}

// EtcdMember is one member of etcd with what it says of itself.
type EtcdMember struct {
	cluster.Member
	// Node is the name of its node, "" where no node of the snapshot fits.
	Node string
	// Said is the member's own status.
	Said   cluster.Seen[cluster.EtcdStatus]
	Leader bool
	// Status is Pass, Fail, or Unknown where it could not be asked; Problem
	// says why it is not Pass.
	Status  Status
	Problem string
}

// EtcdVerdict judges etcd: its members are those of the first node that lists
// them, their health is what each says of itself.
func EtcdVerdict(s *cluster.Snapshot) EtcdState {
	state := EtcdState{Members: members(s), Alarms: alarms(s)}
	for _, m := range state.Members {
		if m.Learner {
			continue
		}
		state.Voters++
		if m.Status == Pass {
			state.Healthy++
		}
	}
	if state.Voters > 0 {
		state.Quorum = quorum.Majority(state.Voters)
		state.Tolerance = max(0, state.Healthy-state.Quorum)
	}
	state.Leader = markLeader(state.Members)
	state.Reasons = state.complaints(s)
	state.Health = state.health()
	if len(state.Members) == 0 && nobodyIsLed(s) {
		state.Health = EtcdNoQuorum
	}
	return state
}

func (e *EtcdState) health() EtcdHealth {
	switch {
	case e.Voters == 0:
		return EtcdUnknown
	case len(e.Reasons) == 0:
		return EtcdHealthy
	case e.Healthy >= e.Quorum:
		return EtcdDegraded
	case e.Survives() == Fail:
		return EtcdNoQuorum
	default:
		return EtcdUnknown
	}
}

// Survives says whether etcd keeps its quorum without the members of those
// host names: Pass, Fail, or Unknown where it hangs on members that could not
// be asked.
func (e *EtcdState) Survives(without ...string) Status {
	var healthy, silent int
	for _, m := range e.Members {
		switch {
		case m.Learner || slices.Contains(without, m.Hostname) || slices.Contains(without, m.Node):
		case m.Status == Pass:
			healthy++
		case m.Status == Unknown:
			silent++
		}
	}
	switch {
	case e.Voters > 0 && healthy >= e.Quorum:
		return Pass
	case e.Voters == 0 || healthy+silent >= e.Quorum:
		return Unknown
	default:
		return Fail
	}
}

// complaints are everything that keeps etcd from being healthy.
func (e *EtcdState) complaints(s *cluster.Snapshot) []string {
	var found []string
	if e.Voters == 0 {
		found = append(found, "no node lists the members")
	}
	for _, m := range e.Members {
		if m.Status != Pass {
			found = append(found, cmp.Or(m.Hostname, m.ID)+": "+m.Problem)
		}
	}
	for _, judge := range []func(*cluster.Snapshot) Finding{membersAgree, oneLeader, noLearnerOrAlarm} {
		if f := judge(s); f.Status == Fail || f.Status == Warn {
			found = append(found, f.Message)
		}
	}
	return found
}

// members joins the members of the first list with what each says of itself.
func members(s *cluster.Snapshot) []EtcdMember {
	i := slices.IndexFunc(s.Nodes, func(n cluster.Node) bool { return len(n.Members.Value()) > 0 })
	if i < 0 {
		return nil
	}
	var list []EtcdMember
	for _, m := range s.Nodes[i].Members.Value() {
		member := EtcdMember{Member: m}
		if n := nodeOf(s, m); n != nil {
			member.Node, member.Said = n.Name, n.Etcd
			member.Status, member.Problem = memberHealth(n)
		} else {
			member.Problem = "no control-plane node of this name was seen"
		}
		list = append(list, member)
	}
	slices.SortFunc(list, func(a, b EtcdMember) int {
		return strings.Compare(a.Hostname+a.ID, b.Hostname+b.ID)
	})
	return list
}

// nodeOf finds a member's node: by the ID that its etcd says it has, else by
// its name.
func nodeOf(s *cluster.Snapshot, m cluster.Member) *cluster.Node {
	for i := range s.Nodes {
		if said, ok := s.Nodes[i].Etcd.Get(); ok && said.MemberID == m.ID {
			return &s.Nodes[i]
		}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if !n.Etcd.Known() && m.Hostname != "" && (n.Name == m.Hostname || n.Hostname.Value() == m.Hostname) {
			return n
		}
	}
	return nil
}

// memberHealth judges one member by its own status, and by Talos's health
// check of its service.
func memberHealth(n *cluster.Node) (status Status, problem string) {
	said, ok := n.Etcd.Get()
	i := slices.IndexFunc(n.Services.Value(), func(s cluster.Service) bool { return s.ID == "etcd" })
	switch {
	case i >= 0 && n.Services.Value()[i].HealthKnown && !n.Services.Value()[i].Healthy:
		return Fail, "Talos finds service etcd not healthy"
	case !ok:
		return Unknown, "status not known: " + n.Etcd.Err()
	case said.Leader == "":
		return Fail, "knows of no leader"
	case len(said.Errors) > 0:
		return Fail, strings.Join(said.Errors, ", ")
	default:
		return Pass, ""
	}
}

// markLeader marks the leader that all who know of one agree on, and returns
// its host name.
func markLeader(list []EtcdMember) string {
	leader := ""
	for _, m := range list {
		named := m.Said.Value().Leader
		if named != "" && leader != "" && named != leader {
			return ""
		}
		leader = orElse(named, leader)
	}
	for i := range list {
		if leader != "" && list[i].ID == leader {
			list[i].Leader = true
			return list[i].Hostname
		}
	}
	return ""
}

// alarms are etcd's alarms. Each node's answer is of the whole cluster: the list
// goes through raft, and a member's own status needs no quorum. One is enough,
// and NONE is none.
func alarms(s *cluster.Snapshot) []cluster.Alarm {
	var list []cluster.Alarm
	for i := range s.Nodes {
		for _, a := range slices.Concat(s.Nodes[i].Alarms.Value(), s.Nodes[i].Etcd.Value().Alarms) {
			if a.Alarm != "" && a.Alarm != "NONE" && !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	return list
}

// nobodyIsLed says that every node's etcd answered, and none has a leader.
// The members are not listed then: etcd lists them through its leader.
func nobodyIsLed(s *cluster.Snapshot) bool {
	for i := range s.Nodes {
		if said, ok := s.Nodes[i].Etcd.Get(); !ok || said.Leader != "" {
			return false
		}
	}
	return len(s.Nodes) > 0
}

func quorumSurvives(s *cluster.Snapshot) Finding {
	e := EtcdVerdict(s)
	if e.Voters == 0 {
		return Finding{Unknown, "the members of etcd are not known", ""}
	}
	var t tally
	for _, m := range e.Members {
		switch status := e.Survives(m.Hostname); {
		case m.Learner:
		case status == Fail:
			t.say(Fail, "%s must not be lost", m.Hostname)
		case status == Unknown:
			t.say(Unknown, "not known whether %s may be lost", m.Hostname)
		default:
			t.pass()
		}
	}
	f := t.finding(fmt.Sprintf("%d of %d voters are healthy, %d make a quorum", e.Healthy, e.Voters, e.Quorum),
		"three control-plane nodes bear the loss of one, two bear none: add nodes, or bring back those that are down")
	if f.Status == Fail {
		f.Message = fmt.Sprintf("%d of %d voters are healthy, %d make a quorum: %s", e.Healthy, e.Voters, e.Quorum, f.Message)
	}
	return f
}
