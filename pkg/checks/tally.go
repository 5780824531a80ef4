package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// tally collects what a check has to say, mostly node by node, and makes one
// finding of it. The zero value is ready to use, and is Unknown.
type tally struct {
	said [Skip + 1][]string // by status
	good int
}

func (t *tally) pass() { t.good++ }

func (t *tally) say(s Status, format string, args ...any) {
	t.said[s] = append(t.said[s], fmt.Sprintf(format, args...))
}

// miss counts a fact that could not be learned, and why.
func miss[T any](t *tally, who, what string, fact cluster.Seen[T]) {
	status := Unknown
	if denied(fact.Err()) {
		status = Skip
	}
	t.say(status, "%s: %s not known: %s", who, what, fact.Err())
}

// missOf is miss for a fact of a node. Where the node said nothing at all, that
// is the news; nodes-answer says why.
func missOf[T any](t *tally, n *cluster.Node, what string, fact cluster.Seen[T]) {
	if fact.Err() != "" && fact.Err() == n.Reachable.Err() {
		t.say(Unknown, "%s does not answer", n.Name)
		return
	}
	miss(t, n.Name, what, fact)
}

// denied says that the reason is a lack of rights: gRPC's code
// PermissionDenied (7) or HTTP's Forbidden, as their texts have it.
func denied(reason string) bool {
	reason = strings.ToLower(reason)
	for _, sign := range []string{"permissiondenied", "permission denied", "forbidden", "not authorized"} {
		if strings.Contains(reason, sign) {
			return true
		}
	}
	return false
}

// finding makes one finding of all that was said. The worst counts; what is
// not known is named beside it. Good nodes make a Pass only where nothing
// else was said.
func (t *tally) finding(good, hint string) Finding {
	unknown := slices.Concat(t.said[Unknown], t.said[Skip])
	switch {
	case len(t.said[Fail]) > 0:
		return Finding{Fail, strings.Join(slices.Concat(t.said[Fail], t.said[Warn], unknown), "; "), hint}
	case len(t.said[Warn]) > 0:
		return Finding{Warn, strings.Join(slices.Concat(t.said[Warn], unknown), "; "), hint}
	case len(t.said[Unknown]) > 0:
		return Finding{Unknown, strings.Join(unknown, "; "), ""}
	case len(t.said[Skip]) > 0:
		return Finding{Skip, strings.Join(t.said[Skip], "; "), ""}
	case t.good > 0:
		return Finding{Pass, good, ""}
	default:
		return Finding{Unknown, "no control-plane node was seen", ""}
	}
}

// eachVIP judges every VIP of the snapshot into one tally. Without a VIP there
// is nothing to judge; vip-configured-alike says so.
func eachVIP(s *cluster.Snapshot, good, hint string, judge func(*tally, cluster.VIP)) Finding {
	if len(s.VIPs) == 0 {
		return Finding{Skip, "no VIP is known", ""}
	}
	var t tally
	for _, v := range s.VIPs {
		judge(&t, v)
	}
	return t.finding(good, hint)
}
