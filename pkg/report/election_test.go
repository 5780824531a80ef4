package report

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// candidate is a key in the queue, with what is left of a lease of 60 s; less
// than nothing is left of one that could not be asked about.
func candidate(host, lease string, left float64) cluster.Candidate {
	c := cluster.Candidate{Hostname: host, Lease: lease, TTL: cluster.Got(60.0), Remaining: cluster.Got(left)}
	if left < 0 {
		gone := errors.New("the lease has ended")
		c.TTL, c.Remaining = cluster.Missed[float64](gone), cluster.Missed[float64](gone)
	}
	return c
}

// threeWait is a queue without ghosts: cp-1 owns, cp-2 and cp-3 wait.
func threeWait(s *cluster.Snapshot, v *cluster.VIP) {
	s.Nodes[2].Campaigns = cluster.Got([]string{"eth0"})
	v.Elections[0].Election = queued(42, candidate("cp-1", "a1", 41), candidate("cp-2", "a2", 52), candidate("cp-3", "a3", 47))
}

func queued(revision int64, list ...cluster.Candidate) cluster.Seen[cluster.Election] {
	return cluster.Got(cluster.Election{Revision: revision, Candidates: list})
}

// someElection is that of someCluster: cp-1 owns and leads etcd, behind it are a
// ghost and cp-2. The third node's Talos API does not answer, its etcd does; the
// second's is behind.
func someElection() *cluster.Snapshot {
	s := someCluster()
	for i := range 2 {
		s.Nodes[i].Campaigns = cluster.Got([]string{"eth0"})
	}
	s.VIPs[0].Elections = []cluster.ElectionView{
		{Node: "cp-1", Election: queued(42, candidate("cp-1", "a1", 41), candidate("cp-2", "a2", 52), candidate("cp-2", "a4", 47))},
		{Node: "cp-2", Election: queued(40, candidate("cp-1", "a1", 41), candidate("cp-2", "a2", 52))},
		{Node: "cp-3", Election: queued(42, candidate("cp-1", "a1", 41), candidate("cp-2", "a2", 52), candidate("cp-2", "a4", 47))},
	}
	return s
}

var gone = cluster.Missed[cluster.Election](errors.New("etcd on cp-3 (192.0.2.3:2379): no answer within 2 s"))

func electionOf(s *cluster.Snapshot) *Ownership {
	claims := s.Claims(someVIP)
	return NewOwnership(s, Judged{VIP: someVIP, Claims: claims, Verdict: vip.Judge(claims)})
}

