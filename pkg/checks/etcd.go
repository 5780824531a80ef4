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
	// Notes are what to know or put right that does not speak against its health.
	Notes []EtcdNote
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
	// Outsiders are the control-plane nodes that no member is on.
	Outsiders []EtcdOutsider
	// Differences are what the nodes do not list alike.
	Differences []EtcdDifference
	// OnVIP are the URLs of members that hold a VIP.
	OnVIP  []EtcdURL
	Alarms []cluster.Alarm
	// Stability compares the two samples of the members' status, nil where there
	// is one.
	Stability *EtcdStability
	// Indispensable are the voters of which none may be lost now, Doubtful those
	// of which that is not known; by host name, or else ID.
	Indispensable, Doubtful []string
	// Owners are the nodes that own a VIP, one an entry.
	Owners []EtcdVIPOwner
}

// EtcdNote is something to know of etcd.
type EtcdNote struct {
	// About is a stable word for programs: evenVoters, etcdVersions,
	// talosVersions, fragmentation, databaseSize, behind, leaderOwnsVIP,
	// elsewhere, silentNodes, alarmsNotListed, readVia, notAsked.
	About   string
	Message string // lower case, without a full stop
	Hint    string // what to do about it, "" where nothing is to be done
}

// EtcdVerdict judges etcd: its members are those that its leader's node lists,
// or the most nodes do; their health is what each says of itself, the last time
// that it was asked.
func EtcdVerdict(s *cluster.Snapshot) EtcdState {
	state := EtcdState{
		Members: members(s), Outsiders: outsiders(s), Differences: differences(s), OnVIP: urlsOnVIP(s),
		Alarms: alarms(s), Stability: stability(s),
	}
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
	state.Owners = vipOwners(s, state.Members)
	state.Indispensable, state.Doubtful = state.precious()
	state.Reasons = state.complaints(s)
	state.Notes = state.notes(s)
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

// complaints are everything that keeps etcd from being healthy, each once.
func (e *EtcdState) complaints(s *cluster.Snapshot) []string {
	var found []string
	if e.Voters == 0 {
		found = append(unlisted(s), "no node lists the members")
		if whole, why := s.Whole(); !whole {
			found = append(found, why)
		}
	}
	for _, m := range e.Members {
		switch {
		case m.Status == Pass:
		case m.Problem == noLeader:
			found = append(found, m.Node+" "+noLeader)
		default:
			found = append(found, m.Label()+": "+m.Problem)
		}
	}
	for _, o := range e.Outsiders {
		if o.Status == Fail {
			found = append(found, o.Node+": "+o.Problem)
		}
	}
	lists, _ := listsAlike(s)
	leaders, _ := leadersAlike(s)
	var advertised tally
	for _, v := range s.VIPs {
		advertisers(&advertised, s, v.Addr)
	}
	rest := learnersAndAlarms(s)
	all := slices.Concat(found, lists.said[Fail], advertised.said[Fail], leaders.said[Fail], rest.said[Fail])
	if e.Stability != nil {
		all = append(all, e.Stability.Findings...)
	}
	if len(all) == 0 { // a list may not be known though each member is healthy, and with that has told its alarms
		all = lists.notKnown(false)
	}
	return distinct(all)
}

// unlisted is what the nodes say of etcd where none lists its members.
func unlisted(s *cluster.Snapshot) (said []string) {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		status, ok := lastSaid(n).Get()
		switch {
		case ok && status.Leader == "":
			said = append(said, n.Name+" "+noLeader)
		case stopped(n):
			said = append(said, n.Name+": service etcd does not run: "+etcdService(n).State)
		case !n.Reachable.Value():
			said = append(said, n.Name+" does not answer")
		}
	}
	return said
}

// distinct drops what comes again, and what is empty.
func distinct(words []string) []string {
	var once []string
	for _, w := range words {
		if w != "" && !slices.Contains(once, w) {
			once = append(once, w)
		}
	}
	return once
}

// notes are what to know beyond the verdict.
func (e *EtcdState) notes(s *cluster.Snapshot) []EtcdNote {
	var notes []EtcdNote
	if f := votersOdd(s); f.Status == Warn {
		notes = append(notes, EtcdNote{"evenVoters", f.Message, f.Hint})
	}
	for _, o := range e.Outsiders {
		if o.Status != Fail {
			notes = append(notes, EtcdNote{"elsewhere", o.Node + ": " + o.Problem, ""})
		}
	}
	notes = append(notes, etcdNotAsked(s)...)
	notes = append(notes, e.parted(s)...)
	notes = append(notes, e.unlistedAlarms(s)...)
	notes = append(notes, viaNotes(s)...)
	notes = append(notes, versionNotes(s, e.Members)...)
	notes = append(notes, storeNotes(s, e.Members)...)
	if e.Stability != nil {
		notes = append(notes, e.Stability.Notes...)
	}
	return notes
}

