package report

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// TestEtcdThatNobodyLists: with two of three nodes off nobody lists the members,
// and what each node said is all there is.
func TestEtcdThatNobodyLists(t *testing.T) {
	off, late := errors.New("no route to host"), errors.New("no answer from 192.0.2.1:50000 within 2 s")
	node := func(name, addr string) cluster.Node {
		return cluster.Node{Name: name, Addr: netip.MustParseAddr(addr), Reachable: cluster.Missed[bool](off),
			Members: cluster.Missed[[]cluster.Member](off), Etcd: cluster.Missed[cluster.EtcdStatus](off)}
	}
	s := &cluster.Snapshot{Nodes: []cluster.Node{node("cp-1", "192.0.2.1"), node("cp-2", "192.0.2.2"), node("cp-3", "192.0.2.3")}}
	alone := &s.Nodes[0]
	alone.Reachable, alone.Members = cluster.Got(true), cluster.Missed[[]cluster.Member](late)
	alone.Etcd = cluster.Got(cluster.EtcdStatus{MemberID: "a1", Term: 12})

	var out bytes.Buffer
	style := Style{}
	if err := style.Write(&out, "table", NewEtcd(s, 0)); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"verdict unknown", "cp-1 knows of no leader", "LISTED BY MEMBERS ERROR", "cp-1 - no answer from", "cp-2 - no route to host",
		"note: without cp-2, cp-3 there is no quorum in sight", "hint: bring them back",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table is\n%s; want %q in it", &out, want)
		}
	}
}

func TestLostVIPText(t *testing.T) {
	v := EtcdLostVIP{VIP: "192.0.2.50", Owner: "cp-2"}
	for status, want := range map[checks.Status]string{
		checks.Fail:    "nobody takes it over without a quorum",
		checks.Unknown: "whether anybody takes it over is not known",
	} {
		if got := v.text(status.String()); !strings.Contains(got, want) {
			t.Errorf("text(%v) = %q; want %q in it", status, got, want)
		}
	}
}

// TestHintsOnce: what is to be done for several VIPs is said once, after the last.
func TestHintsOnce(t *testing.T) {
	got := hintsOnce([]string{"a: unknown", "  hint: look", "b: split", "  hint: reboot", "c: unknown", "  hint: look", "c: unknown"})
	if want := []string{"a: unknown", "b: split", "  hint: reboot", "c: unknown", "  hint: look", "c: unknown"}; !slices.Equal(got, want) {
		t.Errorf("hintsOnce = %q; want %q", got, want)
	}
}

// TestEtcdReadThroughAnother: a node that had to be read through another is marked
// in the document and in its row, a member's as well as one that has none.
func TestEtcdReadThroughAnother(t *testing.T) {
	s := someCluster()
	s.Nodes[1].Via, s.Nodes[1].ViaReason = "192.0.2.1", "no answer from 192.0.2.2:50000 within 5 s"
	stray := s.Nodes[1]
	stray.Name, stray.Hostname, stray.Etcd = "cp-4", cluster.Got("cp-4"), cluster.Missed[cluster.EtcdStatus](errors.New("no etcd"))
	stray.ViaReason = "connection refused"
	s.Nodes = append(s.Nodes, stray)
	doc := NewEtcd(s, 0)
	if m := doc.Members[1]; m.Via != "192.0.2.1" || m.ViaReason != s.Nodes[1].ViaReason {
		t.Errorf("cp-2 is %+v; want it read via 192.0.2.1", m)
	}
	if m := doc.Members[0]; m.Via != "" || m.ViaReason != "" {
		t.Errorf("cp-1 is read via %q (%s); want it read directly", m.Via, m.ViaReason)
	}
	for _, format := range []string{Table, Wide} {
		table := written(t, Style{}, format, doc)
		for _, want := range []string{"READ VIA", "192.0.2.1 (no answer from 192.0.2.2:50000 within 5 s)", "192.0.2.1 (connection refused)"} {
			if !strings.Contains(table, want) {
				t.Errorf("as %s:\n%s; want %q in it", format, table, want)
			}
		}
	}
	if narrow := written(t, Style{Width: 80}, Table, doc); !strings.Contains(narrow, "ERROR\n") || !strings.Contains(narrow, "note: cp-2 was read through 192.0.2.1") {
		t.Errorf("on 80 columns:\n%s; want a table without READ VIA, and a note", narrow)
	}
	if direct := written(t, Style{}, Wide, NewEtcd(someCluster(), 0)); strings.Contains(direct, "READ VIA") {
		t.Errorf("READ VIA where every node was read directly:\n%s", direct)
	}
}

// TestEtcdListsAreBroken: on a terminal no list of five members, nor of the nodes that
// list them, is wider than it, for the terminal would cut an ID in two.
func TestEtcdListsAreBroken(t *testing.T) {
	doc := &EtcdReport{Verdict: "degraded"}
	var ids, names []string
	for i := range 5 {
		ids = append(ids, fmt.Sprintf("%016x", 0x7e9e05c52164694d+i))
		names = append(names, fmt.Sprintf("control-plane-%d.example", i))
	}
	for _, name := range names {
		doc.Views = append(doc.Views, EtcdView{Node: name, Members: ids})
	}
	doc.Differences = []EtcdDifference{{Member: names[4], ID: ids[4], What: "listed", ListedBy: names[:2], MissingFrom: names[2:]}}
	for line := range strings.Lines(written(t, Style{Width: 80}, Wide, doc)) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > 80 {
			t.Errorf("%q is %d columns wide; want 80 at most", line, len(line))
		}
	}
}
