package checks

import (
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
