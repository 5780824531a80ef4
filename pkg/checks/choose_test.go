package checks

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		name   string
		choice Choice
		want   string // IDs, or the error
	}{
		{"only", Choice{Only: []string{"etcd-quorum", "vip-answers"}}, "vip-answers etcd-quorum"},
		{"a category without one", Choice{Categories: []string{"kubernetes"}, Skip: []string{"apiserver-ready"}}, "apiserver-certificate apiserver-certificate-lasts node-ip-not-vip"},
		{"an unknown ID", Choice{Only: []string{"vip-oner"}}, `unknown check "vip-oner"`},
		{"an unknown ID to skip", Choice{Skip: []string{"x"}}, `unknown check "x"`},
		{"an unknown category", Choice{Categories: []string{"dns"}}, `unknown category "dns"`},
		{"nothing left", Choice{Only: []string{"vip-answers"}, Skip: []string{"vip-answers"}}, fmt.Sprintf("no check is left of %d", len(All()))},
	} {
		list, err := Choose(All(), tt.choice)
		ids, _ := names(list)
		got := strings.Join(ids, " ")
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: Choose(%+v) = %s; want %s", tt.name, tt.choice, got, tt.want)
		}
	}
	if list, err := Choose(All(), Choice{}); err != nil || len(list) != len(All()) {
		t.Errorf("Choose(all) = %d checks, %v; want %d", len(list), err, len(All()))
	}
}

func TestUnknownNameHint(t *testing.T) {
	_, err := Choose(All(), Choice{Only: []string{"x"}})
	unknown, ok := errors.AsType[*UnknownNameError](err)
	if !ok || !strings.Contains(unknown.Hint(), "vip-one-owner") {
		t.Errorf("Choose(x) = %v; want an UnknownNameError that lists the IDs", err)
	}
}

// TestDocumented compares docs/checks.md with the list: a heading for every
// check, in its order, and each with the three things that a reader asks.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	titles := make(map[string]string)
	for _, c := range All() {
		titles[c.ID] = c.Title
	}
	sections := strings.Split(string(data), "\n### ")[1:]
	var headings []string
	for _, s := range sections {
		id, body, _ := strings.Cut(s, "\n")
		headings = append(headings, id)
		for _, part := range []string{"**What**", "**Why**", "**How to fix**"} {
			if !strings.Contains(body, part) {
				t.Errorf("docs/checks.md: %s has no %s", id, part)
			}
		}
		if !strings.Contains(body, titles[id]) {
			t.Errorf("docs/checks.md: %s does not say its title %q", id, titles[id])
		}
	}
	ids, _ := names(All())
	if !slices.Equal(headings, ids) {
		t.Errorf("docs/checks.md has headings\n%s\nwant\n%s", strings.Join(headings, " "), strings.Join(ids, " "))
	}
}

func TestListReadsWell(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`)
	seen := make(map[string]bool)
	for _, c := range All() {
		if !kebab.MatchString(c.ID) || seen[c.ID] {
			t.Errorf("ID %q is not kebab-case, or twice in the list", c.ID)
		}
		seen[c.ID] = true
		if c.Title == "" || c.Needs == "" || c.Category == "" || strings.HasSuffix(c.Title, ".") {
			t.Errorf("%s: title %q, needs %q, category %q", c.ID, c.Title, c.Needs, c.Category)
		}
	}
}
