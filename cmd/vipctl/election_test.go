package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// election is what scripts read of a VIP's election.
type election struct {
	Revision int64
	Asked    []struct {
		Node, Error string
		Revision    int64
	}
	Candidates []struct {
		Position                                 int
		Hostname, Node, Role, Lease, GhostReason string
		TTLSeconds, AgeSeconds, RemainingSeconds *float64
		Ghost                                    bool
	}
	Notes     []string
	Predicted *struct {
		Follower, Leader, Now struct {
			LowerSeconds, UpperSeconds float64
			Basis                      string
		}
		OwnerIsEtcdLeader *bool
	}
}

// elections runs "vipctl owner --election -o json args..." and returns the
// election of each VIP, by its address.
func (l *testLab) elections(code int, args ...string) (result, map[string]election) {
	l.t.Helper()
	r := l.on(append([]string{"owner", "--election", "-o", "json"}, args...)...)
	return r, l.electionsOf(code, r)
}

// electionsInTime is elections where somebody hangs: that must not take longer
// than the timeout, and not twice that with the way into the lab. Who is late runs
// again, twice: this machine may be busy.
func (l *testLab) electionsInTime() (result, map[string]election) {
	l.t.Helper()
	for tries := 1; ; tries++ {
		begun := time.Now()
		r, all := l.elections(0, "--timeout", "2s")
		took := time.Since(begun)
		if took >= 4*time.Second && tries < 3 {
			continue
		}
		if took >= 4*time.Second {
			l.t.Errorf("it took %s, the third time; want the timeout of 2 s, and not twice that", took)
		}
		return r, all
	}
}

func (l *testLab) electionsOf(code int, r result) map[string]election {
	l.t.Helper()
	if r.code != code {
		l.t.Fatalf("exit code %d; want %d\n%s", r.code, code, r)
	}
	r.keepsTo(l.t, "ownership")
	var doc struct {
		VIPs []struct {
			VIP      string
			Election *election
		}
	}
	r.decode(l.t, &doc)
	all := map[string]election{}
	for _, v := range doc.VIPs {
		if v.Election == nil {
			l.t.Fatalf("no election of %s\n%s", v.VIP, r)
		}
		all[v.VIP] = *v.Election
	}
	return all
}

// hosts are the candidates in their order.
func (e election) hosts() []string {
	var list []string
	for _, c := range e.Candidates {
		list = append(list, c.Hostname)
	}
	return list
}

// trueQueue is the queue of a VIP by the lab's log: the keys that were written
// and not deleted, in the order of their writing, and who wrote them.
func (l *testLab) trueQueue(vip string) (hosts, leases []string) {
	l.t.Helper()
	r := vipctl(l.t, "lab", "events", "--name", l.name, "-o", "json")
	for line := range strings.Lines(r.stdout) {
		var e struct{ Kind, Detail string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			l.t.Fatalf("lab events: %v\n%s", err, line)
		}
		key, value, _ := strings.Cut(e.Detail, " ")
		lease, ours := strings.CutPrefix(key, "talos:v1:vip:election:"+vip+"/")
		switch {
		case !ours:
		case e.Kind == "key-written":
			hosts, leases = append(hosts, strings.Trim(value, "()[]")), append(leases, lease)
		case e.Kind == "key-deleted":
			if i := slices.Index(leases, lease); i >= 0 {
				hosts, leases = slices.Delete(hosts, i, i+1), slices.Delete(leases, i, i+1)
			}
		}
	}
	return hosts, leases
}

