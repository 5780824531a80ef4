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
			{Name: "cp-4", Addr: netip.MustParseAddr("10.5.0.5")},
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
		{"another kind", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"DoctorReport"}`, `kind is "DoctorReport"`},
		{"another version", `{"apiVersion":"vipctl.dev/v9","kind":"Snapshot"}`, `version "vipctl.dev/v9"`},
		{"a node twice", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{"name":"a"},{"name":"a"}]}`, "names a twice"},
		{"a node without a name", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{}]}`, "without a name"},
		{"a fact that is both", `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{"name":"a","hostname":{"value":"a","error":"b"}}]}`, "both a value and an error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse([]byte(tt.data)); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Parse(%s) = %v; want an error with %q", tt.data, err, tt.err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	data, _ := json.Marshal(example())
	f.Add(data)
	f.Add([]byte(`{"kind":"Snapshot","nodes":[{"addresses":{"value":[{"prefix":"10.0.0.1/99"}]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		snap, err := Parse(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(snap)
		if err != nil {
			t.Fatalf("Marshal(Parse(%q)): %v", data, err)
		}
		if _, err := Parse(again); err != nil {
			t.Fatalf("Parse(Marshal(Parse(%q))): %v", data, err)
		}
	})
}
