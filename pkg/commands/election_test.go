package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/talos"
)

// polls are nodes and their etcd, who say something else each time: round after
// round the queue, as "cp-1 cp-2", and the nodes that campaign. The last round lasts.
type polls struct {
	queues, campaigning []string
	deaf                bool // etcd tells no queue

	mu    sync.Mutex // guards the rest
	round int
	log   []string
}

func (p *polls) now(says []string) []string {
	return strings.Fields(says[min(p.round, len(says)-1)])
}

func (p *polls) Campaigns(_ context.Context, node, via string) cluster.Seen[[]string] {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, node+"?"+via)
	if slices.Contains(p.now(p.campaigning), node) {
		return cluster.Got([]string{"eth0"})
	}
	return cluster.Got([]string{})
}

// Collect ends a round.
func (p *polls) Collect(_ context.Context, snap *cluster.Snapshot) {
	names := ""
	views := []cluster.ElectionView{}
	for _, n := range snap.Nodes {
		names += " " + n.Name
		view := cluster.ElectionView{Node: n.Name, Election: cluster.Got(p.queue())}
		if p.deaf {
			view.Election = cluster.Missed[cluster.Election](errors.New("no answer"))
		}
		views = append(views, view)
	}
	snap.VIPs[0].Elections = views
	p.log = append(p.log, "etcd on"+names)
	p.round++
}

func (p *polls) queue() cluster.Election {
	e := cluster.Election{Revision: int64(100 + p.round)}
	for i, name := range p.now(p.queues) {
		e.Candidates = append(e.Candidates, cluster.Candidate{Key: "key-" + name, Hostname: name, Lease: "7", CreateRevision: int64(i)})
	}
	return e
}

// first is what the nodes and etcd said the first time; etcd on cp-3 was silent.
func (p *polls) first() *cluster.Snapshot {
	snap := kept("cp-1")
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		n.Campaigns = p.Campaigns(context.Background(), n.Name, "")
	}
	snap.Nodes[2].Via = "10.5.0.2"
	p.Collect(context.Background(), &cluster.Snapshot{Nodes: snap.Nodes[:2], VIPs: snap.VIPs})
	snap.VIPs[0].Elections = append(snap.VIPs[0].Elections, cluster.ElectionView{Node: "cp-3", Election: cluster.Missed[cluster.Election](errors.New("no answer"))})
	p.log = nil
	return snap
}

