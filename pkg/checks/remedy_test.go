package checks

import (
	"os"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

func TestEveryTroubleHasAHint(t *testing.T) {
	for _, trouble := range vip.Troubles() {
		got := remedy(healthy(3), vip.Finding{Trouble: trouble, Node: "cp-2"}, testVIP, []string{"cp-1", "cp-2"})
		if !strings.Contains(got, "vipctl ") && !strings.Contains(got, "talosctl ") && !strings.Contains(got, "ip neigh ") {
			t.Errorf("remedy(%v) = %q; want a command in it", trouble, got)
		}
		if strings.Contains(strings.ReplaceAll(got, "VIP operator", ""), " VIP ") || strings.Contains(got, "NODE") {
			t.Errorf("remedy(%v) = %q; want the node and the VIP named", trouble, got)
		}
		if strings.HasSuffix(got, ".") {
			t.Errorf("remedy(%v) = %q; want no full stop", trouble, got)
		}
	}
}

// A hint that is about no single node names those that it may be about, in
// commands that do what they say as they stand.
func TestHintsOnNoSingleNode(t *testing.T) {
	s := healthy(3)
	for trouble, want := range map[vip.Trouble]string{
		vip.TwoOwners:       ": talosctl -n 192.0.2.1 reboot or talosctl -n 192.0.2.3 reboot",
		vip.NoOwner:         "; talosctl -n 192.0.2.1,192.0.2.2,192.0.2.3 logs controller-runtime tells",
		vip.KeyWithoutOwner: "; talosctl -n 192.0.2.1,192.0.2.2,192.0.2.3 logs controller-runtime tells why it did not take 192.0.2.50",
		vip.ForeignHost:     "(ip neigh show 192.0.2.50)",
	} {
		got := remedy(s, vip.Finding{Trouble: trouble}, testVIP, []string{"cp-1", "cp-3"})
		if !strings.Contains(got, want) || strings.Contains(got, "NODE") {
			t.Errorf("remedy(%v) = %q; want %q", trouble, got, want)
		}
	}
	silent := healthy(3, node(2, func(n *cluster.Node) { n.Addresses = cluster.Missed[[]cluster.Address](errDown) }))
	if got, want := remedy(silent, vip.Finding{Trouble: vip.TwoOwners}, testVIP, []string{"cp-1"}), ": talosctl -n 192.0.2.1 reboot or talosctl -n 192.0.2.2 reboot"; !strings.HasSuffix(got, want) {
		t.Errorf("remedy of two of whom one fell silent = %q; want %q", got, want)
	}
	if got := remedy(s, vip.Finding{Trouble: vip.LeftoverAddress, Node: "cp-9"}, testVIP, nil); !strings.HasPrefix(got, "talosctl -n cp-9 reboot") {
		t.Errorf("remedy of a node whose address is not known = %q; want its name", got)
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