func TestElection(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "30s", "--vip", "10.5.0.50", "--vip", "fd10:5::50")
	lab.until(0, "owner")
	t.Run("a healthy queue of each VIP", func(t *testing.T) { testQueue(t, lab.in(t)) })
	t.Run("roles that may not read the certificates", func(t *testing.T) { testElectionRefused(t, lab.in(t)) })
	t.Run("nothing secret is written", func(t *testing.T) { testElectionSecrets(t, lab.in(t)) })
	t.Run("a ghost", func(t *testing.T) { testGhost(t, lab.in(t)) })
	t.Run("etcd is killed on a node", func(t *testing.T) { testEtcdGone(t, lab.in(t)) })
	t.Run("the network of a node hangs", func(t *testing.T) { testPartition(t, lab.in(t)) })
	t.Run("the Talos API of a node hangs", func(t *testing.T) { testAPIHangs(t, lab.in(t)) })
	t.Run("two holders, of whom one was elected", func(t *testing.T) { testElectedOfTwo(t, lab.in(t)) })
	t.Run("several contexts", func(t *testing.T) { testElectionContexts(t, lab.in(t)) })
	t.Run("a watch does not ask etcd", func(t *testing.T) {
		lab := lab.in(t)
		args := []string{"owner", "--election", "--watch"}
		refuses(t, badInput{code: 2, err: "--watch cannot go with --election", hint: "beside it"}, lab.on(args...), lab.on(append(args, "-o", "json")...))
	})
	t.Run("a candidate that is no member of etcd", func(t *testing.T) { testNoMember(t, lab.in(t)) })
	t.Run("no quorum", func(t *testing.T) { testElectionWithoutQuorum(t, lab.in(t)) })
}

func testQueue(t *testing.T, lab *testLab) {
	var etcd struct{ Leader string }
	lab.on("etcd", "-o", "json").decode(t, &etcd)
	r, all := lab.elections(0)
	for _, vip := range []string{"10.5.0.50", "fd10:5::50"} {
		e := all[vip]
		hosts, leases := lab.trueQueue(vip)
		if !slices.Equal(e.hosts(), hosts) || len(hosts) != 3 {
			t.Errorf("queue of %s = %v; want %v, as the lab's log has it\n%s", vip, e.hosts(), hosts, r)
			continue
		}
		for i, c := range e.Candidates {
			if c.Position != i+1 || c.Role != []string{"owner", "next", "waiting"}[i] || c.Lease != leases[i] || c.Node != hosts[i] || c.Ghost {
				t.Errorf("candidate %d of %s = %+v; want %s with lease %s, and no ghost", i, vip, c, hosts[i], leases[i])
			}
			if c.TTLSeconds == nil || *c.TTLSeconds != 30 || c.RemainingSeconds == nil || *c.RemainingSeconds < 18 || *c.RemainingSeconds > 31 {
				t.Errorf("lease %d of %s = %+v; want two thirds of 30 s left at least", i, vip, c)
			}
		}
		if len(e.Asked) != 3 || e.Asked[0].Error+e.Asked[1].Error+e.Asked[2].Error != "" || e.Revision == 0 {
			t.Errorf("asked of %s = %+v; want an answer of each node", vip, e.Asked)
		}
		p, leads := e.Predicted, etcd.Leader == hosts[0]
		if p == nil || p.OwnerIsEtcdLeader == nil || *p.OwnerIsEtcdLeader != leads || leads && p.Now != p.Leader || !leads && p.Now != p.Follower {
			t.Fatalf("predicted of %s = %+v; want it for an owner that leads etcd = %t", vip, p, leads)
		}
		reordered := "another than " + hosts[1] + " takes the VIP"
		if slices.ContainsFunc(e.Notes, func(n string) bool { return strings.HasSuffix(n, reordered) }) != leads {
			t.Errorf("notes of %s = %q; want that the queue may change if the owner leads etcd, which is so = %t", vip, e.Notes, leads)
		}
		left := *e.Candidates[0].RemainingSeconds
		if p.Follower.LowerSeconds != left || p.Follower.UpperSeconds > left+2 || p.Leader.LowerSeconds < 30 || p.Leader.UpperSeconds > 40 {
			t.Errorf("predicted of %s = %+v; want %v s or a little more, and 30 - 40 s if the owner leads", vip, p, left)
		}
	}
	table := lab.on("owner", "--election")
	table.shows(t, 0, `ELECTION of 10\.5\.0\.50: cp-\d is next in the queue; a crash of cp-\d now takes .* s`, `ELECTION of fd10:5::50: cp-\d is next in the queue; .*`,
		"# HOST ROLE REMAINING", `1 cp-\d owner \d+ s of 30 s`, `2 cp-\d next .*`, `3 cp-\d waiting .*`)
	if strings.Contains(table.stdout, "not asked") || table.stderr != "" {
		t.Errorf("want that nothing is missing\n%s", table)
	}
	lab.on("owner", "--election", "-o", "wide").shows(t, 0, "# HOST NODE ROLE LEASE REMAINING NOTE", `1 cp-\d cp-\d owner [0-9a-f]+ \d+ s of 30 s -`)
	lab.on("owner", "--election", "--vip", "10.5.0.50", "--vip", "fd10:5::50").shows(t, 0, `ELECTION of 10\.5\.0\.50: .*`, `ELECTION of fd10:5::50: .*`)
}

