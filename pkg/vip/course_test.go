package vip

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Each line is a time in milliseconds and what all nodes claim then, or nothing
// new, or a node's old name and its new one. The turns that it makes are "time kind owners lasted".
func TestCourse(t *testing.T) {
	const owned = "0 cp-1 has, cp-2 free, cp-3 free"
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"nothing changes", []string{owned, "500 cp-1 has, cp-2 free, cp-3 free", "9000"}, ""},
		{"one is silent for a while", []string{owned, "500 cp-1 has, cp-2 silent, cp-3 free", "900 cp-1 has, cp-2 free, cp-3 free"}, ""},
		{"a handover with nobody in between", []string{owned, "1000 cp-1 free, cp-2 free, cp-3 free", "1012 cp-1 free, cp-2 has, cp-3 free"},
			"1000 unowned - 0s; 1012 owned cp-2 12ms"},
		{"a handover with two in between is no split brain", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free", "1900 cp-1 free, cp-2 has, cp-3 free", "9000"},
			"1000 disputed cp-1,cp-2 0s; 1900 owned cp-2 900ms"},
		{"two for two seconds are a split brain", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free", "2999", "3000", "8000"},
			"1000 disputed cp-1,cp-2 0s; 3000 splitBrain cp-1,cp-2 2s"},
		{"a split brain ends", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free", "3000", "4500 cp-1 free, cp-2 has, cp-3 free"},
			"1000 disputed cp-1,cp-2 0s; 3000 splitBrain cp-1,cp-2 2s; 4500 owned cp-2 1.5s"},
		{"another joins the two", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free", "2000 cp-1 has, cp-2 has, cp-3 has", "3000"},
			"1000 disputed cp-1,cp-2 0s; 2000 disputed cp-1,cp-2,cp-3 1s; 3000 splitBrain cp-1,cp-2,cp-3 1s"},
		{"two handovers in a row are no split brain", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free", "2500 cp-1 free, cp-2 has, cp-3 has", "3500", "4499"},
			"1000 disputed cp-1,cp-2 0s; 2500 disputed cp-2,cp-3 1.5s"},
		{"one of three let go and took it again, and with it the two seconds begin anew",
			[]string{owned, "1000 cp-1 has, cp-2 has, cp-3 has", "2000 cp-1 has, cp-2 has, cp-3 free", "2900 cp-1 has, cp-2 free, cp-3 has", "4899", "4900"},
			"1000 disputed cp-1,cp-2,cp-3 0s; 2000 disputed cp-1,cp-2 1s; 2900 disputed cp-1,cp-3 900ms; 4900 splitBrain cp-1,cp-3 2s"},
		{"the owner is cut off, and another takes over", []string{owned, "1000 cp-1 silent, cp-2 free, cp-3 free", "6000 cp-1 silent, cp-2 has, cp-3 free", "9000 cp-1 free, cp-2 has, cp-3 free"},
			"1000 unknown - 0s; 6000 owned cp-2 5s"},
		{"the owner is cut off, and back with the address", []string{owned, "1000 cp-1 silent, cp-2 free, cp-3 free", "1500 cp-1 has, cp-2 free, cp-3 free"},
			"1000 unknown - 0s; 1500 owned cp-1 500ms"},
		{"one of two falls silent: the other is no sole owner before the lease and more have passed",
			[]string{owned, "1000 cp-1 has, cp-2 has, cp-3 free", "3000", "4000 cp-1 has, cp-2 silent, cp-3 free", "69499", "69500"},
			"1000 disputed cp-1,cp-2 0s; 3000 splitBrain cp-1,cp-2 2s; 4000 disputed cp-1 1s; 69500 owned cp-1 1m5.5s"},
		{"one of two falls silent, and is seen without the address", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free", "3000",
			"4000 cp-1 has, cp-2 silent, cp-3 free", "9000 cp-1 has, cp-2 free, cp-3 free"},
			"1000 disputed cp-1,cp-2 0s; 3000 splitBrain cp-1,cp-2 2s; 4000 disputed cp-1 1s; 9000 owned cp-1 5s"},
		{"one of two falls silent, and is seen with the address", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free", "3000",
			"4000 cp-1 has, cp-2 silent, cp-3 free", "9000 cp-1 has, cp-2 has, cp-3 free", "11000"},
			"1000 disputed cp-1,cp-2 0s; 3000 splitBrain cp-1,cp-2 2s; 4000 disputed cp-1 1s; 9000 disputed cp-1,cp-2 5s; 11000 splitBrain cp-1,cp-2 2s"},
		{"both of two fall silent, and one comes back with it", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free",
			"1500 cp-1 silent, cp-2 has, cp-3 free", "1600 cp-1 silent, cp-2 silent, cp-3 free", "2000 cp-1 silent, cp-2 has, cp-3 free"},
			"1000 disputed cp-1,cp-2 0s; 1500 disputed cp-2 500ms; 1600 unknown - 100ms; 2000 disputed cp-2 400ms"},
		{"one of two falls silent, the other lets go, and takes it again as the one who was elected",
			[]string{owned, "1000 cp-1 has, cp-2 has, cp-3 free", "1500 cp-1 silent, cp-2 has, cp-3 free", "2000 cp-1 silent, cp-2 free, cp-3 free", "8000 cp-1 silent, cp-2 has, cp-3 free"},
			"1000 disputed cp-1,cp-2 0s; 1500 disputed cp-2 500ms; 2000 unknown - 500ms; 8000 owned cp-2 6s"},
		{"the one of two who fell silent is no node any more", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free",
			"1500 cp-1 has, cp-2 silent, cp-3 free", "4000 cp-1 has, cp-3 free"},
			"1000 disputed cp-1,cp-2 0s; 1500 disputed cp-1 500ms; 4000 owned cp-1 2.5s"},
		{"one of three falls silent, then another lets go", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 has", "1500 cp-1 has, cp-2 has, cp-3 silent", "1700 cp-1 free, cp-2 has, cp-3 silent"},
			"1000 disputed cp-1,cp-2,cp-3 0s; 1500 disputed cp-1,cp-2 500ms; 1700 disputed cp-2 200ms"},
		{"the one of two who fell silent is known by another name, and the other as well", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free",
			"1500 cp-1 has, cp-2 silent, cp-3 free", "2000 cp-2=cp-9", "2000 cp-1=cp-8", "2000 cp-8 has, cp-9 silent, cp-3 free", "66999", "67000"},
			"1000 disputed cp-1,cp-2 0s; 1500 disputed cp-1 500ms; 2000 disputed cp-8 500ms; 67000 owned cp-8 1m5s"},
		{"one of two is known by another name: that is no reason to wait for longer", []string{owned, "1000 cp-1 has, cp-2 has, cp-3 free",
			"2000 cp-2=cp-9", "2000 cp-1 has, cp-9 has, cp-3 free", "3000"},
			"1000 disputed cp-1,cp-2 0s; 2000 disputed cp-1,cp-9 1s; 3000 splitBrain cp-1,cp-9 1s"},
		{"two that were seen twice before", []string{"0 twice: cp-1 has, cp-2 has", "100", "200 cp-1 has, cp-2 free"}, "200 owned cp-1 0s"},
		{"two at the first sight", []string{"0 cp-1 has, cp-2 has", "1999", "2000"}, "2000 splitBrain cp-1,cp-2 0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := turns(t, tt.lines); got != tt.want {
				t.Errorf("%s:\n%s\nwant\n%s", strings.Join(tt.lines, "\n"), got, tt.want)
			}
		})
	}
}

