package checks

import (
	"os"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/vip"
)

func TestEveryTroubleHasAHint(t *testing.T) {
	for _, trouble := range vip.Troubles() {
		got := Remedy(vip.Finding{Trouble: trouble, Node: "cp-2"}, "192.0.2.2", "192.0.2.50")
		if !strings.Contains(got, "vipctl ") && !strings.Contains(got, "talosctl ") && !strings.Contains(got, "ip neigh ") {
			t.Errorf("Remedy(%v) = %q; want a command in it", trouble, got)
		}
		if strings.Contains(strings.ReplaceAll(got, "VIP operator", ""), " VIP ") || strings.Contains(got, "NODE") {
			t.Errorf("Remedy(%v) = %q; want the node and the VIP named", trouble, got)
		}
		if strings.HasSuffix(got, ".") {
			t.Errorf("Remedy(%v) = %q; want no full stop", trouble, got)
		}
	}
}

// TestTroublesAreDocumented compares docs/witnesses.md with the code: a heading for
// every trouble, in their order, and the hint word for word.
func TestTroublesAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/witnesses.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(data), "\n### ")[1:]
	if len(sections) != len(vip.Troubles()) {
		t.Fatalf("docs/witnesses.md has %d troubles; want %d", len(sections), len(vip.Troubles()))
	}
	for i, trouble := range vip.Troubles() {
		id, body, _ := strings.Cut(sections[i], "\n")
		if id != trouble.String() {
			t.Errorf("docs/witnesses.md: heading %d is %q; want %q", i+1, id, trouble)
		}
		for _, want := range []string{"**What** ", "**Reads** `", "**What to do** " + remedies[trouble] + "."} {
			if !strings.Contains(body, want) {
				t.Errorf("docs/witnesses.md: %s does not say %q", trouble, want)
			}
		}
	}
}