func testElectionRefused(t *testing.T, lab *testLab) {
	for _, role := range []string{"reader", "operator"} {
		r := lab.sh("vipctl owner --election -o json --talosconfig $TALOSCONFIG-" + role)
		r.args = []string{"owner"}
		e := lab.electionsOf(0, r)["10.5.0.50"]
		if len(e.Asked) != 3 || len(e.Candidates) != 0 || e.Predicted != nil {
			t.Errorf("election = %+v; want three nodes, and nothing else", e)
		}
		for _, a := range e.Asked {
			if a.Error != "the role of this talosconfig may not read etcd's certificates" {
				t.Errorf("%s: %+v; want that the role may not", role, a)
			}
		}
		if !strings.Contains(r.stderr, "hint: this needs the role os:admin") {
			t.Errorf("%s: stderr has no hint at os:admin\n%s", role, r)
		}
		var doc ownership
		r.decode(t, &doc)
		silent := 0
		for _, w := range doc.VIPs[0].Witnesses {
			if w.Witness == "election" && strings.Contains(w.Error, "may not read") {
				silent++
			}
		}
		table := lab.sh("vipctl owner --election --talosconfig $TALOSCONFIG-" + role)
		table.shows(t, 0, `ELECTION of 10\.5\.0\.50: no etcd told it`)
		if n := strings.Count(table.stdout, "may not read"); n != len(doc.VIPs) {
			t.Errorf("%s: it is said %d times that the role may not; want it once for each VIP\n%s", role, n, table)
		}
		if silent != 3 || doc.VIPs[0].Verdict != "owned" {
			t.Errorf("%s: VIP = %+v; want it owned, and the election silent on each node", role, doc.VIPs[0])
		}
	}
}

var secret = regexp.MustCompile(`PRIVATE KEY|BEGIN [A-Z ]+|LS0tLS1CRUdJTi|[A-Za-z0-9+/]{80,}`)

func testElectionSecrets(t *testing.T, lab *testLab) {
	file := filepath.Join(t.TempDir(), "snapshot.json")
	r, all := lab.elections(0, "--save", file)
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"stdout": r.stdout, "stderr": r.stderr, "the snapshot": string(kept)} {
		if found := secret.FindString(text); found != "" {
			t.Errorf("%s has what looks like a secret: %q", name, found)
		}
	}
	again := vipctl(t, "owner", "--from", file, "-o", "json")
	if replayed := lab.electionsOf(0, again); !slices.Equal(replayed["10.5.0.50"].hosts(), all["10.5.0.50"].hosts()) || again.stdout != r.stdout {
		t.Errorf("replayed = %s; want what was said at first\n%s", again, r)
	}
}