// A key whose node does not campaign may be the trace of a change, while the
// nodes and etcd were asked side by side. Only what stays is a ghost's.
func TestSettle(t *testing.T) {
	for _, tt := range []struct {
		name  string
		polls *polls
		deaf  bool // from the second time on
		want  string
		idle  string
	}{
		{"where all campaign nobody is asked again", &polls{queues: []string{"cp-1 cp-2"}, campaigning: []string{"cp-1 cp-2"}}, false, "", "[]"},
		{"one that joined while it was asked campaigns by now", &polls{queues: []string{"cp-1 cp-2"}, campaigning: []string{"cp-1", "cp-1 cp-2"}}, false,
			"cp-2?, etcd on cp-1 cp-2", "[]"},
		{"one that let go while it was asked has no key by now", &polls{queues: []string{"cp-1 cp-2", "cp-1"}, campaigning: []string{"cp-1"}}, false,
			"cp-2?, etcd on cp-1 cp-2", "[]"},
		{"a ghost still has its key after it was asked", &polls{queues: []string{"cp-1 cp-2"}, campaigning: []string{"cp-1"}}, false,
			"cp-2?, etcd on cp-1 cp-2", "[{cp-2 key-cp-2}]"},
		{"one that came idle into the second queue is asked as well", &polls{queues: []string{"cp-1 cp-2", "cp-1 cp-2 cp-3"}, campaigning: []string{"cp-1", "cp-1 cp-2", "cp-1 cp-2 cp-3"}}, false,
			"cp-2?, etcd on cp-1 cp-2, cp-3?10.5.0.2, etcd on cp-1 cp-2", "[]"},
		{"where candidates come and go for ever there is an end", &polls{queues: []string{"cp-2", "cp-3", "cp-2", "cp-3", "cp-2"}, campaigning: []string{""}}, false,
			"cp-2?, etcd on cp-1 cp-2, cp-3?10.5.0.2, etcd on cp-1 cp-2, cp-2?, etcd on cp-1 cp-2", "[{cp-3 key-cp-3}]"},
		{"without a second queue it is not known who is idle", &polls{queues: []string{"cp-1 cp-2"}, campaigning: []string{"cp-1"}}, true,
			"cp-2?, etcd on cp-1 cp-2", "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.polls
			snap := p.first()
			p.deaf = tt.deaf
			settle(t.Context(), p, p, snap)
			if got := strings.Join(p.log, ", "); got != tt.want {
				t.Errorf("settle asked %q; want %q", got, tt.want)
			}
			if got := fmt.Sprint(snap.Idle()); got != tt.idle {
				t.Errorf("idle are %s; want %s", got, tt.idle)
			}
			if got := snap.Nodes[1].Campaigns.Err(); tt.deaf && got != errNoSecondQueue.Error() {
				t.Errorf("whether cp-2 campaigns is not known because %q; want %q", got, errNoSecondQueue)
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	p := &polls{queues: []string{"cp-1 cp-2"}, campaigning: []string{"cp-1"}}
	if settle(ended, p, p, p.first()); len(p.log) > 0 {
		t.Errorf("settle after its time asked %q; want nobody", p.log)
	}
}

// Why etcd is not asked is said once, however often a watch or a second look
// comes upon it, and of every node; an interrupt needs no words.
func TestWhyTheElectionIsNotAskedFor(t *testing.T) {
	refusal := cli.WithHint(errors.New("the role may not read etcd's certificates"), "this needs os:admin")
	for _, tt := range []struct {
		name   string
		errs   []error
		stderr string
	}{
		{"a refusal", []error{refusal}, "warning: the election was not asked for: the role may not read etcd's certificates\nhint: this needs os:admin\n"},
		{"two looks", []error{refusal, refusal}, "warning: the election was not asked for: the role may not read etcd's certificates\nhint: this needs os:admin\n"},
		{"an interrupt", []error{fmt.Errorf("asking: %w", context.Canceled)}, ""},
	} {
		h := newHarness(t)
		h.f.flags.Election = true
		e := h.f.election()
		for _, err := range tt.errs {
			look := e.begin(t.Context())
			look.open()(nil, err)
			snap := kept("cp-1")
			look.fill(nil, snap)
			for _, view := range snap.VIPs[0].Elections {
				if view.Election.Err() != err.Error() {
					t.Errorf("%s: the election as etcd on %s tells it = %v; want why not: %v", tt.name, view.Node, view.Election, err)
				}
			}
			if len(snap.VIPs[0].Elections) != len(snap.Nodes) {
				t.Errorf("%s: %d views; want one a node", tt.name, len(snap.VIPs[0].Elections))
			}
		}
		if got := h.err.String(); got != tt.stderr {
			t.Errorf("%s: stderr = %q; want %q", tt.name, got, tt.stderr)
		}
	}
}

// A prediction takes who leads etcd. Where no election was asked for, nothing
// more is asked of the nodes, and nothing of etcd.
func TestTheElectionIsAskedForByHandOnly(t *testing.T) {
	var none *election
	asked := &election{}
	if got := asked.facts(talos.Addresses); got&talos.Elections != talos.Elections || none.facts(talos.Addresses) != talos.Addresses {
		t.Errorf("facts = %b with --election, %b without; want %b, %b", got, none.facts(talos.Addresses), talos.Addresses|talos.Elections, talos.Addresses)
	}
	if look := none.begin(t.Context()); look != nil || look.open() != nil {
		t.Error("an election was begun that nobody asked for")
	}
}
