package vip

import "slices"

// Renamed is the course where a node that was known by one name is known by
// another: what is remembered of it goes on. The verdict keeps the old name until
// Next, which makes a turn of it if the node holds the address.
func (c Course) Renamed(from, to string) Course {
	name := func(n string) string {
		if n == from {
			return to
		}
		return n
	}
	names := func(list []string) []string {
		list = slices.Clone(list)
		for i := range list {
			list[i] = name(list[i])
		}
		return list
	}
	c.claims = slices.Clone(c.claims)
	for i := range c.claims {
		c.claims[i].From, c.claims[i].Owner = name(c.claims[i].From), name(c.claims[i].Owner)
	}
	c.fallen = slices.Clone(c.fallen)
	for i, f := range c.fallen {
		c.fallen[i] = fallen{node: name(f.node), since: f.since, beside: names(f.beside)}
	}
	c.two.Owners = names(c.two.Owners)
	return c
}
