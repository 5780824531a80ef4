package vip

import "strconv"

// Count writes how many there are of something, for people: "1 node is", "3 nodes
// are". It is given what one is called, with its verb where it has one, and what
// several are.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
