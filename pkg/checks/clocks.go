package checks

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// How far two nodes' clocks may lie apart, in seconds. etcd warns of peers beyond
// one ("prober found high clock drift", server/etcdserver/api/rafthttp/
// probing_status.go, v3.6.12). A kube-apiserver takes a token that another one
// issued as not yet valid beyond a minute (DefaultLeeway, go-jose v2.6.3
// jwt/validation.go).
const (
	clocksDrift = 1.0
	clocksBreak = 60.0
)

func clocksAgree(s *cluster.Snapshot) Finding {
	t := among(s)
	middle := medianClock(s)
	var odd []string
	for i := range s.Nodes {
		n := &s.Nodes[i]
		clock, ok := n.Clock.Get()
		switch {
		case !ok && n.Reachable.Value() && n.Clock != cluster.Seen[cluster.Clock]{}:
			// Talos tells its time only together with a time server's.
			t.say(Skip, "%s: clock not known, which a node tells only where its time server answers: %s", n.Name, n.Clock.Err())
		case !ok:
			missOf(&t, n, "clock", n.Clock)
		default:
			if !judgeClock(&t, n, clock, middle) {
				odd = append(odd, reached(s, n.Name))
			}
		}
	}
	good := ""
	if middle != nil {
		good = vip.Count(t.good, "clock agrees", "clocks agree") + ourClock(middle.Clock.Value())
	}
	at := strings.Join(odd, ",")
	return t.finding(good, "talosctl -n "+at+" time compares it with its time server; talosctl -n "+at+" get timestatus says whether it is kept; see machine.time.servers")
}

// medianClock is the node whose clock most of the others are nearest to, nil
// where no clock is known. Of two it is the one that is behind.
func medianClock(s *cluster.Snapshot) *cluster.Node {
	var known []*cluster.Node
	for i := range s.Nodes {
		if s.Nodes[i].Clock.Known() {
			known = append(known, &s.Nodes[i])
		}
	}
	if len(known) == 0 {
		return nil
	}
	slices.SortStableFunc(known, func(a, b *cluster.Node) int {
		return cmp.Compare(a.Clock.Value().Ahead, b.Clock.Value().Ahead)
	})
	return known[(len(known)-1)/2]
}

// judgeClock counts only what exceeds the error of both readings, and says whether
// the clock is good.
func judgeClock(t *tally, n *cluster.Node, clock cluster.Clock, middle *cluster.Node) bool {
	reference := middle.Clock.Value()
	off := clock.Ahead - reference.Ahead
	sure := math.Abs(off) - clock.Error - reference.Error
	status, effect := Warn, "etcd warns of more than 1 s"
	if sure > clocksBreak {
		status, effect = Fail, "certificates and tokens may be refused"
	}
	if n == middle || sure <= clocksDrift {
		t.pass()
		return true
	}
	t.say(status, "the clock of %s is %s that of %s: %s", n.Name, offset(off), middle.Name, effect)
	return false
}

// offset is to a tenth of a second, which is finer than the question is.
func offset(ahead float64) string {
	tenths := math.Round(ahead*10) / 10
	if tenths < 0 {
		return seconds(-tenths) + " behind"
	}
	return seconds(tenths) + " ahead of"
}

func seconds(s float64) string { return vip.Seconds(time.Duration(s * float64(time.Second))) }

// ourClock says where all nodes' clocks agree, and this machine's does not.
func ourClock(nodes cluster.Clock) string {
	if math.Abs(nodes.Ahead)-nodes.Error <= clocksDrift {
		return ""
	}
	return fmt.Sprintf("; that of this machine is %s them", offset(-nodes.Ahead))
}
