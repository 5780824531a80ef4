package commands

import (
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/report"
)

// A talosconfig selects rows and leaves them in their order, which is that of a
// replay; by hand they come as asked.
func TestShownNodes(t *testing.T) {
	rows := []report.NodeOwnership{{Node: "10.5.0.4", Address: "10.5.0.4"}, {Node: "cp-1", Address: "10.5.0.2"}, {Node: "cp-2", Address: "10.5.0.3"}}
	for _, tt := range []struct {
		name, selected string
		byHand         bool
		want           string
	}{
		{"all where nothing is selected", "", false, "10.5.0.4 cp-1 cp-2"},
		{"those of the talosconfig, in their own order", "10.5.0.2 10.5.0.3 10.5.0.4", false, "10.5.0.4 cp-1 cp-2"},
		{"without what is no control-plane node", "10.5.0.9 10.5.0.3 10.5.0.2", false, "cp-1 cp-2"},
		{"those asked for by hand, as asked", "cp-2 10.5.0.9 10.5.0.2", true, "cp-2 10.5.0.9 cp-1"},
	} {
		var got []string
		for _, n := range shownNodes(rows, strings.Fields(tt.selected), nil, tt.byHand) {
			got = append(got, n.Node)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: shownNodes(%q) = %v; want %s", tt.name, tt.selected, got, tt.want)
		}
	}
}
