package node

import (
	"fmt"
	"strings"

	"github.com/blang/semver/v4"
)

// Release is a release of Talos: it says in what its nodes differ from those
// of the newest one. The zero Release is the newest.
type Release struct {
	version semver.Version
	known   bool
}

// The releases from which on Talos does something else.
var (
	oldest      = semver.MustParse("1.8.0-0")
	noUserDisks = semver.MustParse("1.10.0-0") // the phase unmountUser is gone
	altNames    = semver.MustParse("1.10.0-0") // siderolabs/talos d45eaeb74
	noBroadcast = semver.MustParse("1.11.3")   // siderolabs/talos#11902
	documents   = semver.MustParse("1.12.0-alpha.2")
	force       = semver.MustParse("1.12.0-beta.0")
	// A stopped candidate revokes its lease (siderolabs/talos f7790816e, with
	// backports to two older lines).
	revokesLease = []semver.Version{
		semver.MustParse("1.12.11"), semver.MustParse("1.13.8"), semver.MustParse("1.14.0-beta.1"),
	}
)

// ParseRelease reads a version such as v1.13.9. Releases before v1.8 are an
// error: what they do is not known to the lab.
func ParseRelease(s string) (Release, error) {
	text, ok := strings.CutPrefix(s, "v")
	version, err := semver.Parse(text)
	switch {
	case !ok || err != nil:
		return Release{}, fmt.Errorf("%q is not a version such as v1.13.9", s)
	case version.LT(oldest):
		return Release{}, fmt.Errorf("%s is older than v1.8, the oldest that the lab can be", s)
	}
	return Release{version: version, known: true}, nil
}

// release returns the node's release; a version that cannot be read counts as
// the newest.
func (c Config) release() Release {
	r, _ := ParseRelease(c.TalosVersion)
	return r
}

// HasForce says whether the node knows the reboot mode FORCE. An older one
// takes the number, which it does not know, for DEFAULT.
func (r Release) HasForce() bool { return r.since(force) }

// HasDocuments says whether VIPs can be configured by documents of their own,
// and so more than one on a link.
func (r Release) HasDocuments() bool { return r.since(documents) }

// KnowsAltNames says whether a VIP may be configured on another name of its
// link, such as enx020000000002. An older one looks for a link of that name.
func (r Release) KnowsAltNames() bool { return r.since(altNames) }

// UnmountsUserDisks says whether a node on its way down has the phase unmountUser.
func (r Release) UnmountsUserDisks() bool { return !r.since(noUserDisks) }

// SetsBroadcast says whether an IPv4 VIP gets itself as its broadcast address.
func (r Release) SetsBroadcast() bool { return !r.since(noBroadcast) }

// LeavesLease says whether a candidate whose operator is stopped leaves its
// key in the queue, until the lease ends.
func (r Release) LeavesLease() bool { return !r.sinceInLine(revokesLease) }

func (r Release) since(first semver.Version) bool { return !r.known || r.version.GTE(first) }

// sinceInLine is since for a change that came to several lines of releases;
// lines newer than all of them have it.
func (r Release) sinceInLine(firsts []semver.Version) bool {
	for _, f := range firsts {
		if r.known && r.version.Major == f.Major && r.version.Minor == f.Minor {
			return r.version.GTE(f)
		}
	}
	return r.since(firsts[len(firsts)-1])
}
