package report

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/outage"
	"github.com/vipctl/vipctl/pkg/vip"
)

var (
	someVIP  = netip.MustParseAddr("192.0.2.50")
	someTime = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
)

// someCluster is three nodes; the VIP is on cp-1, the third does not answer.
func someCluster() *cluster.Snapshot {
	down := errors.New("dial tcp 192.0.2.3:50000: connect: no route to host")
	s := &cluster.Snapshot{
		APIVersion: cluster.APIVersion, Kind: cluster.Kind, TakenAt: someTime, Context: "lab",
		Endpoints: []cluster.Endpoint{{Name: "192.0.2.1", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}},
		VIPs:      []cluster.VIP{{Addr: someVIP, APIServer: cluster.Got(someServer(1))}},
	}
	members := []cluster.Member{
		{ID: "a1", Hostname: "cp-1", PeerURLs: []string{"https://192.0.2.1:2380"}},
		{ID: "a2", Hostname: "cp-2"}, {ID: "a3", Hostname: "cp-3"},
	}
	for i := 1; i <= 2; i++ {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		addresses := []cluster.Address{{Prefix: netip.PrefixFrom(addr, 24), Link: "eth0"}}
		if i == 1 {
			addresses = append(addresses, cluster.Address{Prefix: netip.PrefixFrom(someVIP, 32), Link: "eth0"})
		}
		name := fmt.Sprintf("cp-%d", i)
		s.Nodes = append(s.Nodes, cluster.Node{
			Name: name, Addr: addr, Reachable: cluster.Got(true), Hostname: cluster.Got(name),
			Version:   cluster.Got(cluster.Version{Tag: "v1.13.9", Platform: "metal"}),
			Stage:     cluster.Got(cluster.Stage{Stage: "running", Ready: true}),
			BootTime:  cluster.Got(someTime.Add(-time.Hour)),
			Addresses: cluster.Got(addresses), VIPs: cluster.Got([]netip.Addr{someVIP}),
			Links:   cluster.Got([]cluster.Link{{Name: "eth0", State: "up"}}),
			Members: cluster.Got(members), Alarms: cluster.Got([]cluster.Alarm{}),
			Etcd: cluster.Got(cluster.EtcdStatus{MemberID: fmt.Sprintf("a%d", i), Leader: "a1", Term: 3,
				Index: 900, AppliedIndex: 898, DBSize: 5 << 20, DBInUse: 3 << 19, Version: "3.6.0"}),
			APIServer: cluster.Got(someServer(i)),
		})
	}
	s.Nodes = append(s.Nodes, cluster.Node{
		Name: "cp-3", Addr: netip.MustParseAddr("192.0.2.3"), Reachable: cluster.Missed[bool](down),
		Addresses: cluster.Missed[[]cluster.Address](down), VIPs: cluster.Missed[[]netip.Addr](down),
		Members: cluster.Missed[[]cluster.Member](down), Etcd: cluster.Missed[cluster.EtcdStatus](down),
		Version: cluster.Missed[cluster.Version](down), Stage: cluster.Missed[cluster.Stage](down),
	})
	return s
}

// someEtcd is that of someCluster, where moreover a member was removed behind the
// back of one node, there was an election, and much is to be put right.
func someEtcd() *EtcdReport {
	s := someCluster()
	s.EtcdLaterAfter = 1
	members := s.Nodes[0].Members.Value()
	s.Nodes[1].Members = cluster.Got(append([]cluster.Member{{ID: "a9", PeerURLs: []string{"https://192.0.2.50:2380"}, Learner: true}}, members...))
	for i := range 2 {
		later := s.Nodes[i].Etcd.Value()
		later.Term, later.Index, later.AppliedIndex = 4, 950, 950-uint64(i)
		s.Nodes[i].EtcdLater = cluster.Got(later)
	}
	later := s.Nodes[1].EtcdLater.Value()
	later.Version, later.DBSize, later.DBInUse = "3.6.1", 1800<<20, 400<<20
	s.Nodes[1].EtcdLater = cluster.Got(later)
	doc := NewEtcd(s, 5*time.Second)
	state := checks.EtcdVerdict(s)
	loss, err := state.Without(s, "192.0.2.1", "a3")
	if err != nil {
		panic(err)
	}
	doc.SetWithout(loss, 5*time.Second)
	return doc
}