// parted is for nodes that find no leader while others are silent: whether those
// have a quorum among themselves cannot be told from here. Who is in a hurry then
// may do what cannot be undone.
func (e *EtcdState) parted(s *cluster.Snapshot) []EtcdNote {
	var silent []string
	for i := range s.Nodes {
		if saidNothing(&s.Nodes[i]) {
			silent = append(silent, s.Nodes[i].Name)
		}
	}
	if e.Voters > 0 || len(silent) == 0 || nobodyIsLed(s) {
		return nil
	}
	names := strings.Join(silent, ", ")
	return []EtcdNote{{
		"silentNodes", "without " + names + " there is no quorum in sight, and whether there is one on their side is not known",
		"bring them back, or their network: etcd goes on by itself when more than half of its members see each other; a reset, and a bootstrap from a snapshot, only when they are lost for good",
	}}
}

// EtcdNotAsked is what the note is about that nobody wanted to know of etcd.
const EtcdNotAsked = "notAsked"

// etcdNotAsked is for a snapshot of whoever did not want to know of etcd: to look
// closer at it does not help.
func etcdNotAsked(s *cluster.Snapshot) []EtcdNote {
	asked := func(n cluster.Node) bool { return n.Etcd.Err() != neverAsked }
	if len(s.Nodes) == 0 || slices.ContainsFunc(s.Nodes, asked) {
		return nil
	}
	return []EtcdNote{{
		EtcdNotAsked, "no node was asked for its etcd: this is a snapshot for another question, such as that of vipctl owner",
		"vipctl etcd --save FILE, or vipctl doctor --save FILE, keeps what it takes",
	}}
}

// viaNotes say which nodes were read through another, though they were dialled. A
// proxy that the talosconfig asks for is none.
func viaNotes(s *cluster.Snapshot) []EtcdNote {
	var notes []EtcdNote
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Via != "" && n.ViaReason != "" && !s.Forwarded {
			message := n.Name + " was read through " + n.Via + ": " + n.ViaReason
			notes = append(notes, EtcdNote{"readVia", message, bringBack(s, n, n.ViaReason)})
		}
	}
	return notes
}

// versionNotes say where members run different versions. It is the rule while
// nodes are upgraded one by one, and no fault; it should not last.
func versionNotes(s *cluster.Snapshot, members []EtcdMember) []EtcdNote {
	hint := finishUpgrade(s)
	if len(grouped(members, func(m EtcdMember) string { return m.Talos })) < 2 {
		hint = "one Talos brings one etcd, unless cluster.etcd.image names another: talosctl -n " + everyNode(s) + " get etcdspecs -o yaml"
	}
	var notes []EtcdNote
	for _, kind := range []struct {
		about, what string
		of          func(EtcdMember) string
	}{
		{"etcdVersions", "etcd", func(m EtcdMember) string { return m.Said.Value().Version }},
		{"talosVersions", "Talos", func(m EtcdMember) string { return m.Talos }},
	} {
		if groups := grouped(members, kind.of); len(groups) > 1 {
			notes = append(notes, EtcdNote{kind.about, fmt.Sprintf("versions of %s differ: %s", kind.what, joinGroups(groups)), hint})
		}
	}
	return notes
}

// group is a value with the names of those that have it.
type group struct {
	value string
	names []string
}

// grouped groups members by a value of theirs, in the order of the values; "" is
// none.
func grouped(members []EtcdMember, of func(EtcdMember) string) []group {
	var groups []group
	for _, m := range members {
		value := of(m)
		if value == "" {
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.value == value })
		if i < 0 {
			groups, i = append(groups, group{value: value}), len(groups)
		}
		groups[i].names = append(groups[i].names, m.Label())
	}
	slices.SortFunc(groups, func(a, b group) int { return cmp.Compare(a.value, b.value) })
	return groups
}

func joinGroups(groups []group) string {
	words := make([]string, 0, len(groups))
	for _, g := range groups {
		words = append(words, g.value+" on "+strings.Join(g.names, ", "))
	}
	return strings.Join(words, "; ")
}
