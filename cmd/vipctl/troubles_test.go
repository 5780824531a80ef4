package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// trouble is a row: what is done to a lab, and what owner must say of it.
//
// OWNER stands for the node that holds the VIP before, HEIR for the one that
// holds it by the lab's own account when owner has answered, and OTHER and THIRD
// for the nodes beside OWNER.
type trouble struct {
	name   string
	faults []string // of "lab fault inject"
	vip    string   // that the row is about, "" for the lab's first
	code   int      // exit code
	// want is the verdict, the owners, the findings with their nodes, and the
	// witnesses that were silent but for this machine's neighbour table, which
	// seldom says anything.
	want string
	says string // a part of the reason or of a finding
	// settles says that the first answers may be others, for an election is
	// under way; else the very first must be as wanted.
	settles bool
	// mayMiss is a witness that may be silent or not, by who is faster.
	mayMiss string
	// once says that a second look would show nothing new; else a verdict that
	// may come from a handover must have been seen twice.
	once bool
}

// truth is who holds a VIP, by the lab's own account, "" where nobody does.
func (l *testLab) truth(vip string) string {
	l.t.Helper()
	var doc struct {
		VIPs []struct {
			Address string
			Holders []string
		}
	}
	vipctl(l.t, "lab", "status", "--name", l.name, "-o", "json").decode(l.t, &doc)
	for _, v := range doc.VIPs {
		if v.Address == vip {
			return strings.Join(v.Holders, ",")
		}
	}
	l.t.Fatalf("the lab has no VIP %s", vip)
	return ""
}

// kept looks, and judges again what it saw, outside of the lab: both must say
// the same.
func (l *testLab) kept() (result, ownership) {
	l.t.Helper()
	path := filepath.Join(l.t.TempDir(), "snapshot.json")
	r := l.on("owner", "-o", "json", "--timeout", "2s", "--save", path)
	r.keepsTo(l.t, "ownership")
	var doc ownership
	r.decode(l.t, &doc)
	if again := vipctl(l.t, "owner", "--from", path, "-o", "json"); again.code != r.code || again.stdout != r.stdout {
		l.t.Errorf("judged again:\n%s\nwant as before:\n%s", again, r)
	}
	return r, doc
}

// said is what a document says of a VIP, in the words of trouble.want.
func (doc ownership) said(vip string) (said, text string, sightings int) {
	for _, v := range doc.VIPs {
		if v.VIP != vip {
			continue
		}
		words := []string{v.Verdict}
		owners := slices.Sorted(slices.Values(v.Owners))
		words = append(words, owners...)
		text = v.Reason
		var findings, silent []string
		for _, f := range v.Findings {
			findings = append(findings, strings.TrimSuffix(f.Trouble+":"+f.Node, ":"))
			text += "\n" + f.Message
		}
		for _, w := range v.Witnesses {
			if w.Error != "" && w.Witness != "neighbour" {
				silent = append(silent, strings.TrimSuffix(w.Witness+":"+w.From, ":here"))
			}
		}
		said = strings.Join(words, " ")
		if len(findings) > 0 {
			said += "; found " + strings.Join(slices.Compact(findings), " ")
		}
		if len(silent) > 0 {
			said += "; silent " + strings.Join(silent, " ")
		}
		return said, text, len(v.Sightings)
	}
	return "not there", "", 0
}

// whole waits until the lab is as it was at first: every VIP owned, and nothing
// else to say.
func (l *testLab) whole() ownership {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		r := l.on("owner", "-o", "json", "--timeout", "2s")
		var doc ownership
		r.decode(l.t, &doc)
		calm := r.code == 0
		for _, v := range doc.VIPs {
			said, _, _ := doc.said(v.VIP)
			calm = calm && said == "owned "+l.truth(v.VIP)
		}
		if calm {
			return doc
		}
		if time.Now().After(end) {
			l.t.Fatalf("the lab is not whole after a minute\n%s", r)
		}
	}
}

