//go:build linux

package main

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/fleet"
)

func TestFleetFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		args  []string
		sizes []int // nil: refused
	}{
		"by default both sizes":     {nil, []int{100, 1000}},
		"one size":                  {[]string{"-nodes", "9"}, []int{9}},
		"a size that is no number":  {[]string{"-nodes", "many"}, nil},
		"too few nodes":             {[]string{"-nodes", "100,2"}, nil},
		"no rounds":                 {[]string{"-rounds", "0"}, nil},
		"a format that there isn't": {[]string{"-o", "xml"}, nil},
	} {
		o, err := parseFleet(tt.args)
		if (err != nil) != (tt.sizes == nil) || err == nil && !slices.Equal(o.sizes, tt.sizes) {
			t.Errorf("%s: parseFleet(%q) = %v, %v; want %v", name, tt.args, o.sizes, err, tt.sizes)
		}
	}
}

func TestRightOwners(t *testing.T) {
	clusters, err := fleet.Plan(9)
	if err != nil {
		t.Fatal(err)
	}
	type item = map[string]any
	list := func(edit func(items []item) []item) []byte {
		var items []item
		for _, c := range clusters {
			items = append(items, item{"context": c.Name, "vips": []item{{"vip": c.VIP, "verdict": "owned", "owner": c.Nodes[c.Owner].Name}}})
		}
		data, err := json.Marshal(item{"items": edit(items)})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, tt := range map[string]struct {
		edit  func([]item) []item
		right int // -1: no list of these clusters
	}{
		"all of them":    {func(i []item) []item { return i }, 3},
		"one unowned":    {func(i []item) []item { i[0]["vips"].([]item)[0]["verdict"] = "unowned"; return i }, 2},
		"the wrong node": {func(i []item) []item { i[1]["vips"].([]item)[0]["owner"] = clusters[1].Nodes[0].Name; return i }, 2},
		"one that could not be asked": {func(i []item) []item {
			i[2] = item{"context": clusters[2].Name, "error": "x"}
			return i
		}, 2},
		"one is missing": {func(i []item) []item { return i[1:] }, -1},
		"in wrong order": {func(i []item) []item { i[0], i[1] = i[1], i[0]; return i }, -1},
		"no list at all": {func([]item) []item { return nil }, -1},
	} {
		right, err := rightOwners(list(tt.edit), clusters)
		if (err != nil) != (tt.right < 0) || err == nil && right != tt.right {
			t.Errorf("%s: rightOwners() = %d, %v; want %d", name, right, err, tt.right)
		}
	}
}

func TestFleetFigures(t *testing.T) {
	small, great := fleetTimes{nodes: 100}, fleetTimes{nodes: 1000}
	for _, wall := range []time.Duration{200 * time.Millisecond, 300 * time.Millisecond, 400 * time.Millisecond} {
		small.add(wall, wall/2, wall/4, 50<<10, 33)
		great.add(12*wall, 9*wall/2, wall, 300<<10, 333)
	}
	got := make(map[string]figure)
	for _, f := range fleetFigures([]fleetTimes{small, great}) {
		got[f.What] = f
	}
	for what, want := range map[string]struct {
		median float64
		goal   string
	}{
		"100 nodes: wall time":                             {0.3, "-"},
		"100 nodes: wall time per node":                    {3, "-"},
		"1000 nodes: wall time":                            {3.6, "< 5: met"},
		"1000 nodes: vipctl's greatest memory (RSS)":       {300, "< 250: missed"},
		"1000 nodes: VIPs owned by the right node, of 333": {333, "-"},
		"1000 nodes: the fleet's CPU time per node":        {0.3, "-"},
		"wall time per node, 1000 to 100 nodes":            {1.2, "< 1.3: met"},
		"CPU time per node, 1000 to 100 nodes":             {0.9, "-"},
	} {
		f := got[what]
		if diff := f.Median - want.median; diff > 1e-9 || diff < -1e-9 || len(f.Values) == 0 || f.goal() != want.goal {
			t.Errorf("%s = %v, goal %q; want %v, %q", what, f.Median, f.goal(), want.median, want.goal)
		}
	}
}
