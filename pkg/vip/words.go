package vip

import (
	"slices"
	"strings"
)

// add appends a name that is not there yet.
func add(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// list joins names: a, b and c.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// oneOf joins names: a, b or c.
func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// verb is one for a single name, and many for more.
func verb(names []string, one, many string) string {
	if len(names) == 1 {
		return one
	}
	return many
}

// short is the beginning of a fingerprint, enough to compare by eye.
func short(fingerprint string) string {
	const digits = 16
	if len(fingerprint) <= digits {
		return fingerprint
	}
	return fingerprint[:digits] + "..."
}