// shows makes the trouble, and undoes it.
func (tt trouble) shows(t *testing.T, l *testLab) {
	doc := l.whole()
	v := tt.vip
	if v == "" {
		v = doc.VIPs[0].VIP
	}
	owner := l.truth(v)
	var others []string
	for _, n := range doc.Nodes {
		if n.Node != owner {
			others = append(others, n.Node)
		}
	}
	names := strings.NewReplacer("OWNER", owner, "OTHER", others[0], "THIRD", others[1])
	defer func() {
		l.fault("undo", "--all")
		l.whole()
	}()
	for _, f := range tt.faults {
		l.fault("inject", strings.Fields(names.Replace(f))...)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		r, doc := l.kept()
		said, text, sightings := doc.said(v)
		if tt.mayMiss != "" {
			said = strings.TrimSuffix(strings.Replace(said, " "+tt.mayMiss, "", 1), "; silent")
		}
		heir := ""
		if tt.settles {
			heir = strings.Trim(strings.ReplaceAll(","+l.truth(v)+",", ","+owner+",", ","), ",") // a frozen owner still has it
		}
		want := sorted(strings.ReplaceAll(names.Replace(tt.want), "HEIR", heir))
		if r.code != tt.code || said != want || !strings.Contains(text, names.Replace(tt.says)) {
			if tt.settles && time.Now().Before(end) {
				continue
			}
			t.Errorf("%s: owner says %q; want %q with %q, exit code %d\n%s", strings.Join(tt.faults, ", "), said, want, tt.says, tt.code, r)
		}
		seen := 0
		if verdict, _, _ := strings.Cut(want, " "); !tt.once && (verdict == "splitBrain" || verdict == "disputed") {
			seen = 2
		}
		if sightings != seen && !tt.settles {
			t.Errorf("%d sightings; want %d\n%s", sightings, seen, r)
		}
		break
	}
}

// sorted puts the owners of a wanted verdict into the order of their names.
func sorted(want string) string {
	head, rest, found := strings.Cut(want, ";")
	words := strings.Fields(head)
	slices.Sort(words[1:])
	if found {
		return strings.Join(words, " ") + ";" + rest
	}
	return strings.Join(words, " ")
}

func showAll(t *testing.T, lab *testLab, troubles []trouble) {
	for _, tt := range troubles {
		t.Run(tt.name, func(t *testing.T) { tt.shows(t, lab.in(t)) })
	}
}

// The lease is long: nobody takes the VIP from an owner that is silent.
func TestTroublesWhileTheOwnerStays(t *testing.T) {
	t.Parallel()
	const stranger = "06:00:00:00:00:66"
	showAll(t, newLab(t), []trouble{
		{name: "another node carries it as if it owned it", faults: []string{"split-brain OTHER"}, code: 6,
			want: "splitBrain OWNER OTHER; found twoOwners", says: "seen twice"},
		{name: "another node kept it", faults: []string{"leftover-vip OTHER"}, code: 6,
			want: "splitBrain OWNER OTHER; found twoOwners leftoverAddress:OTHER"},
		{name: "the owner has it as a static address", faults: []string{"static-vip OWNER"}, code: 3,
			want: "disputed OWNER; found staticAddress:OWNER", says: "keeps it whoever is elected"},
		{name: "another node has it as a static address", faults: []string{"static-vip OTHER"}, code: 6,
			want: "splitBrain OWNER OTHER; found twoOwners staticAddress:OTHER"},
		{name: "a foreign host has it", faults: []string{"foreign-host"}, code: 3,
			want: "disputed OWNER; found foreignHost", says: stranger + " answers for it on the wire", mayMiss: "certificate"},
		{name: "a foreign host has it and says so", faults: []string{"foreign-host --announce"}, code: 3,
			want: "disputed OWNER; found foreignHost", says: stranger + " answers for it on the wire", mayMiss: "certificate"},
		{name: "another node kept it, and is silent", faults: []string{"leftover-vip OTHER", "api-hang OTHER"}, code: 6,
			want: "splitBrain OWNER OTHER; found twoOwners; silent address:OTHER", says: "and OTHER, silent itself, answers for it on the wire", mayMiss: "certificate"},
		{name: "a foreign host has it, and another node is off", faults: []string{"power-off OTHER", "foreign-host"}, code: 3,
			want: "disputed OWNER; found foreignHost; silent address:OTHER", says: "foreign host, or OTHER: OWNER holds the address, but " + stranger + " answers for it on the wire", mayMiss: "certificate"},
		{name: "the switch drops what the VIP sends", faults: []string{"port-security OWNER"}, code: 0,
			want: "owned OWNER; found unreachable:OWNER; silent certificate arp", says: "OWNER has the address and answers on its own"},
		{name: "the workstation alone is parted from the owner", faults: []string{"partition OWNER --from workstation"}, code: 0,
			want: "owned OWNER; found unreachable:OWNER; silent certificate arp", says: "is reached by other nodes"},
		{name: "the owner is parted from everybody", faults: []string{"partition OWNER"}, code: 7,
			want: "unknown; silent address:OWNER certificate arp", says: "and OWNER did not say"},
		{name: "the owner is frozen", faults: []string{"freeze OWNER"}, code: 7,
			want: "unknown; silent address:OWNER certificate arp", says: "and OWNER did not say"},
		{name: "the owner's clock is ahead", faults: []string{"clock-skew OWNER --offset 2h"}, want: "owned OWNER"},
		{name: "the owner's clock is a month behind", faults: []string{"clock-skew OWNER --offset -800h"}, want: "owned OWNER"},
		{name: "the owner's kube-apiserver is not ready", faults: []string{"apiserver-unready OWNER"}, want: "owned OWNER"},
	})
}

