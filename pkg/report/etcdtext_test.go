package report

import (
	"bytes"
	"errors"
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
