package vip

import (
	"strings"
	"testing"
)

func TestConfirm(t *testing.T) {
	const (
		two    = "cp-1 has, cp-2 has, cp-3 free"
		nobody = "cp-1 free, cp-2 free, cp-3 free"
		stale  = "cp-1 free, cp-2 has, arp cp-1"
		forgot = "cp-1 free, cp-2 has, arp cp-2, neighbour cp-1"
	)
	tests := []struct {
		name, first, second string
		want                Ownership
		reason              string
	}{
		{"the same two, both times", two, two, SplitBrain, "cp-1 and cp-2 hold the address; seen twice"},
		{"a third joined them", two, "cp-1 has, cp-2 has, cp-3 has", SplitBrain, "seen twice: cp-1 and cp-2"},
		{"the same two, and one is silent", two, "cp-1 has, cp-2 has, cp-3 silent", SplitBrain, "seen twice"},
		{"one turned silent, and answers on the wire", two, "cp-1 has, cp-2 silent, arp cp-2", SplitBrain, "seen twice"},
		{"one let go", two, "cp-1 free, cp-2 has, cp-3 free", Owned, "a handover"},
		{"one turned silent", two, "cp-1 silent, cp-2 has, cp-3 free", Disputed, "a moment before cp-1 and cp-2 held the address, and cp-1 may still"},
		{"one turned silent, and is the one who is answered by", two, "cp-1 silent, cp-2 free, cp-3 free, arp cp-1", Unknown, "a moment before cp-1 and cp-2 held the address"},
		{"one let go, and a third turned silent", two, "cp-1 free, cp-2 has, cp-3 silent", Owned, "a handover"},
		{"both let go, and a third took it", two, "cp-1 free, cp-2 free, cp-3 has", Owned, "a handover"},
		{"one turned silent, and a third took it", two, "cp-1 silent, cp-2 free, cp-3 has", Disputed, "cp-1 may still"},
		{"both let go", two, "cp-1 free, cp-2 free, cp-3 free", Unowned, "a moment before cp-1 and cp-2 held the address"},
		{"both turned silent", two, "cp-1 silent, cp-2 silent, cp-3 free", Unknown, "a moment before cp-1 and cp-2 held the address"},
		{"one let go, and the wire still has it", two, stale, Disputed, "a moment before cp-1 and cp-2 held the address"},
		{"another pair", two, "cp-1 free, cp-2 has, cp-3 has", Disputed, "seen once only"},
		{"two owners the second time only", "cp-1 has, cp-2 free", "cp-1 has, cp-2 has", Disputed, "seen once only"},
		{"two owners after a dispute", stale, two, Disputed, "seen once only"},
		{"nothing to confirm", "cp-1 has, cp-2 free", "cp-1 free, cp-2 has", Owned, "cp-2 holds the address"},
		{"the same dispute, both times", stale, stale, Disputed, "cp-1's hardware address; seen twice"},
		{"another dispute", stale, "cp-1 free, cp-2 has, election nobody", Disputed, "a moment before: stale ARP"},
		{"another dispute on the same node", "cp-1 leftover", "cp-1 static", Disputed, "a moment before: leftover address"},
		{"the same trouble on another node", "cp-1 leftover, cp-2 free", "cp-1 free, cp-2 leftover", Disputed, "a moment before: leftover address: cp-1"},
		{"the dispute is gone", stale, "cp-1 free, cp-2 has, arp cp-2", Owned, "cp-2 holds the address; a moment before: stale ARP: cp-2"},
		{"this machine's memory, which the first look corrected", forgot, "cp-1 free, cp-2 has, arp cp-2, neighbour cp-2", Disputed, "cp-2 answers on the wire, which corrects this entry"},
		{"this machine's memory, and the address moved", forgot, "cp-1 has, cp-2 free, arp cp-1", Owned, "a moment before: stale ARP"},
		{"this machine's memory, both times", forgot, forgot, Disputed, "seen twice"},
		{"this machine's memory, and then nobody had it", forgot, "cp-1 free, cp-2 free", Unowned, "a moment before: stale ARP"},
		{"this machine's memory, which nobody on the wire corrected", "cp-1 free, cp-2 has, neighbour cp-1", "cp-1 free, cp-2 has, neighbour cp-2", Owned, "a moment before: stale ARP"},
		{"nobody, both times", nobody, nobody, Unowned, "none holds the address; seen twice"},
		{"nobody, and then the one who was elected", nobody, "cp-1 free, cp-2 has, cp-3 free", Owned, "cp-2 holds the address; a moment before nobody held the address: a handover"},
		{"nobody, and then one more is silent", nobody, "cp-1 free, cp-2 free, cp-3 silent", Unknown, "a moment before nobody held the address"},
		{"nobody, and then two", nobody, two, Disputed, "seen once only"},
		{"nobody, and then a dispute", nobody, stale, Disputed, "seen once only"},
		{"nobody the second time only", "cp-1 free, cp-2 has, cp-3 free", nobody, Unowned, "seen once only"},
		{"a dispute the second time only", "cp-1 free, cp-2 has", stale, Disputed, "hardware address; seen once only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Confirm(Judge(said(t, tt.first)), Judge(said(t, tt.second)))
			if got.Ownership != tt.want || !strings.Contains(got.Reason, tt.reason) {
				t.Errorf("Confirm(%s; %s) = %v, %q; want %v, %q", tt.first, tt.second, got.Ownership, got.Reason, tt.want, tt.reason)
			}
		})
	}
}