// The lease is short: who is silent loses the VIP.
func TestTroublesThatMoveIt(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	t.Run("the gratuitous ARP is lost", func(t *testing.T) { testStaleARP(t, lab.in(t)) })
	t.Run("the gratuitous ARP is heard", func(t *testing.T) { testHandover(t, lab.in(t)) })
	showAll(t, lab, []trouble{
		{name: "the owner's static pod is taken away", faults: []string{"apiserver-absent OWNER"}, want: "owned HEIR", settles: true},
		{name: "the owner's etcd is dead", faults: []string{"etcd-kill OWNER --hold"}, want: "owned HEIR", settles: true},
	})
}

// Who is silent for longer than the lease loses the VIP to another.
func TestTroublesThatOutlastTheLease(t *testing.T) {
	t.Parallel()
	showAll(t, newLab(t, "--lease-ttl", "3s"), []trouble{
		{name: "the owner is parted from everybody", faults: []string{"partition OWNER"},
			want: "owned HEIR; silent address:OWNER", says: "silent: OWNER", settles: true},
		{name: "the owner is frozen, and has it still", faults: []string{"freeze OWNER"},
			want: "owned HEIR; silent address:OWNER", says: "silent: OWNER", settles: true},
	})
}

// Nobody can take the VIP, nor keep it.
func TestTroublesWithoutQuorum(t *testing.T) {
	t.Parallel()
	showAll(t, newLab(t, "--lease-ttl", "3s"), []trouble{
		{name: "etcd is dead on two, and every node says that it has let go", faults: []string{"etcd-kill OTHER --hold", "etcd-kill THIRD --hold"}, code: 3,
			want: "unowned; found noOwner; silent certificate arp", says: "every node answered and none holds the address; seen twice", settles: true},
		{name: "two are off, which may have it for all that is known", faults: []string{"power-off OTHER", "power-off THIRD"}, code: 7,
			want: "unknown; silent address:OTHER address:THIRD certificate arp", says: "nobody who answered holds the address, and OTHER and THIRD did not say", settles: true},
	})
}

// moves lets the VIP go on to another node, and returns from whom to whom. The
// workstation has just talked to the former.
func (l *testLab) moves() (former, heir string) {
	l.t.Helper()
	l.whole()
	former = l.truth("10.5.0.50")
	l.fault("inject", "kubelet-stop", former)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if heir = l.truth("10.5.0.50"); heir != "" && !strings.Contains(heir, former) {
			return former, heir
		}
	}
	l.t.Fatalf("the VIP is held by %s after a minute; want another than %s", heir, former)
	return
}

