package vip

import (
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var anyClaim = rapid.Custom(func(t *rapid.T) Claim {
	names := []string{"", "cp-1", "cp-2", "cp-3"}
	c := Claim{
		Witness: rapid.SampledFrom([]Witness{Address, Address, Address, Certificate, ARP, ARP, Neighbour, Election}).Draw(t, "witness"),
		From:    rapid.SampledFrom(names[1:]).Draw(t, "from"),
		Owner:   rapid.SampledFrom(names).Draw(t, "owner"),
	}
	switch {
	case c.Witness == Address && c.Owner != "":
		c.Owner = c.From
		c.By = rapid.SampledFrom([]Origin{OriginUnknown, ByElection, ByConfig, ByNobody}).Draw(t, "by")
	case c.Witness != Address && rapid.IntRange(0, 4).Draw(t, "strange") == 0:
		c.Owner, c.Stranger = "", rapid.SampledFrom([]string{"02:98", "02:99"}).Draw(t, "stranger")
	}
	if rapid.IntRange(0, 3).Draw(t, "silent") == 0 {
		return hush(c)
	}
	return c
})

var anyClaims = rapid.SliceOfN(anyClaim, 0, 8)

// hush makes a claim silent.
func hush(c Claim) Claim {
	return Claim{Witness: c.Witness, From: c.From, Err: "deadline exceeded"}
}

// shown are the nodes that the claims show to have the address: by their own
// word, or on the wire where they said nothing of themselves.
func shown(claims []Claim) map[string]bool {
	denied, found := map[string]bool{}, map[string]bool{}
	for _, c := range claims {
		if c.Witness == Address && c.Err == "" {
			denied[c.From] = c.Owner == "" || denied[c.From]
		}
	}
	for _, c := range claims {
		byWord := c.Witness == Address && c.Owner != ""
		onWire := c.Witness == ARP && c.Owner != "" && !denied[c.Owner]
		if c.Err == "" && (byWord || onWire) {
			found[c.Owner] = true
		}
	}
	return found
}

func TestNoSilenceHidesASecondOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := anyClaims.Draw(t, "claims")
		for i := range claims {
			if rapid.Bool().Draw(t, "hush") {
				claims[i] = hush(claims[i])
			}
		}
		got, owners := Judge(claims), shown(claims)
		if (len(owners) > 1) != (got.Ownership == SplitBrain) {
			t.Fatalf("%d nodes have the address; Judge = %+v", len(owners), got)
		}
		for name := range owners {
			if len(owners) > 1 && !slices.Contains(got.Owners, name) {
				t.Fatalf("%s has the address, and is not among the owners: %+v", name, got)
			}
		}
		twice := append(slices.Clone(claims), claim("cp-8", "has"), claim("cp-9", "silent"), claim("arp", "cp-9"))
		if v := Judge(twice); v.Ownership != SplitBrain {
			t.Fatalf("with a holder and a silent node that answers on the wire: %+v", v)
		}
	})
}

func TestSilenceNeverMakesUnowned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := anyClaims.Draw(t, "claims")
		before := Judge(claims)
		if before.Ownership == Unowned && len(before.SilentNodes()) > 0 {
			t.Fatalf("a node is silent, and the VIP unowned: %+v", before)
		}
		for i, c := range claims {
			quiet := slices.Clone(claims)
			quiet[i] = hush(c)
			now := Judge(quiet)
			if c.Witness == Address && now.Ownership == Unowned {
				t.Fatalf("%s turned silent, and the VIP unowned: %+v", c.From, now)
			}
			// Another witness may turn silent that disputed what all nodes say.
			if now.Ownership == Unowned && before.Ownership != Unowned && before.Ownership != Disputed {
				t.Fatalf("%v turned silent, and the VIP unowned: %+v", c, now)
			}
			if now.Ownership == Owned && before.Ownership == Unowned {
				t.Fatalf("%v turned silent, and the VIP owned: %+v", c, now)
			}
		}
	})
}

func TestMoreSilenceChangesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := anyClaims.Draw(t, "claims")
		silent := Claim{
			Witness: rapid.SampledFrom([]Witness{Address, Certificate, ARP, Neighbour, Election}).Draw(t, "witness"),
			From:    rapid.SampledFrom([]string{"cp-1", "cp-2", "cp-9"}).Draw(t, "from"), Err: "deadline exceeded",
		}
		before, now := Judge(claims), Judge(append(slices.Clone(claims), silent))
		switch {
		case now.Ownership == before.Ownership:
		case silent.Witness != Address:
			t.Fatalf("a silent %v made %v of %v", silent.Witness, now, before)
		case before.Ownership == SplitBrain, now.Ownership == SplitBrain, now.Ownership == Owned, now.Ownership == Unowned:
			t.Fatalf("%s, silent, made %v of %v", silent.From, now, before)
		case before.Ownership == Owned && len(shown(claims)) == 1 && holder(claims):
			t.Fatalf("%s, silent, took an owner away: %v of %v", silent.From, now, before)
		}
	})
}

// holder says that a node holds the address by its own word.
func holder(claims []Claim) bool {
	return slices.ContainsFunc(claims, func(c Claim) bool { return c.Witness == Address && c.Err == "" && c.Owner != "" })
}

func TestTheOrderOfClaimsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := anyClaims.Draw(t, "claims")
		got := Judge(claims)
		if again := Judge(slices.Clone(claims)); !reflect.DeepEqual(again, got) {
			t.Fatalf("once %+v, then %+v", got, again)
		}
		if got.Reason == "" {
			t.Fatalf("no reason: %+v", got)
		}
		if bad := got.Ownership == Disputed || got.Ownership == SplitBrain || got.Ownership == Unowned; bad != (len(got.Findings) > 0) {
			t.Fatalf("findings do not fit the verdict: %+v", got)
		}
		shuffled := slices.Clone(claims)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "order"))).Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		if again := Judge(shuffled); again.Ownership != got.Ownership {
			t.Fatalf("in another order: %+v; want %+v", again, got)
		}
	})
}
