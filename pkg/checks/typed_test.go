package checks

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/vip"
)

// commandsOfTalosctl are those of talosctl v1.13.9 (cmd/talosctl/cmd/talos) that
// hints name.
var commandsOfTalosctl = []string{
	"apply-config", "config endpoint", "containers", "edit machineconfig", "etcd alarm", "etcd defrag",
	"etcd forfeit-leadership", "etcd members", "etcd remove-member", "etcd snapshot", "get", "logs", "read", "reboot",
	"service", "time", "upgrade",
}

// forOne are those that talosctl refuses to give to several nodes, or that several
// must not be given at once.
var forOne = []string{"etcd defrag", "etcd remove-member", "etcd snapshot", "read", "reboot", "upgrade"}

// TestHintsCanBeTyped: at three in the morning a command is pasted as it stands. So
// each exists, and names its node: without -n talosctl refuses, or asks whomever the
// talosconfig says.
func TestHintsCanBeTyped(t *testing.T) {
	typed := func(what, hint string) {
		t.Helper()
		if strings.Contains(hint, "NODE") || strings.HasPrefix(hint, ";") || strings.Contains(hint, "%!") {
			t.Errorf("%s: hint %q; want the node named", what, hint)
		}
		for _, text := range strings.Split(hint, "talosctl ")[1:] {
			text, _, _ = strings.Cut(text, ";")
			if strings.Contains(text, " reaches ") { // no command, but how to give one
				continue
			}
			if command, at := parsed(text); !slices.Contains(commandsOfTalosctl, command) {
				t.Errorf("%s: talosctl has no command %q, which is in %q", what, command, hint)
			} else if command != "config endpoint" && !addresses(at) || slices.Contains(forOne, command) && strings.Contains(at, ",") {
				t.Errorf("%s: %q is told to %q; want nodes that take it, in %q", what, command, at, hint)
			}
		}
	}
	for _, c := range All() {
		for _, r := range rows[c.ID] {
			typed(c.ID+", "+r.name, c.Judge(r.s).Hint)
			e := EtcdVerdict(r.s)
			for _, n := range append(e.LeaderOwnerNotes(0), e.Notes...) {
				typed("etcd, "+r.name, n.Hint)
			}
		}
	}
	for _, trouble := range vip.Troubles() {
		typed(trouble.String(), remedy(healthy(3), vip.Finding{Trouble: trouble, Node: "cp-2"}, testVIP, []string{"cp-1"}))
	}
	old := etcd(2, database(1900, 200))
	for _, n := range EtcdVerdict(healthy(3, old, runs(3, "v1.13.7"))).Notes {
		typed("etcd, "+n.About, n.Hint)
	}
}

// parsed returns the command, of two words where the first has commands of its
// own, and whom it is told to.
func parsed(text string) (command, at string) {
	var words []string
	rest := strings.Fields(text)
	for i := 0; i < len(rest); i++ {
		switch word := strings.Trim(rest[i], ",:)"); {
		case (word == "-n" || word == "-e" || word == "--context") && i+1 < len(rest):
			i++
			if word == "-n" {
				at = strings.TrimSuffix(rest[i], ",")
			}
		case !strings.HasPrefix(word, "-"):
			words = append(words, word)
		}
	}
	if len(words) > 1 && slices.Contains([]string{"config", "etcd", "edit"}, words[0]) {
		return words[0] + " " + words[1], at
	}
	return strings.Join(words[:min(1, len(words))], ""), at
}

func addresses(list string) bool {
	return !slices.ContainsFunc(strings.Split(list, ","), func(s string) bool {
		_, err := netip.ParseAddr(s)
		return err != nil
	})
}
