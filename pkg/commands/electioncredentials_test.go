package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/talos"
)

// clusters are nodes of more than one, who each give the certificates of their own.
type clusters struct {
	of    map[string]string                  // node to cluster; "" keeps silent, "-" gives none
	given map[*talos.EtcdCredentials]members // what opens what

	mu    sync.Mutex // guards asked
	asked []string
}

// members are the nodes whose etcd takes some certificates.
type members []string

// certificates are those of a cluster.
func (c *clusters) certificates(of string) *talos.EtcdCredentials {
	credentials := &talos.EtcdCredentials{}
	var who members
	for node, other := range c.of {
		if other == of {
			who = append(who, node)
		}
	}
	c.given[credentials] = who
	return credentials
}

func (c *clusters) EtcdCredentials(ctx context.Context, node, _ string) (*talos.EtcdCredentials, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, node)
	switch c.of[node] {
	case "":
		c.mu.Unlock()
		<-ctx.Done()
		c.mu.Lock()
		return nil, ctx.Err()
	case "-":
		return nil, errors.New("the role may not")
	}
	return c.certificates(c.of[node]), nil
}

func (c *clusters) open(credentials *talos.EtcdCredentials) (queues, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.given[credentials], nil
}

func (m members) Collect(_ context.Context, snap *cluster.Snapshot) {
	snap.VIPs[0].Elections = nil
	for _, n := range snap.Nodes {
		view := cluster.ElectionView{Node: n.Name, Election: cluster.Missed[cluster.Election](errors.New("another authority"))}
		if slices.Contains(m, n.Name) {
			view.Election = cluster.Got(cluster.Election{Revision: 7})
		}
		snap.VIPs[0].Elections = append(snap.VIPs[0].Elections, view)
	}
}

func TestTheCertificatesThatTheMostBelieveCount(t *testing.T) {
	for _, tt := range []struct {
		name  string
		of    string // the cluster of each node
		first members
		calm  bool   // nobody minds the certificates, whatever they did not tell
		asked string // for their own
		told  string
	}{
		{"all are of one cluster", "a a a", members{"cp-1", "cp-2", "cp-3"}, false, "", "cp-1 cp-2 cp-3"},
		{"a stranger is one of three: there is nothing to be won", "b a a", members{"cp-2", "cp-3"}, false, "", "cp-2 cp-3"},
		{"the stranger's came first, and its own etcd takes them", "b a a", members{"cp-1"}, false, "cp-2 cp-3", "cp-2 cp-3"},
		{"those that came first are nobody's", "a a a", nil, false, "cp-1 cp-2 cp-3", "cp-1 cp-2 cp-3"},
		{"one of those who refuse hangs, and one has none", "- a ", nil, false, "cp-1 cp-2 cp-3", "cp-2"},
		{"one of those who refuse hangs, and a majority tells: it is not waited for", "a a ", nil, false, "cp-1 cp-2 cp-3", "cp-1 cp-2"},
		{"as many believe others: those that came first stay", "a b ", members{"cp-1"}, false, "cp-2 cp-3", "cp-1"},
		{"half of them is no majority", "a b", members{"cp-1"}, false, "cp-2", "cp-1"},
		{"who refuses gives none", "a - -", members{"cp-1"}, false, "cp-2 cp-3", "cp-1"},
		{"no quorum: other certificates would change nothing", "a a a", nil, true, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			snap, c := kept("cp-1"), &clusters{of: map[string]string{}, given: map[*talos.EtcdCredentials]members{}}
			all := strings.Split(tt.of, " ")
			snap.Nodes = snap.Nodes[:len(all)]
			for i, of := range all {
				c.of[snap.Nodes[i].Name] = of
			}
			tt.first.Collect(t.Context(), snap)
			refuses := func(n cluster.Node) bool { return !tt.calm && !slices.Contains(tt.first, n.Name) }
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // for those who hang
			defer cancel()
			whom := believe(ctx, c, refuses, c.open, tt.first, snap)
			if 2*tellers(snap) > len(snap.Nodes) && ctx.Err() != nil {
				t.Error("believe waited for a node that hangs, though a majority told")
			}
			var told members
			for _, n := range snap.Nodes {
				if snap.ToldElection(n.Name) {
					told = append(told, n.Name)
				}
			}
			if got := strings.Join(told, " "); got != tt.told {
				t.Errorf("the election was told by %q; want %q", got, tt.told)
			}
			if got := slices.Sorted(slices.Values(whom.(members))); fmt.Sprint(got) != fmt.Sprint(told) {
				t.Errorf("from then on %q are asked; want %q", got, told)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if got := strings.Join(slices.Sorted(slices.Values(c.asked)), " "); got != tt.asked {
				t.Errorf("%q were asked for their own; want %q", got, tt.asked)
			}
		})
	}
}