func TestElectionReport(t *testing.T) {
	tests := []struct {
		name string
		edit func(*cluster.Snapshot, *cluster.VIP)
		want []string // each is in the table form
		not  []string
	}{
		{"the newest answer counts", func(*cluster.Snapshot, *cluster.VIP) {},
			[]string{"ELECTION of 192.0.2.50: cp-2 is next in the queue; a crash of cp-1 now takes 61.8 - 65.5 s",
				"1 cp-1 owner 41 s of 60 s -", "2 cp-2 ghost 52 s of 60 s cp-2 has 2 keys", "3 cp-2 next 47 s of 60 s -"}, []string{"LEASE", "NODE ROLE"}},
		{"an owner that leads etcd waits for the whole lease again, one that follows for the longest lease ahead of the heir",
			func(*cluster.Snapshot, *cluster.VIP) {},
			[]string{"a crash of cp-1 now takes 61.8 - 65.5 s", "61.8 - 65.5 s: the owner is the etcd leader", "if it did not lead etcd: 52 - 53.5 s"}, nil},
		{"an owner that leads, and two that wait: who is next may lose its place", threeWait,
			[]string{"cp-2 is next in the queue; a crash of cp-1 now takes 61.8 - 65.5 s", "cp-1 leads etcd: candidates may lose their places while a new leader is elected, so that another than cp-2 takes the VIP"}, []string{"if cp-1 leads"}},
		{"nobody knows whether the owner leads, and two wait", func(s *cluster.Snapshot, v *cluster.VIP) {
			threeWait(s, v)
			lead(s, "")
		}, []string{"if cp-1 leads etcd: candidates may lose their places"}, nil},
		{"an owner that follows, and two that wait: the next takes it", func(s *cluster.Snapshot, v *cluster.VIP) {
			threeWait(s, v)
			lead(s, "a2")
		}, []string{"cp-2 is next in the queue; a crash of cp-1 now takes 41 - 42.5 s"}, []string{"may lose their places", "another than"}},
		{"an owner that follows", func(s *cluster.Snapshot, v *cluster.VIP) {
			lead(s, "a2")
			v.Elections[0].Election = queued(42, candidate("cp-1", "a1", 41), candidate("cp-2", "a2", 52))
		}, []string{"cp-2 is next in the queue; a crash of cp-1 now takes 41 - 42.5 s", "41 - 42.5 s: 41 s left", "if it led etcd: 61.8 - 65.5 s"}, []string{"ghost", "NOTE"}},
		{"nobody knows the leader", func(s *cluster.Snapshot, _ *cluster.VIP) { lead(s, "") },
			[]string{"a crash of cp-1 now takes 52 - 65.5 s"}, []string{"if it"}},
		{"nobody waits", func(_ *cluster.Snapshot, v *cluster.VIP) {
			v.Elections = v.Elections[:1]
			v.Elections[0].Election = queued(42, candidate("cp-1", "a1", 41))
		}, []string{"nobody is next", "nobody waits behind cp-1: if it crashes, the VIP stays away"}, []string{"a crash of", "not asked", "no answer"}},
		{"an empty queue", func(_ *cluster.Snapshot, v *cluster.VIP) { v.Elections[0].Election = queued(42) },
			[]string{"nobody is in the queue"}, []string{"HOST", "a crash of"}},
		{"a lease that ended while it was asked about: any time up to the whole", func(s *cluster.Snapshot, v *cluster.VIP) {
			lead(s, "a2")
			v.Elections[0].Election = queued(42, candidate("cp-1", "a1", -1), candidate("cp-2", "a2", 52))
		}, []string{"1 cp-1 owner - the lease has ended", "cp-2 is next in the queue; a crash of cp-1 now takes 39.5 - 60.5 s"}, nil},
		{"such a lease, and a setting says how long it is", func(s *cluster.Snapshot, v *cluster.VIP) {
			lead(s, "a2")
			s.LeaseTTL = 6
			v.Elections[0].Election = queued(42, candidate("cp-1", "a1", -1), candidate("cp-2", "a2", 52))
		}, []string{"a crash of cp-1 now takes 3.5 - 6.5 s", "the rest of the lease of 6 s"}, nil},
		{"a lease that etcd tells counts more than the setting", func(s *cluster.Snapshot, _ *cluster.VIP) { s.LeaseTTL = 6 },
			[]string{"a crash of cp-1 now takes 61.8 - 65.5 s"}, nil},
		{"two members left: no loss is borne", func(_ *cluster.Snapshot, v *cluster.VIP) { v.Elections[2].Election = gone },
			[]string{"ELECTION of 192.0.2.50: cp-2 is next in the queue\n", "etcd bears no loss now: if cp-1 crashes", "no answer: etcd on cp-3 (192.0.2.3:2379): no answer within 2 s"}, []string{"a crash of", " s: ", "not asked"}},
		{"the owner is gone already, and the others are a quorum", func(s *cluster.Snapshot, v *cluster.VIP) {
			v.Elections[0].Election = queued(42, candidate("cp-3", "a3", 33), candidate("cp-1", "a1", 41), candidate("cp-2", "a2", 52))
			v.Elections[1].Election, v.Elections[2].Election = gone, gone
		}, []string{"cp-1 is next in the queue; a crash of cp-3 now takes 33 - 34.5 s", "cp-3 did not answer: if it is gone already, that time is running"}, []string{"bears no loss"}},
		{"a key without a lease is ahead of the next: nobody is elected before it is deleted", func(s *cluster.Snapshot, v *cluster.VIP) {
			lead(s, "a2")
			v.Elections[0].Election = queued(42, candidate("cp-1", "a1", 41), candidate("cp-2", "0", -1), candidate("cp-2", "a2", 52))
		}, []string{"cp-2 is next in the queue\n", "a key of cp-2 has no lease, and stays until somebody deletes it: before that cp-2 does not take the VIP"}, []string{"a crash of", "41 - "}},
		{"the first key has no lease: its end is not to be waited for", func(_ *cluster.Snapshot, v *cluster.VIP) {
			v.Elections[0].Election = queued(42, candidate("cp-1", "0", -1), candidate("cp-2", "a2", 52))
		}, []string{"a key of cp-1 has no lease, and stays until somebody deletes it: before that cp-2 does not take the VIP"}, []string{"a crash of", "nothing is left"}},
		{"what is left of a ghost's lease is not known: it may be all of it", func(s *cluster.Snapshot, v *cluster.VIP) {
			lead(s, "a2")
			v.Elections[0].Election = queued(42, candidate("cp-1", "a1", 41), candidate("cp-2", "a2", -1), candidate("cp-2", "a4", 47))
		}, []string{"a crash of cp-1 now takes 41 - 61.5 s"}, nil},
		{"the first key is a ghost", func(s *cluster.Snapshot, _ *cluster.VIP) { s.Nodes[0].Campaigns = cluster.Got([]string{}) },
			[]string{"1 cp-1 ghost 41 s of 60 s cp-1 does not campaign", "3 cp-2 next", "the first key is a ghost: cp-2 takes the VIP when"}, []string{"a crash of"}},
		{"the next one is silent", func(s *cluster.Snapshot, v *cluster.VIP) {
			s.Nodes[1].Reachable = cluster.Missed[bool](errors.New("no answer"))
		}, []string{"cp-2 is next in the queue; ", "cp-2 did not answer: if it is gone as well, its lease must run out, too"}, nil},
		{"nobody could be asked", func(_ *cluster.Snapshot, v *cluster.VIP) {
			for i := range v.Elections {
				v.Elections[i].Election = cluster.Missed[cluster.Election](errors.New("the role may not"))
			}
		}, []string{"ELECTION of 192.0.2.50: no etcd told it", "not asked: the role may not"}, []string{"HOST", "nobody is in the queue", "a crash of"}},
		{"a host that is no node", func(s *cluster.Snapshot, v *cluster.VIP) {
			s.Nodes = s.Nodes[:2]
			v.Elections[0].Election = queued(42, candidate("cp-1", "a1", 41), candidate("old", "a9", 12), candidate("cp-2", "a2", 9))
		}, []string{"2 old - ghost 12 s of 60 s host old is no node", "3 cp-2 cp-2 next 9 s of 60 s -"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := someElection()
			tt.edit(s, &s.VIPs[0])
			text := tableOf(t, electionOf(s))
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(text, not) {
					t.Errorf("%q in\n%s", not, text)
				}
			}
		})
	}
}

