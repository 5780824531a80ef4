package vip

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// said reads claims: "cp-1 has", "cp-1 free" and "cp-1 silent" are nodes that
// speak for themselves; one that "won" has it by election, one with it "static"
// by its configuration, and one with it "leftover" by nobody. "arp cp-1",
// "election nobody", "certificate silent" are the other witnesses, and
// "arp !02:99" names who is no node.
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
		claims = append(claims, claim(words[0], words[1]))
	}
	return claims
}

func claim(who, what string) Claim {
	c := Claim{Witness: Address, From: who}
	for w, name := range witnessNames {
		if name == who {
			c = Claim{Witness: w, From: "here"}
		}
	}
	origins := map[string]Origin{"has": OriginUnknown, "won": ByElection, "static": ByConfig, "leftover": ByNobody}
	by, has := origins[what]
	stranger, strange := strings.CutPrefix(what, "!")
	switch {
	case what == "silent":
		c.Err = "deadline exceeded"
	case has:
		c.Owner, c.By = who, by
	case strange:
		c.Stranger = stranger
	case what != "free" && what != "nobody":
		c.Owner = what
	}
	return c
}

// brief writes findings down as trouble and node.
func brief(findings []Finding) string {
	var words []string
	for _, f := range findings {
		words = append(words, strings.TrimSuffix(f.Trouble.String()+":"+f.Node, ":"))
	}
	return strings.Join(words, " ")
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name, claims string
		want         Ownership
		owners       string
		findings     string
		reason       string // a part of it
	}{
		// The nodes' own word.
		{"one has it and the others have not", "cp-1 free, cp-2 has, cp-3 free", Owned, "cp-2", "", "cp-2 holds the address"},
		{"one has it and another is silent", "cp-1 has, cp-2 silent, cp-3 free", Owned, "cp-1", "", "silent: cp-2"},
		{"one has it and all others are silent", "cp-1 has, cp-2 silent, cp-3 silent", Owned, "cp-1", "", "silent: cp-2 and cp-3"},
		{"a lone node has it", "cp-1 has", Owned, "cp-1", "", ""},
		{"two have it", "cp-1 has, cp-2 free, cp-3 has", SplitBrain, "cp-1 cp-3", "twoOwners", "cp-1 and cp-3 hold the address"},
		{"all three have it", "cp-1 has, cp-2 has, cp-3 has", SplitBrain, "cp-1 cp-2 cp-3", "twoOwners", "cp-1, cp-2 and cp-3 hold"},
		{"two have it and the third is silent", "cp-1 has, cp-2 has, cp-3 silent", SplitBrain, "cp-1 cp-2", "twoOwners", "silent: cp-3"},
		{"none has it", "cp-1 free, cp-2 free, cp-3 free", Unowned, "", "noOwner", "every node answered and none holds"},
		{"none has it and one is silent", "cp-1 free, cp-2 silent, cp-3 free", Unknown, "", "", "cp-2 did not say"},
		{"all are silent", "cp-1 silent, cp-2 silent", Unknown, "", "", "cp-1 and cp-2 did not say"},
		{"the same node asked twice is one owner", "cp-1 has, cp-1 has, cp-2 free", Owned, "cp-1", "", ""},
		{"a node that had it and is free of it now counts as an owner", "cp-1 has, cp-1 free", Owned, "cp-1", "", ""},
		{"a node asked twice, silent once, may have it", "cp-1 free, cp-1 silent", Unknown, "", "", ""},

		// How the address came to its node.
		{"it was elected", "cp-1 won, cp-2 free", Owned, "cp-1", "", ""},
		{"nothing of Talos wants it there", "cp-1 leftover, cp-2 free", Disputed, "cp-1", "leftoverAddress:cp-1", "leftover address: cp-1 holds"},
		{"the configuration wants it there", "cp-1 static, cp-2 free", Disputed, "cp-1", "staticAddress:cp-1", "keeps it whoever is elected"},
		{"a leftover beside the owner", "cp-1 leftover, cp-2 won", SplitBrain, "cp-1 cp-2", "twoOwners leftoverAddress:cp-1", "cp-1 and cp-2 hold"},
		{"a static address beside the owner", "cp-1 won, cp-2 static", SplitBrain, "cp-1 cp-2", "twoOwners staticAddress:cp-2", ""},
		{"asked twice, and a leftover at first", "cp-1 leftover, cp-1 won", Disputed, "cp-1", "leftoverAddress:cp-1", ""},
		{"asked twice, and a leftover once", "cp-1 won, cp-1 leftover", Disputed, "cp-1", "leftoverAddress:cp-1", ""},
		{"a static address that was elected as well is no less static", "cp-1 static, cp-2 free, election cp-1, arp cp-1", Disputed, "cp-1", "staticAddress:cp-1", ""},

		// The wire.
		{"everybody agrees", "cp-1 has, cp-2 free, certificate cp-1, arp cp-1, neighbour cp-1, election cp-1", Owned, "cp-1", "", ""},
		{"the wire has the former owner", "cp-1 free, cp-2 has, arp cp-1", Disputed, "cp-2", "staleARP:cp-1",
			"stale ARP: cp-2 holds the address, but the wire answers with cp-1's hardware address"},
		{"a node answers beside the owner", "cp-1 free, cp-2 has, arp cp-1, arp cp-2", Disputed, "cp-2", "proxyARP:cp-1", "answers for it on the wire as well"},
		{"a stranger answers", "cp-1 has, cp-2 free, arp !02:99", Disputed, "cp-1", "foreignHost", "foreign host: cp-1 holds the address, but 02:99 answers"},
		{"a stranger answers beside the owner", "cp-1 has, cp-2 free, arp cp-1, arp !02:99", Disputed, "cp-1", "foreignHost", "02:99"},
		{"two strangers answer", "cp-1 has, arp !02:99, arp !02:98", Disputed, "cp-1", "foreignHost foreignHost", "02:98"},
		{"a stranger and a former owner answer", "cp-1 has, cp-2 free, arp cp-2, arp !02:99", Disputed, "cp-1", "foreignHost staleARP:cp-2", ""},
		{"a stranger answers where nobody holds it", "cp-1 free, cp-2 free, arp !02:99", Disputed, "", "foreignHost", "no node that answered holds the address, but 02:99"},
		{"a stranger answers where nobody who answered holds it", "cp-1 free, cp-2 silent, arp !02:99", Disputed, "", "foreignHost", "silent: cp-2"},
		{"a node that denies it answers, and nobody holds it", "cp-1 free, cp-2 free, arp cp-1", Disputed, "", "staleARP:cp-1", ""},
		{"a silent node answers beside the owner", "cp-1 has, cp-2 silent, arp cp-2", SplitBrain, "cp-1 cp-2", "twoOwners",
			"cp-1 holds the address, and cp-2, silent itself, answers for it on the wire"},
		{"two silent nodes answer", "cp-1 silent, cp-2 silent, cp-3 free, arp cp-1, arp cp-2", SplitBrain, "cp-1 cp-2", "twoOwners", "cp-1 and cp-2 answer"},
		{"nobody answers on the wire", "cp-1 has, cp-2 free, arp nobody", Owned, "cp-1", "", ""},

		// This machine's neighbour table.
		{"it has the former owner", "cp-1 free, cp-2 has, neighbour cp-1", Disputed, "cp-2", "staleARP:cp-1", "this machine's neighbour table has cp-1's"},
		{"it has the former owner, and the wire the new one", "cp-1 free, cp-2 has, arp cp-2, neighbour cp-1", Disputed, "cp-2", "staleARP:cp-1", ""},
		{"it has a stranger", "cp-1 has, neighbour !02:99", Disputed, "cp-1", "foreignHost", "neighbour table has 02:99"},
		{"it remembers a silent node, which proves nothing beside an owner", "cp-1 has, cp-2 silent, neighbour cp-2", Disputed, "cp-1", "staleARP:cp-2", ""},
		{"it remembers who had it when nobody has it", "cp-1 free, cp-2 free, neighbour cp-1", Unowned, "", "noOwner", ""},
		{"it remembers a silent node when nobody has it", "cp-1 free, cp-2 silent, neighbour cp-2", Unknown, "", "", "the neighbour table names cp-2"},

		// The serving certificate.
		{"another node's server answers", "cp-1 has, cp-2 free, certificate cp-2", Disputed, "cp-1", "answeredElsewhere:cp-2", "shows cp-2's certificate"},
		{"a silent node's server answers", "cp-1 has, cp-2 silent, certificate cp-2", Disputed, "cp-1", "answeredElsewhere:cp-2", "silent: cp-2"},
		{"a strange server answers", "cp-1 has, certificate !0123456789abcdef0123", Disputed, "cp-1", "foreignHost", "no control-plane node's, 0123456789abcdef..."},
		{"the server of a node that denies it, and nobody holds it", "cp-1 free, cp-2 free, certificate cp-1", Disputed, "", "answeredElsewhere:cp-1", ""},
		{"the same, and another is silent", "cp-1 free, cp-2 silent, certificate cp-1", Disputed, "", "answeredElsewhere:cp-1", "silent: cp-2"},
		{"a server that is none of those asked", "cp-1 free, cp-2 free, certificate printer", Disputed, "", "foreignHost:printer", "printer, which is none of those asked"},
		{"a second owner outweighs the certificate", "cp-1 has, cp-2 has, certificate cp-1", SplitBrain, "cp-1 cp-2", "twoOwners", ""},

		// The election.
		{"an owner without a key, which nobody has", "cp-1 has, cp-2 free, election nobody", Disputed, "cp-1", "ownerWithoutKey:cp-1", "the election names nobody"},
		{"an owner without a key, which another has", "cp-1 has, certificate cp-1, election cp-2", Disputed, "cp-1", "ownerWithoutKey:cp-1", "the election names cp-2"},
		{"an owner without a key, which a silent node has", "cp-1 has, cp-2 silent, election cp-2", Disputed, "cp-1", "ownerWithoutKey:cp-1", ""},
		{"an owner without a key, which a strange host has", "cp-1 has, election !old-cp", Disputed, "cp-1", "ownerWithoutKey:cp-1", "old-cp, which is no node of the cluster"},
		{"of two owners, one was elected", "cp-1 has, cp-2 has, election cp-2", SplitBrain, "cp-1 cp-2", "twoOwners ownerWithoutKey:cp-1", ""},
		{"elected, but nobody holds it", "cp-1 free, cp-2 free, election cp-1", Disputed, "", "keyWithoutOwner:cp-1", "the election names cp-1"},
		{"a strange host was elected, and nobody holds it", "cp-1 free, cp-2 free, election !old-cp", Disputed, "", "keyWithoutOwner", "old-cp"},
		{"a silent node was elected", "cp-1 free, cp-2 silent, election cp-2", Unknown, "", "", "the election names cp-2"},
		{"nobody was elected, and a node is silent", "cp-1 free, cp-2 silent, election nobody", Unknown, "", "", ""},
		{"three members tell the same", "cp-1 has, election cp-2, election cp-2, election cp-2", Disputed, "cp-1", "ownerWithoutKey:cp-1", ""},
		{"one member tells otherwise", "cp-1 has, election cp-1, election cp-2", Disputed, "cp-1", "ownerWithoutKey:cp-1", ""},
		{"nobody holds it, nobody was elected, nobody answers", "cp-1 free, cp-2 free, election nobody, certificate nobody", Unowned, "", "noOwner", ""},

		// Silence.
		{"the other witnesses are silent", "cp-1 has, cp-2 free, certificate silent, arp silent, election silent", Owned, "cp-1", "", "cp-1 holds the address"},
		{"a witness is silent, but every node answered", "cp-1 free, cp-2 free, arp silent", Unowned, "", "noOwner", ""},
		{"all agree on the silent node", "cp-1 free, cp-2 silent, certificate cp-2, arp cp-2, election cp-2", Unknown, "", "",
			"cp-2 did not say; the certificate, wire and election name cp-2"},
		{"all nodes are silent, and the others agree", "cp-1 silent, cp-2 silent, certificate cp-2, arp cp-2", Unknown, "", "", "did not say; the certificate and wire name cp-2"},
		{"all nodes are silent, and the others name two", "cp-1 silent, cp-2 silent, certificate cp-1, election cp-2", Disputed, "", "ownerWithoutKey:cp-1", "cp-1 answers"},
		{"the silent node answers, and was not elected", "cp-1 free, cp-2 silent, arp cp-2, election cp-1", Disputed, "", "ownerWithoutKey:cp-2", "cp-2 answers"},

		// Without the nodes' own word.
		{"nothing was asked", "", Unknown, "", "", "no witness answered"},
		{"the certificate alone names a node", "certificate cp-1", Owned, "cp-1", "", "no node was asked"},
		{"the wire alone names a node", "arp cp-1", Owned, "cp-1", "", "cp-1 answers for the address"},
		{"certificate and election agree", "certificate cp-1, election cp-1", Owned, "cp-1", "", ""},
		{"an election key alone shows nobody holding it", "election cp-1", Unknown, "", "", "the election names cp-1"},
		{"the neighbour table alone shows nobody holding it", "neighbour cp-1", Unknown, "", "", "the neighbour table names cp-1"},
		{"they name two nodes", "certificate cp-1, arp cp-2", Disputed, "", "answeredElsewhere:cp-1", "cp-2 answers"},
		{"two answer on the wire", "arp cp-1, arp cp-2", SplitBrain, "cp-1 cp-2", "twoOwners", "cp-1 and cp-2 answer"},
		{"they name one who was not elected", "certificate cp-1, election nobody", Disputed, "", "ownerWithoutKey:cp-1", ""},
		{"elected, and nobody answers", "election cp-1, certificate nobody", Unknown, "", "", "the election names cp-1"},
		{"none of them answered", "certificate silent, election silent", Unknown, "", "", "no witness answered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Judge(said(t, tt.claims))
			if got.Ownership != tt.want || strings.Join(got.Owners, " ") != tt.owners {
				t.Errorf("Judge(%s) = %v %v; want %v [%s]", tt.claims, got.Ownership, got.Owners, tt.want, tt.owners)
			}
			if brief(got.Findings) != tt.findings {
				t.Errorf("Judge(%s): findings %v; want %s", tt.claims, got.Findings, tt.findings)
			}
			if !strings.Contains(got.Reason, tt.reason) || got.Reason == "" {
				t.Errorf("Judge(%s): reason %q; want %q in it", tt.claims, got.Reason, tt.reason)
			}
			mute := strings.Count(tt.claims, "silent") + strings.Count(tt.claims, "certificate nobody") + strings.Count(tt.claims, "arp nobody")
			if len(got.Silent) != mute {
				t.Errorf("Judge(%s): %d silent claims; want %d", tt.claims, len(got.Silent), mute)
			}
			for _, f := range got.Findings {
				if !isSentence(f.Text) {
					t.Errorf("Judge(%s): the finding %q is no plain sentence", tt.claims, f.Text)
				}
			}
		})
	}
}