// testStaleARP: our own question corrects the entry, so it is seen once, and
// each time. The certificate may be silent: what is sent to the former owner
// goes on to the heir, or nowhere.
func testStaleARP(t *testing.T, lab *testLab) {
	for range 3 {
		lab.fault("inject", "lose-garp")
		former, heir := lab.moves()
		r, doc := lab.kept()
		said, text, sightings := doc.said("10.5.0.50")
		said = strings.TrimSuffix(said, "; silent certificate")
		if want := fmt.Sprintf("disputed %s; found staleARP:%s", heir, former); r.code != 3 || said != want || sightings != 0 ||
			!strings.Contains(text, heir+" answers on the wire, which corrects this entry") {
			t.Errorf("owner says %q; want %q, seen once, exit code 3\n%s", said, want, r)
		}
		lab.fault("undo", "--all")
		lab.whole()
	}
}

func testHandover(t *testing.T, lab *testLab) {
	for range 2 {
		_, heir := lab.moves()
		r, doc := lab.kept()
		if said, _, _ := doc.said("10.5.0.50"); r.code != 0 || said != "owned "+heir {
			t.Errorf("owner says %q; want \"owned %s\", exit code 0\n%s", said, heir, r)
		}
		lab.fault("undo", "--all")
	}
}

// Each VIP has its own owner and its own verdict; the exit code is the worst.
func TestTroublesOfOneVIPAmongThree(t *testing.T) {
	t.Parallel()
	const first, second, third = "10.5.0.50", "10.5.0.51", "fd10:5::50"
	lab := newLab(t, "--lease-ttl", "5s", "--vip", first, "--vip", second, "--vip", third)
	for lab.whole(); lab.truth(first) == lab.truth(second); lab.whole() {
		// Who would be next for the first VIP queues up anew, behind the other.
		elections := lab.queues()
		if a, b := elections[first].hosts(), elections[second].hosts(); slices.Equal(a, b) {
			lab.fault("inject", "ghost", a[1], "--vip", first)
			lab.fault("undo", "ghost", a[1])
		}
		lab.fault("inject", "kubelet-stop", "owner")
		lab.fault("undo", "kubelet-stop")
	}
	r, doc := lab.kept()
	for _, v := range []string{first, second, third} {
		if said, _, _ := doc.said(v); r.code != 0 || said != "owned "+lab.truth(v) {
			t.Errorf("%s: owner says %q; want \"owned %s\", exit code 0\n%s", v, said, lab.truth(v), r)
		}
	}
	showAll(t, lab, []trouble{
		{name: "two have the second", vip: second, faults: []string{"split-brain OTHER --vip " + second}, code: 6,
			want: "splitBrain OWNER OTHER; found twoOwners"},
		{name: "the first of them has its owner", vip: first, faults: []string{"foreign-host --vip " + second}, code: 3, want: "owned OWNER", once: true, settles: true},
		{name: "a foreign host has the IPv6 one", vip: third, faults: []string{"foreign-host --vip " + third}, code: 3,
			want: "disputed OWNER; found foreignHost", says: "answers for it on the wire", mayMiss: "certificate"},
		{name: "another node kept the IPv6 one", vip: third, faults: []string{"leftover-vip OTHER --vip " + third}, code: 6,
			want: "splitBrain OWNER OTHER; found twoOwners leftoverAddress:OTHER", mayMiss: "certificate"},
	})
}

// queues are the elections of all VIPs, by their addresses.
func (l *testLab) queues() map[string]election {
	_, all := l.elections(0)
	return all
}

func TestTroublesOfAVIPOnOneNode(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s", "--vip-nodes", "cp-2")
	lab.whole()
	lab.on("owner", "-o", "wide").shows(t, 0, `cp-1 10\.5\.0\.2 - - v1.*`, `cp-2 10\.5\.0\.3 10\.5\.0\.50 10\.5\.0\.50 v1.*`)
	showAll(t, lab, []trouble{
		{name: "nobody else takes it where it is let go", faults: []string{"etcd-kill OWNER --hold"}, code: 3,
			want: "unowned; found noOwner; silent certificate arp", settles: true},
		{name: "the only node is off", faults: []string{"power-off OWNER"}, code: 7,
			want: "unknown; silent address:OWNER certificate arp", says: "and OWNER did not say", settles: true},
	})
}
