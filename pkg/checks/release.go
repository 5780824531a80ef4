package checks

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// release is a release of Talos. The zero value is older than all.
type release struct {
	major, minor, patch int
	// stage is "alpha", "beta" or "rc" of a pre-release, the number-th of its kind;
	// "" of any other.
	stage  string
	number int
}

// stages are in the order in which they come before a release.
var stages = []string{"alpha", "beta", "rc", ""}

func (r release) String() string {
	text := fmt.Sprintf("v%d.%d.%d", r.major, r.minor, r.patch)
	if r.stage != "" {
		text += fmt.Sprintf("-%s.%d", r.stage, r.number)
	}
	return text
}

func (r release) compare(other release) int { return slices.Compare(r.parts(), other.parts()) }

func (r release) parts() []int {
	return []int{r.major, r.minor, r.patch, slices.Index(stages, r.stage), r.number}
}

// tagForm is a release's tag, and what git describe or somebody else has added.
var tagForm = regexp.MustCompile(`^v(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:-(alpha|beta|rc)\.(\d{1,6}))?([-+].*)?$`)

// parseRelease reads a node's version. A build that is no release as published,
// such as v1.13.7-3-gabcdef0-dirty, is own: it has all that its release has, and
// perhaps more.
func parseRelease(tag string) (r release, own, ok bool) {
	m := tagForm.FindStringSubmatch(tag)
	if m == nil {
		return release{}, false, false
	}
	number := func(digits string) int { n, _ := strconv.Atoi(digits); return n } // 0 for none
	return release{number(m[1]), number(m[2]), number(m[3]), m[4], number(m[5])}, m[6] != "", true
}

// fixes are the first releases with a fix, one of each line that got it, in their
// order. Lines after the last have had it from the beginning.
type fixes []release

// missing returns the first release after r that has the fix, and whether r lacks
// it.
func (f fixes) missing(r release) (next release, lacks bool) {
	for _, fix := range f {
		if r.compare(fix) < 0 {
			return fix, true
		}
		if r.major == fix.major && r.minor == fix.minor {
			break
		}
	}
	return release{}, false
}
