//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestFigures(t *testing.T) {
	tests := map[string]struct {
		values           []float64
		min, median, max float64
		goal             string
	}{
		"one value that is below":        {[]float64{2}, 2, 2, 2, "< 3: met"},
		"an odd number, in no order":     {[]float64{9, 1, 4}, 1, 4, 9, "< 3: missed"},
		"an even number":                 {[]float64{1, 9, 3, 2}, 1, 2.5, 9, "< 3: met"},
		"a median that is just the goal": {[]float64{3, 3}, 3, 3, 3, "< 3: missed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			first := tt.values[0]
			f := newFigure("x", "s", 3, tt.values...)
			if f.Min != tt.min || f.Median != tt.median || f.Max != tt.max || f.goal() != tt.goal {
				t.Errorf("newFigure(%v) = %+v, goal %q; want %v, %v, %v, %q", tt.values, f, f.goal(), tt.min, tt.median, tt.max, tt.goal)
			}
			if f.Values[0] != first {
				t.Errorf("values = %v; want them as they came", f.Values)
			}
		})
	}
	var out strings.Builder
	if err := (report{Bench: "b", Figures: []figure{newFigure("x", "s", 0, 1)}}).write(&out, "table"); err != nil || !strings.HasSuffix(out.String(), "s     -\n") {
		t.Errorf("write() = %q, %v; want a row without a goal", out.String(), err)
	}
}
