package checks

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// Silence is why a claim with an error says nothing. The zero value is that it
// does say something.
type Silence string

// The kinds of silence.
const (
	// NotAsked is that the question was not put, for want of a right, of a way, or
	// of anybody who wanted to know.
	NotAsked Silence = "notAsked"
	// NoAnswer is that it was put in vain, or refused.
	NoAnswer Silence = "noAnswer"
	// Unclear is that there was an answer, from which it cannot be told whom it
	// names.
	Unclear Silence = "unclear"
)

// SilenceOf says why a claim of the snapshot on that VIP says nothing.
func SilenceOf(s *cluster.Snapshot, addr netip.Addr, c vip.Claim) Silence {
	asked := false
	switch {
	case c.Err == "":
		return ""
	case answered(s, addr, c.Witness), toldElection(s, addr, c):
		return Unclear
	case c.Witness == vip.ARP: // else the segment, or the right to ask it, is not there
		asked = heardNobody(s, addr) || strings.HasPrefix(c.Err, cluster.NoAnswer)
	case c.Witness == vip.Neighbour: // a table that cannot be read
	case c.Witness == vip.Election: // else nobody gave the certificate to ask with
		asked = AskedEtcd(c.Err)
	default:
		asked = c.Err != neverAsked
	}
	if asked {
		return NoAnswer
	}
	return NotAsked
}

// neverAsked is the error of a fact that nobody wanted to know.
var neverAsked = cluster.Seen[bool]{}.Err()

// AskedEtcd says whether the etcd of a node was asked for the election: then the
// reason why it told nothing names it.
func AskedEtcd(reason string) bool { return strings.HasPrefix(reason, cluster.EtcdOn) }

// toldElection says that the claim is of an election that etcd did tell: then a
// later one counts, or the host name fits no one node.
func toldElection(s *cluster.Snapshot, addr netip.Addr, c vip.Claim) bool {
	v := vipOf(s, addr)
	return c.Witness == vip.Election && v != nil && slices.ContainsFunc(v.Elections, func(e cluster.ElectionView) bool {
		return e.Node == c.From && e.Election.Known()
	})
}

// heardNobody says that the segment was asked for the whole time that it had.
func heardNobody(s *cluster.Snapshot, addr netip.Addr) bool {
	v := vipOf(s, addr)
	return v != nil && v.ARP.Known()
}

func vipOf(s *cluster.Snapshot, addr netip.Addr) *cluster.VIP {
	i := slices.IndexFunc(s.VIPs, func(v cluster.VIP) bool { return v.Addr == addr })
	if i < 0 {
		return nil
	}
	return &s.VIPs[i]
}
