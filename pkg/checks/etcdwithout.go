package checks

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// EtcdLoss answers: and if these were gone?
type EtcdLoss struct {
	// Names are the nodes that would be gone, or members that no node is known
	// of, each once, in the order asked.
	Names []string
	// Quorum is Pass where it is kept, Fail where it is lost, and Unknown where
	// that hangs on members that could not be asked.
	Quorum Status
	// Healthy are the voters left that are known to be healthy, Silent those left
	// that could not be asked; Needed make a quorum. They are 0 where the members
	// are not known.
	Healthy, Silent, Needed int
	// Tolerance is how many of the healthy voters may be lost after that.
	Tolerance int
	// Leader says that the leader is among them.
	Leader bool
	// VIPs are those whose owner is among them.
	VIPs []EtcdVIPOwner
}

// Survives says whether etcd keeps its quorum without the members of those
// host names, nodes or IDs: Pass, Fail, or Unknown where it hangs on members
// that could not be asked.
func (e *EtcdState) Survives(without ...string) Status {
	healthy, silent := e.left(without)
	switch {
	case e.Voters > 0 && healthy >= e.Quorum:
		return Pass
	case e.Voters == 0 || healthy+silent >= e.Quorum:
		return Unknown
	default:
		return Fail
	}
}

// left counts the voters that would be left: those known to be healthy, and
// those that could not be asked.
func (e *EtcdState) left(without []string) (healthy, silent int) {
	for _, m := range e.Members {
		switch {
		case m.Learner || m.among(without):
		case m.Status == Pass:
			healthy++
		case m.Status == Unknown:
			silent++
		}
	}
	return healthy, silent
}

// among says whether one of the names is the member's: its node's, or its own
// host name where it has no node, for it may be listed under another node's name.
// Members that never started have no host name.
func (m EtcdMember) among(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return name != "" && (name == m.ID || name == cmp.Or(m.Node, m.Hostname))
	})
}

// precious names the voters whose loss alone would cost the quorum, and those of
// which that is not known. Without a quorum there is nothing left to lose.
func (e *EtcdState) precious() (indispensable, doubtful []string) {
	for _, m := range e.Members {
		switch {
		case m.Learner || e.Survives() == Fail:
		case e.Survives(m.ID) == Fail:
			indispensable = append(indispensable, m.Label())
		case e.Survives(m.ID) == Unknown:
			doubtful = append(doubtful, m.Label())
		}
	}
	return indispensable, doubtful
}

// Without says what the loss of those would mean. Each may be a node's name, its
// host name or an address of its own, or a member's host name, ID or address.
// One that is none of these is an *UnknownNameError.
func (e *EtcdState) Without(s *cluster.Snapshot, asked ...string) (EtcdLoss, error) {
	var loss EtcdLoss
	for _, name := range asked {
		found, ok := e.resolve(s, name)
		if !ok {
			return EtcdLoss{}, &UnknownNameError{"node or member of etcd", name, e.knownNames(s)}
		}
		if !slices.Contains(loss.Names, found) {
			loss.Names = append(loss.Names, found)
		}
	}
	loss.Quorum, loss.Needed = e.Survives(loss.Names...), e.Quorum
	loss.Healthy, loss.Silent = e.left(loss.Names)
	loss.Tolerance = max(0, loss.Healthy-loss.Needed)
	loss.Leader = slices.ContainsFunc(e.Members, func(m EtcdMember) bool { return m.Leader && m.among(loss.Names) })
	for _, o := range e.Owners {
		if slices.Contains(loss.Names, o.Node) {
			if loss.Leader { // an election renews every lease, whoever held it
				o.Leadership = vip.OwnerLeads
			}
			loss.VIPs = append(loss.VIPs, o)
		}
	}
	return loss, nil
}

// resolve returns the name of the node that is meant, or the ID of a member that
// no node is known of. A host name that several nodes have means none of them.
func (e *EtcdState) resolve(s *cluster.Snapshot, name string) (string, bool) {
	if name == "" { // which a node may seem to be called whose host name is not known
		return "", false
	}
	if s.Node(name) != nil {
		return name, true
	}
	var called []string
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if name == n.Hostname.Value() || calls(n, s.VIPs, name) {
			called = append(called, n.Name)
		}
	}
	if len(called) > 0 {
		return called[0], len(called) == 1
	}
	addr, err := netip.ParseAddr(name)
	for _, m := range e.Members {
		named := name == m.Hostname || name == m.ID
		at := err == nil && slices.ContainsFunc(urlsOf(m.Member), func(url string) bool { return hostOf(url) == addr })
		if named || at && !isVIP(s.VIPs, addr) {
			if m.Node != "" {
				return m.Node, true
			}
			return m.ID, true
		}
	}
	return "", false
}

// calls says whether name is an address of the node's own. A VIP is nobody's own.
func calls(n *cluster.Node, vips []cluster.VIP, name string) bool {
	addr, err := netip.ParseAddr(name)
	if err != nil || isVIP(vips, addr) {
		return false
	}
	return n.Addr == addr || n.Holds(addr).Value() != ""
}

func isVIP(vips []cluster.VIP, addr netip.Addr) bool {
	return slices.ContainsFunc(vips, func(v cluster.VIP) bool { return v.Addr == addr })
}

// knownNames are what to choose from, for a hint.
func (e *EtcdState) knownNames(s *cluster.Snapshot) []string {
	var names []string
	for i := range s.Nodes {
		names = append(names, s.Nodes[i].Name)
	}
	for _, m := range e.Members {
		if m.Node == "" {
			names = append(names, m.Label())
		}
	}
	return names
}

// LeaderOwnerNotes say of each VIP whose owner leads etcd that a crash takes
// longer then. Where a crash takes the quorum, or may take it, nobody takes over,
// and how long that takes is no matter. lease is the lease's time to live, 0 for
// the default.
func (e *EtcdState) LeaderOwnerNotes(lease time.Duration) []EtcdNote {
	leads, follows := vip.PredictCrash(lease, vip.OwnerLeads), vip.PredictCrash(lease, vip.OwnerFollows)
	var notes []EtcdNote
	for _, o := range e.Owners {
		if o.Leadership == vip.OwnerLeads && e.Survives(o.Node) == Pass {
			notes = append(notes, EtcdNote{"leaderOwnsVIP", fmt.Sprintf("%s leads etcd and owns %s: a crash takes %s instead of %s",
				o.Node, o.VIP, span(leads), span(follows)),
				"talosctl -n " + o.At + " etcd forfeit-leadership moves the leadership, and the VIP stays"})
		}
	}
	return notes
}

// span writes a prediction as "61 - 64 s".
func span(p vip.Prediction) string {
	return vip.Figure(p.Lower) + " - " + vip.Seconds(p.Upper)
}
