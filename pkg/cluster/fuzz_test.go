package cluster

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"time"
)

// A file that is accepted as a snapshot is one: it can be asked, and written
// again so that it is read as the same.
func FuzzParseSnapshot(f *testing.F) {
	whole := Snapshot{APIVersion: APIVersion, Kind: Kind, TakenAt: time.Unix(1_700_000_000, 0).UTC(), Nodes: []Node{{
		Name: "cp-1", Addr: netip.MustParseAddr("10.5.0.2"), Reachable: Got(true), Hostname: Got("cp-1"),
		Addresses: Got([]Address{{Prefix: netip.MustParsePrefix("10.5.0.50/32"), Link: "eth0"}}),
	}}, VIPs: []VIP{{Addr: netip.MustParseAddr("10.5.0.50")}}}
	seed, err := json.Marshal(&whole)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	for _, s := range []string{
		`{"kind":"Snapshot","nodes":[{"addresses":{"value":[{"prefix":"10.0.0.1/99"}]}}]}`,
		``, `null`, `{}`, `[]`, `{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{"name":"a"},{"name":"a"}]}`,
		`{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[null],"vips":[{}]}`,
		`{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","nodes":[{"name":"a","hostname":{"value":"x","error":"y"}}]}`,
		`{"apiVersion":"vipctl.dev/v1alpha1","kind":"Snapshot","earlier":{"kind":"x"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		snap, err := Parse(data)
		if err != nil {
			return
		}
		for _, v := range snap.VIPs {
			_ = snap.Judge(v.Addr)
		}
		first, err := json.Marshal(snap)
		if err != nil {
			t.Fatalf("Parse(%q) gave what cannot be written: %v", data, err)
		}
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("Parse(%q) wrote %s, which is refused: %v", data, first, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("Parse(%q) wrote %s, and then %s (%v)", data, first, second, err)
		}
	})
}