// TestElectionsOfSeveralContexts: a title says whose election it is, also where two
// of like VIPs are told alike.
func TestElectionsOfSeveralContexts(t *testing.T) {
	var items []Item[Ownership]
	for _, context := range []string{"east", "west", "mute-1", "mute-2"} {
		s := someElection()
		s.Context = context
		if strings.HasPrefix(context, "mute") {
			for i := range s.VIPs[0].Elections {
				s.VIPs[0].Elections[i].Election = cluster.Missed[cluster.Election](errors.New("the role may not"))
			}
		}
		items = append(items, Item[Ownership]{Document: electionOf(s)})
	}
	text := tableOf(t, NewOwnershipList(items))
	for _, context := range []string{"east", "west"} {
		queue := "\n" + context + ": ELECTION of 192.0.2.50: cp-2 is next in the queue; a crash of cp-1 now takes 61.8 - 65.5 s\n" +
			"CONTEXT # HOST ROLE REMAINING NOTE\n" + context + " 1 cp-1 owner"
		if !strings.Contains(text, queue) {
			t.Errorf("no %q in\n%s", queue, text)
		}
	}
	for _, context := range []string{"mute-1", "mute-2"} {
		queue := "\n" + context + ": ELECTION of 192.0.2.50: no etcd told it\n" + context + ": not asked: the role may not"
		if !strings.Contains(text, queue) {
			t.Errorf("no %q in\n%s", queue, text)
		}
	}
}