func someServer(i int) cluster.APIServer {
	return cluster.APIServer{Answered: true, Status: 200, Certificate: cluster.Certificate{
		Fingerprint: fmt.Sprintf("f%d", i), Addresses: []netip.Addr{someVIP}, NotAfter: someTime.AddDate(1, 0, 0),
	}}
}

func someOwnership() *Ownership {
	s := someCluster()
	claims := append(s.Claims(someVIP), vip.Claim{Witness: vip.ARP, From: "here", Err: "needs CAP_NET_RAW"})
	return NewOwnership(s, Judged{VIP: someVIP, Claims: claims, Verdict: vip.Verdict{
		Ownership: vip.Owned, Owners: []string{"cp-1"}, Silent: claims[2:3], Reason: "cp-1 has it; cp-3 is silent",
	}})
}

// someSplitBrain was seen twice.
func someSplitBrain() *Ownership {
	s := someCluster()
	s.Nodes[1].Addresses = cluster.Got(append(s.Nodes[1].Addresses.Value(), cluster.Address{Prefix: netip.PrefixFrom(someVIP, 32), Link: "eth0"}))
	s.Nodes[1].Layers = cluster.Got([]cluster.Layered{})
	s.Earlier = someCluster()
	s.TakenAt = someTime.Add(2 * time.Second)
	now := vip.Judge(s.Claims(someVIP))
	once := vip.Verdict{Ownership: vip.SplitBrain, Owners: []string{"cp-1", "cp-2"}, Reason: "cp-1 and cp-2 hold the address"}
	verdict := vip.Confirm(once, now)
	return NewOwnership(s, Judged{VIP: someVIP, Claims: s.Claims(someVIP), Verdict: verdict, Findings: verdict.Findings, First: &once, Second: &now})
}

// someTrouble is every kind of trouble at once, on two VIPs, and a node that
// was read through another.
func someTrouble() *Ownership {
	s := someCluster()
	s.Nodes[1].Via, s.Nodes[1].ViaReason = "192.0.2.1", "no answer from 192.0.2.2:50000 within 5 s"
	s.VIPs[0].APIServer = cluster.Got(cluster.APIServer{Certificate: cluster.Certificate{Fingerprint: "0011223344556677"}})
	other := netip.MustParseAddr("2001:db8::50")
	var findings []vip.Finding
	for _, trouble := range vip.Troubles() {
		findings = append(findings, vip.Finding{Trouble: trouble, Node: "cp-2", Text: "what is wrong: cp-2 is, in the way of " + trouble.String()})
	}
	findings[0].Node = "" // no single one
	claims := []vip.Claim{
		{Witness: vip.Address, From: "cp-1", Owner: "cp-1", By: vip.ByElection},
		{Witness: vip.Address, From: "cp-2", Owner: "cp-2", By: vip.ByNobody},
		{Witness: vip.Address, From: "cp-3", Owner: "cp-3", By: vip.ByConfig},
		{Witness: vip.Certificate, From: "here", Err: "the certificate fits no node that answered, and may be that of cp-3"},
		{Witness: vip.ARP, From: "here", Owner: "cp-2"},
		{Witness: vip.ARP, From: "here", Stranger: "02:00:00:00:00:66"},
		{Witness: vip.Neighbour, From: "here", Owner: "cp-1"},
		{Witness: vip.Election, From: "cp-1", Err: "etcd on cp-1 (192.0.2.1:2379): no answer within 5 s"},
		{Witness: vip.Election, From: "cp-2", Err: "the role of this talosconfig may not read etcd's certificates"},
	}
	return NewOwnership(s,
		Judged{VIP: someVIP, Claims: claims, Findings: findings[:1], Verdict: vip.Verdict{
			Ownership: vip.Disputed, Owners: []string{"cp-1"}, Reason: "the witnesses contradict each other"}},
		Judged{VIP: other, Claims: claims[:1], Findings: findings[1:], Verdict: vip.Verdict{
			Ownership: vip.Owned, Owners: []string{"cp-1"}, Reason: "cp-1 holds the address"}})
}