func testGhost(t *testing.T, lab *testLab) {
	_, all := lab.elections(0)
	waiting := all["10.5.0.50"].hosts()[1]
	lab.fault("inject", "ghost", waiting)
	defer lab.fault("undo", "ghost", waiting)
	var e election
	for end := time.Now().Add(30 * time.Second); len(e.Candidates) != 4; {
		if time.Now().After(end) {
			t.Fatalf("the queue has %d keys; want four", len(e.Candidates))
		}
		_, all = lab.elections(0)
		e = all["10.5.0.50"]
	}
	for _, c := range e.Candidates {
		if c.Ghost != (c.Position == 2) || c.Ghost && (c.Node != waiting || !strings.Contains(c.GhostReason, "another")) {
			t.Errorf("candidate %+v; want a ghost of %s in the second place, and no other", c, waiting)
		}
	}
}

func testEtcdGone(t *testing.T, lab *testLab) {
	_, _, bystander := partsOf(t, lab)
	lab.fault("inject", "etcd-kill", bystander, "--hold")
	defer lab.fault("undo", "etcd-kill", bystander)
	_, all := lab.elections(0, "--timeout", "3s")
	for _, a := range all["10.5.0.50"].Asked {
		if (a.Node == bystander) != (a.Error != "") || a.Error != "" && !strings.Contains(a.Error, "connection refused") {
			t.Errorf("asked %+v; want an error of %s only: connection refused", a, bystander)
		}
	}
}

func testPartition(t *testing.T, lab *testLab) {
	_, _, bystander := partsOf(t, lab)
	lab.fault("inject", "partition", bystander)
	defer lab.fault("undo", "partition", bystander)
	_, all := lab.electionsInTime()
	e := all["10.5.0.50"]
	for _, a := range e.Asked {
		if (a.Node == bystander) != (a.Error != "") || a.Error != "" && !strings.Contains(a.Error, "no answer within") {
			t.Errorf("asked %+v; want an error of %s only: no answer", a, bystander)
		}
	}
	if len(e.Candidates) == 0 || e.Candidates[0].Role != "owner" {
		t.Errorf("candidates = %+v; want them as the others tell", e.Candidates)
	}
}

// testAPIHangs: etcd is asked while the nodes still answer, so a node that hangs
// takes no time from it, and its own member tells of the election.
func testAPIHangs(t *testing.T, lab *testLab) {
	_, _, bystander := partsOf(t, lab)
	lab.fault("inject", "api-hang", bystander)
	defer lab.fault("undo", "api-hang", bystander)
	r, all := lab.electionsInTime()
	for vip, e := range all {
		for _, a := range e.Asked {
			if a.Error != "" || a.Revision == 0 {
				t.Errorf("asked of %s: %+v; want an answer of each node's etcd\n%s", vip, a, r)
			}
		}
		if e.Predicted == nil {
			t.Errorf("no prediction of %s; want it, for all of etcd answers\n%s", vip, r)
		}
	}
}

func testElectedOfTwo(t *testing.T, lab *testLab) {
	owner, _, other := partsOf(t, lab)
	for fault, trouble := range map[string]string{"split-brain": "", "leftover-vip": "leftoverAddress"} {
		lab.fault("inject", fault, other, "--vip", "10.5.0.50")
		r := lab.on("owner", "--election", "-o", "json", "--vip", "10.5.0.50")
		lab.fault("undo", fault, other)
		var doc ownership
		r.decode(t, &doc)
		found := map[string]string{}
		for _, f := range doc.VIPs[0].Findings {
			found[f.Trouble] = f.Node + ": " + f.Message
		}
		want := other + ": owner without key: " + other + " holds the address, and the election names " + owner + ", which has the address as well: that is the elected one"
		if r.code != 6 || found["ownerWithoutKey"] != want || (trouble != "") != strings.HasPrefix(found[trouble], other) {
			t.Errorf("%s: findings %v, exit code %d; want a split brain, %q, and %q\n%s", fault, found, r.code, want, trouble, r)
		}
	}
}