// TestWhichOfTwoOwnersWasElected reads the sentence by which somebody decides
// whose address to take off.
func TestWhichOfTwoOwnersWasElected(t *testing.T) {
	for claims, want := range map[string]string{
		"cp-1 has, cp-2 has, election cp-2":              "cp-1 holds the address, and the election names cp-2, which has the address as well: that is the elected one",
		"cp-1 has, cp-2 silent, arp cp-2, election cp-1": "cp-2 answers for the address, and the election names cp-1, which has the address as well: that is the elected one",
		"cp-1 has, cp-2 free, election cp-2":             "cp-1 holds the address, and the election names cp-2",
	} {
		findings := Judge(said(t, claims)).Findings
		if last := findings[len(findings)-1].Text; last != "owner without key: "+want {
			t.Errorf("Judge(%s) finds %q; want %q", claims, last, want)
		}
	}
}

// isSentence says whether a text begins small, or with ARP's capitals, and has
// no full stop.
func isSentence(text string) bool {
	return text != "" && unicode.IsLower(rune(text[0])) && (!strings.HasSuffix(text, ".") || strings.HasSuffix(text, "..."))
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

func TestSilentNodesAreThoseThatMayHideAnOwner(t *testing.T) {
	got := Judge(said(t, "cp-1 has, cp-2 silent, arp silent, election silent")).SilentNodes()
	if len(got) != 1 || got[0].From != "cp-2" {
		t.Errorf("SilentNodes() = %v; want cp-2 alone", got)
	}
}

func TestWords(t *testing.T) {
	got := fmt.Sprint(Unknown, Owned, Unowned, Disputed, SplitBrain, Address, Certificate, ARP, Neighbour, Election, Witness(9))
	if want := "unknown owned unowned disputed splitBrain address certificate arp neighbour election witness(9)"; got != want {
		t.Errorf("words: %s; want %s", got, want)
	}
	if got := fmt.Sprint(Trouble(0), Troubles()); got != "trouble(0) [twoOwners noOwner foreignHost leftoverAddress staticAddress staleARP "+
		"proxyARP answeredElsewhere ownerWithoutKey keyWithoutOwner duplicateAddress unreachable ownerNotServing ghost]" {
		t.Errorf("troubles: %s", got)
	}
	if len(slices.Compact(Troubles())) != len(troubleNames) {
		t.Errorf("%d troubles have %d names", len(Troubles()), len(troubleNames))
	}
}