func someDoctor() *DoctorReport {
	s := someCluster()
	list, err := checks.Choose(checks.All(), checks.Choice{Only: []string{
		"nodes-answer", "versions-alike", "endpoint-not-vip", "etcd-quorum", "vip-answers",
	}})
	if err != nil {
		panic(err)
	}
	return NewDoctor(s, checks.Run(s, list))
}

// someRun is a run of three drills: one good, one open, one refused.
func someRun() *DrillReport {
	r := NewDrillReport("192.0.2.50", "01JNABCDEF", "/state/vipctl/runs/01JNABCDEF",
		Anchor{Wall: someTime, MonotonicNanoseconds: 1_000_000_000})
	fault := 5 * time.Second
	good := someMeasurement(fault)
	at := r.Anchor.At(fault)
	r.Add(Drill{
		Mode: "graceful", Round: 1, Target: "cp-1", OldOwner: "cp-1", NewOwner: "cp-2", OwnerWasEtcdLeader: true,
		Result: "pass", FaultAt: &at, Outage: NewOutage(good, fault), ResolutionSeconds: 0.22, ObjectiveSeconds: 2,
		Predicted: Prediction{UpperSeconds: 1, Basis: "the owner hands over before it goes down"},
		Phases:    []Phase{{"fault accepted", 0.004}, {"address gone from cp-1", 0.031}, {"TCP connects", 0.052}},
		Probes:    []Probe{NewProbe("tcp", "192.0.2.50:6443", good, fault)},
	})
	open := outage.Measurement{State: outage.Open, Samples: 9000,
		Outage:  outage.Window{Start: fault, End: 155 * time.Second, Lower: 150 * time.Second, Upper: outage.Unbounded, Lost: 7500, Open: true},
		Windows: []outage.Window{{Start: fault, End: 155 * time.Second, Lower: 150 * time.Second, Upper: outage.Unbounded, Lost: 7500, Open: true}}}
	r.Add(Drill{
		Mode: "hard", Round: 1, Target: "cp-2", OldOwner: "cp-2", Result: "notWhole", FaultAt: &at,
		Outage: NewOutage(open, fault), ResolutionSeconds: 0.22,
		Predicted: Prediction{LowerSeconds: 40, UpperSeconds: 60.5, Basis: "the rest of a 60 s lease"},
		Error:     "cp-2 does not answer", Hint: "vipctl recover 01JNABCDEF",
	})
	r.Add(Drill{Mode: "hard", Round: 2, Target: "cp-2", OldOwner: "cp-2", Result: "refused", Error: "cp-2 is down",
		Outage: NewOutage(outage.Measurement{}, 0), Probes: []Probe{NewProbe("tcp", "192.0.2.50:6443", outage.Measurement{}, 0)}})
	r.Result, r.FinishedAt = "notWhole", someTime.Add(3*time.Minute)
	return r
}

func someMeasurement(fault time.Duration) outage.Measurement {
	w := outage.Window{
		Start: fault + 30*time.Millisecond, End: fault + 52*time.Millisecond,
		Value: 22 * time.Millisecond, Lower: 1500 * time.Microsecond, Upper: 41_200_300, Lost: 1,
	}
	return outage.Measurement{State: outage.Closed, Outage: w, Windows: []outage.Window{w}, Samples: 1500, Late: 1, Suspect: 2}
}

func somePlan() Plan {
	return Plan{
		VIP: "192.0.2.50", Owner: "cp-1", EtcdLeader: "cp-1",
		Interval: 20 * time.Millisecond, Timeout: 200 * time.Millisecond, Baseline: 5 * time.Second, Settle: 15 * time.Second,
		Steps: []PlannedDrill{
			{Mode: "graceful", Round: 1, Target: "cp-1", Does: "reboot", Predicted: Prediction{UpperSeconds: 1, Basis: "a hand-over"}, Objective: 2 * time.Second},
			{Mode: "hard", Round: 1, Target: "the owner", Does: "cut the power, then switch it on",
				Predicted: Prediction{LowerSeconds: 62, UpperSeconds: 63, Basis: "a 60 s lease, re-armed by a new etcd leader"}},
		},
	}
}