func testElectionContexts(t *testing.T, lab *testLab) {
	r := lab.on("owner", "--election", "-o", "json", "--timeout", "2s", "--talosconfig", lab.threeContexts(), "--all-contexts")
	r.keepsTo(t, "ownershiplist")
	var doc struct {
		Items []struct {
			Context, Error string
			VIPs           []struct{ Election *election }
		}
	}
	r.decode(t, &doc)
	if len(doc.Items) != 3 {
		t.Fatalf("%d items; want three\n%s", len(doc.Items), r)
	}
	for _, item := range doc.Items {
		if (item.Error != "") != (item.Context == "dead") || (item.Context != "dead") != (len(item.VIPs) == 2) {
			t.Errorf("%s: %+v; want two VIPs, but of the dead one", item.Context, item)
		}
		for _, v := range item.VIPs {
			if v.Election == nil || len(v.Election.Candidates) != 3 {
				t.Errorf("%s: election = %+v; want three candidates", item.Context, v.Election)
			}
		}
	}
}

// testNoMember: the node's key stays until its lease has run out, and nobody can
// campaign with it.
func testNoMember(t *testing.T, lab *testLab) {
	_, _, bystander := partsOf(t, lab)
	lab.fault("inject", "member-removed", bystander)
	defer lab.fault("undo", "member-removed", bystander)
	_, all := lab.elections(0, "--timeout", "3s")
	found := false
	for _, c := range all["10.5.0.50"].Candidates {
		found = found || c.Ghost && c.Node == bystander
		if c.Ghost != (c.Node == bystander) || c.Ghost && c.GhostReason != bystander+" is no member of etcd" && c.GhostReason != bystander+" does not campaign" {
			t.Errorf("candidate %+v; want a ghost of %s only", c, bystander)
		}
	}
	if !found {
		t.Errorf("candidates = %+v; want a ghost of %s", all["10.5.0.50"].Candidates, bystander)
	}
}

func testElectionWithoutQuorum(t *testing.T, lab *testLab) {
	lab.fault("inject", "etcd-kill", "cp-1", "--hold")
	defer lab.fault("undo", "etcd-kill", "cp-1")
	lab.fault("inject", "etcd-kill", "cp-2", "--hold")
	defer lab.fault("undo", "etcd-kill", "cp-2")
	begun := time.Now()
	r := lab.on("owner", "--election", "-o", "json", "--timeout", "2s")
	took := time.Since(begun)
	for vip, e := range lab.electionsOf(r.code, r) {
		if e.Revision != 0 || len(e.Candidates) != 0 || e.Predicted != nil {
			t.Errorf("election of %s = %+v; want that nobody told it\n%s", vip, e, r)
		}
		for _, a := range e.Asked {
			if !strings.HasPrefix(a.Error, "etcd on "+a.Node) {
				t.Errorf("asked of %s: %+v; want why etcd did not answer", vip, a)
			}
		}
	}
	var doc ownership
	r.decode(t, &doc)
	if v := doc.VIPs[0]; v.Verdict != "owned" && v.Verdict != "unowned" {
		t.Errorf("%+v; want a verdict by the other witnesses", v)
	}
	limit := 3 * time.Second
	if doc.VIPs[0].Sightings != nil { // nobody has it by now: then it looks twice, 2 s apart
		limit += 2*time.Second + limit
	}
	if took > limit+3*time.Second {
		t.Errorf("it took %s; want the timeout of 2 s, and a second at most, for each look: %s", took, limit)
	}
}

// partsOf names the owner of the first VIP, etcd's leader, and a node that is
// neither, nor the owner of the other VIP where there is one left.
func partsOf(t *testing.T, lab *testLab) (owner, leader, bystander string) {
	t.Helper()
	lab.until(0, "owner")
	var etcd struct{ Leader string }
	lab.on("etcd", "-o", "json").decode(t, &etcd)
	_, all := lab.elections(0)
	owner, leader = all["10.5.0.50"].hosts()[0], etcd.Leader
	names := []string{"cp-1", "cp-2", "cp-3"}
	for _, avoid := range []string{all["fd10:5::50"].hosts()[0], leader, owner} {
		if len(names) > 1 {
			names = slices.DeleteFunc(names, func(n string) bool { return n == avoid })
		}
	}
	return owner, leader, names[0]
}
