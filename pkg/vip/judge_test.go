package vip

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// said reads claims: "cp-1 has", "cp-1 free" and "cp-1 silent" are nodes that
// speak for themselves; "election cp-1", "election nobody" and "election
// silent" are the other witnesses.
func said(t testing.TB, text string) []Claim {
	var claims []Claim
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 {
			t.Fatalf("claim %q: want two words", part)
		}
		who, what := words[0], words[1]
		c := Claim{Witness: Address, From: who}
		for w, name := range witnessNames {
			if name == who {
				c = Claim{Witness: w, From: "here"}
			}
		}
		switch what {
		case "silent":
			c.Err = "deadline exceeded"
		case "has":
			c.Owner = who
		case "free", "nobody":
		default:
			c.Owner = what
		}
		claims = append(claims, c)
	}
	return claims
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name, claims string
		want         Ownership
		owners       string
		reason       string // a part of it
	}{
		// The nodes' own word.
		{"one has it and the others have not", "cp-1 free, cp-2 has, cp-3 free", Owned, "cp-2", "cp-2 holds the address"},
		{"one has it and another is silent", "cp-1 has, cp-2 silent, cp-3 free", Owned, "cp-1", "silent: cp-2"},
		{"one has it and all others are silent", "cp-1 has, cp-2 silent, cp-3 silent", Owned, "cp-1", "silent: cp-2 and cp-3"},
		{"a lone node has it", "cp-1 has", Owned, "cp-1", ""},
		{"two have it", "cp-1 has, cp-2 free, cp-3 has", SplitBrain, "cp-1 cp-3", "cp-1 and cp-3 hold the address"},
		{"all three have it", "cp-1 has, cp-2 has, cp-3 has", SplitBrain, "cp-1 cp-2 cp-3", "cp-1, cp-2 and cp-3 hold"},
		{"two have it and the third is silent", "cp-1 has, cp-2 has, cp-3 silent", SplitBrain, "cp-1 cp-2", "silent: cp-3"},
		{"none has it", "cp-1 free, cp-2 free, cp-3 free", Unowned, "", "every node answered and none holds"},
		{"none has it and one is silent", "cp-1 free, cp-2 silent, cp-3 free", Unknown, "", "cp-2 did not answer"},
		{"all are silent", "cp-1 silent, cp-2 silent", Unknown, "", "cp-1 and cp-2 did not answer"},
		{"the same node asked twice is one owner", "cp-1 has, cp-1 has, cp-2 free", Owned, "cp-1", ""},
		{"a node that had it and is free of it now counts as an owner", "cp-1 has, cp-1 free", Owned, "cp-1", ""},
		{"a node asked twice, silent once, may have it", "cp-1 free, cp-1 silent", Unknown, "", ""},

		// With the other witnesses.
		{"everybody agrees", "cp-1 has, cp-2 free, certificate cp-1, arp cp-1, election cp-1", Owned, "cp-1", ""},
		{"the others are silent", "cp-1 has, cp-2 free, certificate silent, arp silent", Owned, "cp-1", "silent: the certificate and the arp"},
		{"a stale ARP entry", "cp-1 has, cp-2 free, arp cp-2", Disputed, "cp-1", "the arp names cp-2"},
		{"a foreign host answers", "cp-1 has, cp-2 free, certificate printer", Disputed, "cp-1", "the certificate names printer"},
		{"an owner without an election key", "cp-1 has, cp-2 free, election nobody", Disputed, "cp-1", "the election names nobody"},
		{"one contradicts where another agrees", "cp-1 has, certificate cp-1, election cp-2", Disputed, "cp-1", "the election names cp-2"},
		{"a second owner outweighs the certificate", "cp-1 has, cp-2 has, certificate cp-1", SplitBrain, "cp-1 cp-2", ""},
		{"elected, but nobody holds it", "cp-1 free, cp-2 free, election cp-1", Disputed, "", "cp-1, which does not hold"},
		{"somebody answers, but nobody holds it", "cp-1 free, cp-2 free, certificate printer", Disputed, "", "the certificate names printer"},
		{"all say that nobody has it", "cp-1 free, cp-2 free, election nobody, certificate nobody", Unowned, "", ""},
		{"a witness is silent, but every node answered", "cp-1 free, cp-2 free, arp silent", Unowned, "", "silent: the arp"},
		{"the silent one is named", "cp-1 free, cp-2 silent, certificate cp-2", Unknown, "", "the certificate names cp-2"},
		{"the one who is named denies it, and another is silent", "cp-1 free, cp-2 silent, certificate cp-1", Disputed, "", "cp-1, which does not hold"},

		// Without the nodes' own word.
		{"nothing was asked", "", Unknown, "", "no witness answered"},
		{"the certificate alone names a node", "certificate cp-1", Owned, "cp-1", "no node was asked"},
		{"certificate and election agree", "certificate cp-1, election cp-1", Owned, "cp-1", ""},
		{"an election key alone shows nobody holding it", "election cp-1", Unknown, "", "cp-1 was elected"},
		{"they name two nodes", "certificate cp-1, arp cp-2", Disputed, "", "the arp names cp-2"},
		{"elected, but nobody answers", "election cp-1, certificate nobody", Disputed, "", "the certificate names nobody"},
		{"nobody is named, but no node was asked", "certificate nobody, arp nobody", Unknown, "", "no node was asked"},
		{"none of them answered", "certificate silent, election silent", Unknown, "", "no witness answered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Judge(said(t, tt.claims))
			if got.Ownership != tt.want || strings.Join(got.Owners, " ") != tt.owners {
				t.Errorf("Judge(%s) = %v %v; want %v [%s]", tt.claims, got.Ownership, got.Owners, tt.want, tt.owners)
			}
			if !strings.Contains(got.Reason, tt.reason) || got.Reason == "" {
				t.Errorf("Judge(%s): reason %q; want %q in it", tt.claims, got.Reason, tt.reason)
			}
			if want := strings.Count(tt.claims, "silent"); len(got.Silent) != want {
				t.Errorf("Judge(%s): %d silent claims; want %d", tt.claims, len(got.Silent), want)
			}
		})
	}
}

