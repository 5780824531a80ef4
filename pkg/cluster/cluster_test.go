package cluster

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/vip"
)

func address(prefix, link string) Address {
	return Address{Prefix: netip.MustParsePrefix(prefix), Link: link}
}

// example is a snapshot with a known, a missed and an unasked fact.
func example() *Snapshot {
	return &Snapshot{
		APIVersion: APIVersion, Kind: Kind, TakenAt: time.Date(2026, 11, 21, 3, 0, 0, 5, time.UTC), Context: "lab",
		Endpoints: []Endpoint{{Name: "10.5.0.2", Addresses: []netip.Addr{netip.MustParseAddr("10.5.0.2")}}},
		VIPs:      []VIP{{Addr: netip.MustParseAddr("10.5.0.50")}},
		Nodes: []Node{
			{Name: "cp-1", Addr: netip.MustParseAddr("10.5.0.2"), Addresses: Got([]Address{address("10.5.0.2/24", "eth0"), address("10.5.0.50/32", "eth0")})},
			{Name: "cp-2", Addr: netip.MustParseAddr("10.5.0.3"), Addresses: Got([]Address{address("10.5.0.3/24", "eth0")})},
			{Name: "cp-3", Addr: netip.MustParseAddr("10.5.0.4"), Addresses: Missed[[]Address](errors.New("no answer"))},
			{Name: "cp-4", Addr: netip.MustParseAddr("10.5.0.5"), VIPs: Got[[]netip.Addr](nil)},
		},
	}
}

func TestEachNodeClaimsForItself(t *testing.T) {
	want := []vip.Claim{
		{Witness: vip.Address, From: "cp-1", Owner: "cp-1"},
		{Witness: vip.Address, From: "cp-2"},
		{Witness: vip.Address, From: "cp-3", Err: "no answer"},
		{Witness: vip.Address, From: "cp-4", Err: "not asked"},
	}
	if got := example().Claims(netip.MustParseAddr("10.5.0.50")); !reflect.DeepEqual(got, want) {
		t.Errorf("Claims(10.5.0.50) = %+v; want %+v", got, want)
	}
}

func TestASavedSnapshotReadsBackTheSame(t *testing.T) {
	want := example()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse(Marshal(s)) = %+v; want %+v", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ name, data, err string }{
		{"nothing", ``, "not a snapshot"},
		{"an array", `[1]`, "not a snapshot: it is JSON of type array, and no object"},
		{"a kind that is a number", `{"kind":7}`, "Kind must not be of type number"},
		{"nodes that are a number", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":7}`, "not a snapshot: nodes must not be of type number"},
		{"a fact that is a number", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{"name":"a","hostname":7}]}`, "not a snapshot: nodes.hostname must not be of type number"},
		{"another kind", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"DoctorReport"}`, `kind is "DoctorReport"`},
		{"another version", `{"apiVersion":"vipctl.dev/v9","kind":"Snapshot"}`, `version "vipctl.dev/v9"`},
		{"a node twice", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{"name":"a"},{"name":"a"}]}`, "names a twice"},
		{"a node without a name", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{}]}`, "without a name"},
		{"another version, whose fields are others", `{"apiVersion":"vipctl.dev/v9","kind":"Snapshot","nodes":7}`, `version "vipctl.dev/v9"`},
		{"an earlier one of an earlier one", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","earlier":{"earlier":{}}}`, "earlier"},
		{"an earlier one that names a node twice", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","earlier":{"nodes":[{"name":"a"},{"name":"a"}]}}`, "names a twice"},
		{"a fact that is both", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{"name":"a","hostname":{"value":"a","error":"b"}}]}`, "both a value and an error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse([]byte(tt.data)); err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "Go ") {
				t.Errorf("Parse(%s) = %v; want an error with %q, and no type of Go in it", tt.data, err, tt.err)
			}
		})
	}
}

// What an older vipctl did not write was not asked for.
func TestAnOlderSnapshotReads(t *testing.T) {
	got, err := Parse([]byte(`{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","takenAt":"2026-11-21T03:00:00Z","endpoints":[],
		"nodes":[{"name":"cp-1","addr":"10.5.0.2","addresses":{"value":[{"prefix":"10.5.0.50/32","link":"eth0"}]}}],"vips":[{"addr":"10.5.0.50"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if v := got.Judge(netip.MustParseAddr("10.5.0.50")); v.Ownership != vip.Owned || v.Owners[0] != "cp-1" {
		t.Errorf("Judge(10.5.0.50) = %+v; want it owned by cp-1", v)
	}
	if got.VIPs[0].ARP.Err() != "not asked" || got.Nodes[0].Apid.Known() {
		t.Errorf("the snapshot = %+v; want what it lacks not asked", got)
	}
}

func TestJudgeWeighsBothSightings(t *testing.T) {
	addr := netip.MustParseAddr("10.5.0.50")
	two := example()
	two.Nodes[1].Addresses = Got(append(two.Nodes[1].Addresses.Value(), address("10.5.0.50/32", "eth0")))
	handover, twice := example(), *two
	handover.Earlier, twice.Earlier = two, two
	for _, tt := range []struct {
		name string
		snap *Snapshot
		want vip.Ownership
	}{
		{"one owner", example(), vip.Owned},
		{"two, seen once", two, vip.SplitBrain},
		{"two, and then one", handover, vip.Owned},
		{"two, seen twice", &twice, vip.SplitBrain},
	} {
		if got := tt.snap.Judge(addr); got.Ownership != tt.want || tt.snap.Earlier != nil && !strings.Contains(got.Reason, "; ") {
			t.Errorf("%s: Judge(%s) = %+v; want %v, with a word on both sightings", tt.name, addr, got, tt.want)
		}
	}
}