// TestOnlyASoleOwnerIsAHandover says it of nothing else: it sounds like good news.
func TestOnlyASoleOwnerIsAHandover(t *testing.T) {
	two := Judge(said(t, "cp-1 has, cp-2 has, cp-3 free"))
	for _, second := range []string{
		"cp-1 free, cp-2 free, cp-3 free", "cp-1 silent, cp-2 silent, cp-3 silent", "cp-1 silent, cp-2 has, cp-3 free", "cp-1 has, cp-2 free, arp cp-2",
	} {
		if got := Confirm(two, Judge(said(t, second))); strings.HasSuffix(got.Reason, "a handover") || got.Ownership == Disputed && len(got.Findings) == 0 {
			t.Errorf("Confirm(two, %s) = %v, %q, findings %v; want no word of a handover, and findings of a dispute", second, got.Ownership, got.Reason, got.Findings)
		}
	}
}

func TestNeedsSecondLook(t *testing.T) {
	tests := []struct {
		name, claims string
		want         bool
	}{
		{"one owner", "cp-1 has, cp-2 free", false},
		{"nobody", "cp-1 free, cp-2 free", true},
		{"not known", "cp-1 free, cp-2 silent", false},
		{"two owners", "cp-1 has, cp-2 has", true},
		{"a dispute", "cp-1 static, cp-2 free", true},
		{"the wire has another", "cp-1 has, cp-2 free, arp cp-2", true},
		{"this machine remembers another, and the wire was not asked", "cp-1 has, cp-2 free, neighbour cp-2", true},
		{"this machine remembers another, and nobody answers on the wire", "cp-1 has, cp-2 free, arp nobody, neighbour cp-2", true},
		{"this machine alone remembers another", "cp-1 has, cp-2 free, arp cp-1, neighbour cp-2", false},
		{"this machine alone remembers a stranger", "cp-1 has, cp-2 free, arp cp-1, neighbour !06:00:00:00:00:66", false},
		{"the stranger answers, too", "cp-1 has, cp-2 free, arp cp-1, arp !06:00:00:00:00:66, neighbour !06:00:00:00:00:66", true},
		{"this machine is not alone", "cp-1 has, cp-2 free, arp cp-1, neighbour cp-2, certificate cp-2", true},
		{"nobody has what this machine remembers", "cp-1 free, cp-2 free, neighbour !06:00:00:00:00:66", true},
	}
	for _, tt := range tests {
		if got := NeedsSecondLook(Judge(said(t, tt.claims))); got != tt.want {
			t.Errorf("%s: NeedsSecondLook(%s) = %v; want %v", tt.name, tt.claims, got, tt.want)
		}
	}
}