// TestElectionsOfTwoVIPs: each has a queue of its own.
func TestElectionsOfTwoVIPs(t *testing.T) {
	s := someElection()
	second := netip.MustParseAddr("2001:db8::50")
	queue := queued(42, candidate("cp-2", "b2", 30), candidate("cp-1", "b1", 31))
	s.VIPs = append(s.VIPs, cluster.VIP{Addr: second, Elections: []cluster.ElectionView{
		{Node: "cp-1", Election: queue}, {Node: "cp-2", Election: queue}, {Node: "cp-3", Election: queue}}})
	doc := NewOwnership(s, Judged{VIP: someVIP}, Judged{VIP: second})
	for i, want := range []string{"cp-1", "cp-2"} {
		if e := doc.VIPs[i].Election; e == nil || e.Candidates[0].Node != want {
			t.Errorf("election of %s = %+v; want %s at its head", doc.VIPs[i].VIP, e, want)
		}
	}
	if p := doc.VIPs[1].Election.Predicted; p == nil || *p.OwnerIsEtcdLeader || p.Now != p.Follower || p.Now.LowerSeconds != 30 {
		t.Errorf("predicted = %+v; want that of an owner that follows, 30 s at least", p)
	}
	if got := electionOf(someCluster()).VIPs[0].Election; got != nil {
		t.Errorf("election = %+v where nobody asked; want none", got)
	}
}

// lead makes the members know this leader.
func lead(s *cluster.Snapshot, id string) {
	for i := range s.Nodes {
		if e, ok := s.Nodes[i].Etcd.Get(); ok {
			e.Leader = id
			s.Nodes[i].Etcd = cluster.Got(e)
		}
	}
}

// tableOf is the table form with single spaces.
func tableOf(t *testing.T, doc Tabular) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, Table, doc); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

// Where nobody knows the owner, the hint is to ask who was elected; not where that
// was asked, nor where nobody near is left to ask.
func TestHintOnAnUnknownOwner(t *testing.T) {
	const hint = "hint: vipctl owner --election"
	s := someCluster()
	s.Nodes[0].Reachable, s.Nodes[0].Addresses = s.Nodes[2].Reachable, s.Nodes[2].Addresses
	s.VIPs[0].APIServer = cluster.Seen[cluster.APIServer]{}
	if doc := electionOf(s); doc.VIPs[0].Verdict != "unknown" || !strings.Contains(tableOf(t, doc), hint) {
		t.Errorf("of a silent owner, verdict %s: no %q in\n%s", doc.VIPs[0].Verdict, hint, tableOf(t, doc))
	}
	s.VIPs[0].Elections = someElection().VIPs[0].Elections
	if text := tableOf(t, electionOf(s)); strings.Contains(text, hint) {
		t.Errorf("the election was asked, and the hint is to ask it:\n%s", text)
	}
	s.VIPs[0].Elections = nil
	s.Nodes[1] = s.Nodes[2]
	if text := tableOf(t, electionOf(s)); strings.Contains(text, hint) {
		t.Errorf("every node is silent, and the hint is to ask etcd:\n%s", text)
	}
}