func turns(t *testing.T, lines []string) string {
	t.Helper()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var (
		c    Course
		told []string
	)
	for i, line := range lines {
		stamp, text, something := strings.Cut(line, " ")
		ms, err := strconv.Atoi(stamp)
		if err != nil {
			t.Fatal(err)
		}
		at := start.Add(time.Duration(ms) * time.Millisecond)
		if i == 0 {
			text, twice := strings.CutPrefix(text, "twice: ")
			c = Begin(at, said(t, text), twice)
			continue
		}
		if from, to, renamed := strings.Cut(text, "="); renamed {
			c = c.Renamed(from, to)
			continue
		}
		var turn *Turn
		if something {
			c, turn = c.Next(at, said(t, text))
		} else {
			c, turn = c.Next(at, c.claims)
		}
		if turn != nil {
			owners := strings.Join(turn.After.Owners, ",")
			if owners == "" {
				owners = "-"
			}
			told = append(told, fmt.Sprint(ms, " ", turn.After.Ownership, " ", owners, " ", turn.Lasted))
		}
	}
	return strings.Join(told, "; ")
}

// However nodes come and go: two owners are always told, a split brain only when
// two nodes have held the address for two seconds, and then at once when due.
func TestCourseProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		held := map[string]time.Time{} // since when
		c := Begin(at, nil, false)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			if due := c.Due(); !due.IsZero() && !due.After(at) {
				c, _ = c.Next(due, c.claims)
				if c.Verdict.Ownership != SplitBrain && c.Verdict.Ownership != Owned {
					t.Fatalf("due at %v, and then %v", due, c.Verdict)
				}
			}
			var claims []Claim
			for _, name := range []string{"cp-1", "cp-2", "cp-3"} {
				claim := Claim{Witness: Address, From: name}
				switch rapid.IntRange(0, 3).Draw(t, name) {
				case 0:
					claim.Err = "no answer"
				case 1, 2:
					claim.Owner = name
				}
				if claim.Owner == "" {
					delete(held, name)
				} else if held[name].IsZero() {
					held[name] = at
				}
				claims = append(claims, claim)
			}
			before := c.Verdict
			c, _ = c.Next(at, claims)
			fell := slices.ContainsFunc(claims, func(c Claim) bool { return c.Err != "" && slices.Contains(before.Owners, c.From) })
			long := 0
			for _, since := range held {
				if at.Sub(since) >= ResampleAfter {
					long++
				}
			}
			if c.Verdict.Ownership == Owned && fell && slices.Contains(before.Owners, c.Verdict.Owners[0]) {
				t.Fatalf("%v held it a moment before, and one fell silent; verdict %v", before.Owners, c.Verdict)
			}
			switch v := c.Verdict.Ownership; {
			case len(held) > 1 && v != SplitBrain && v != Disputed:
				t.Fatalf("%d nodes hold it; verdict %v", len(held), c.Verdict)
			case v == SplitBrain && long < 2:
				t.Fatalf("%d nodes have held it for long; verdict %v", long, c.Verdict)
			}
		}
	})
}