func TestJudgeBelievesNoNodeAboutAnother(t *testing.T) {
	got := Judge([]Claim{{Witness: Address, From: "cp-1", Owner: "cp-2"}, {Witness: Address, From: "cp-2"}})
	if got.Ownership != Unknown || len(got.Silent) != 1 {
		t.Errorf("Judge = %+v; want unknown, with cp-1 silent", got)
	}
}

func TestJudgeIgnoresWhoIsNoWitness(t *testing.T) {
	got := Judge([]Claim{{From: "cp-1", Owner: "cp-1"}, {From: "cp-2", Err: "down"}})
	if got.Ownership != Unknown || len(got.Silent) != 0 {
		t.Errorf("Judge = %+v; want unknown and nobody silent", got)
	}
}

var anyClaim = rapid.Custom(func(t *rapid.T) Claim {
	names := []string{"", "cp-1", "cp-2", "cp-3"}
	c := Claim{
		Witness: rapid.SampledFrom([]Witness{Address, Address, Address, Certificate, ARP, Election}).Draw(t, "witness"),
		From:    rapid.SampledFrom(names[1:]).Draw(t, "from"),
		Owner:   rapid.SampledFrom(names).Draw(t, "owner"),
	}
	if c.Witness == Address && c.Owner != "" {
		c.Owner = c.From
	}
	if rapid.IntRange(0, 3).Draw(t, "silent") == 0 {
		c.Owner, c.Err = "", "deadline exceeded"
	}
	return c
})

func holders(claims []Claim) map[string]bool {
	found := map[string]bool{}
	for _, c := range claims {
		if c.Witness == Address && c.Err == "" && c.Owner != "" {
			found[c.Owner] = true
		}
	}
	return found
}

func TestJudgeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := rapid.SliceOfN(anyClaim, 0, 8).Draw(t, "claims")
		got := Judge(claims)

		if n := len(holders(claims)); (n > 1) != (got.Ownership == SplitBrain) {
			t.Fatalf("%d nodes hold the address; Judge = %v", n, got)
		}
		for name := range holders(claims) {
			if !slices.Contains(got.Owners, name) {
				t.Fatalf("%s holds the address, but is not among the owners: %v", name, got)
			}
		}
		if got.Reason == "" {
			t.Fatalf("no reason: %v", got)
		}

		shuffled := slices.Clone(claims)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "order"))).Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		if again := Judge(shuffled); again.Ownership != got.Ownership {
			t.Fatalf("in another order: %v; want %v", again.Ownership, got.Ownership)
		}

		// Whoever turns silent never makes the VIP unowned, nor healthy.
		for i, c := range claims {
			quiet := slices.Clone(claims)
			quiet[i] = Claim{Witness: c.Witness, From: c.From, Err: "deadline exceeded"}
			now := Judge(quiet)
			if now.Ownership == Unowned && (c.Witness == Address || got.Ownership == Unknown) {
				t.Fatalf("%s turned silent and the VIP unowned: %v", c.From, now)
			}
			if now.Ownership == Owned && got.Ownership == Unowned {
				t.Fatalf("%s turned silent and the VIP owned: %v", c.From, now)
			}
		}

		// A second owner shows, whoever else is silent.
		twice := append(slices.Clone(claims), said(nil, "cp-8 has, cp-9 has")...)
		if v := Judge(twice); v.Ownership != SplitBrain {
			t.Fatalf("with two more owners: %v", v)
		}
	})
}

func TestConfirm(t *testing.T) {
	const two = "cp-1 has, cp-2 has, cp-3 free"
	tests := []struct {
		name, first, second string
		want                Ownership
		reason              string
	}{
		{"the same two, both times", two, two, SplitBrain, "cp-1 and cp-2 hold the address; seen twice"},
		{"a third joined them", two, "cp-1 has, cp-2 has, cp-3 has", SplitBrain, "seen twice: cp-1 and cp-2"},
		{"the same two, and one is silent", two, "cp-1 has, cp-2 has, cp-3 silent", SplitBrain, "seen twice"},
		{"one let go", two, "cp-1 free, cp-2 has, cp-3 free", Owned, "a handover"},
		{"one turned silent", two, "cp-1 silent, cp-2 has, cp-3 free", Owned, "a handover"},
		{"both let go", two, "cp-1 free, cp-2 free, cp-3 free", Unowned, "a handover"},
		{"both turned silent", two, "cp-1 silent, cp-2 silent, cp-3 free", Unknown, "a handover"},
		{"another pair", two, "cp-1 free, cp-2 has, cp-3 has", Disputed, "seen once only"},
		{"two owners the second time only", "cp-1 has, cp-2 free", "cp-1 has, cp-2 has", Disputed, "seen once only"},
		{"nothing to confirm", "cp-1 has, cp-2 free", "cp-1 free, cp-2 has", Owned, "cp-2 holds the address"},
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

func TestWords(t *testing.T) {
	got := fmt.Sprint(Unknown, Owned, Unowned, Disputed, SplitBrain, Address, Certificate, ARP, Election, Witness(9))
	if want := "unknown owned unowned disputed splitBrain address certificate arp election witness(9)"; got != want {
		t.Errorf("words: %s; want %s", got, want)
	}
}
