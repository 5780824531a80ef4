package commands

import (
	"slices"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// known is the watched node that a search has found, nil where it is new. A node
// that is silent is known by its address alone while nobody lists the members:
// it keeps the name that it had.
func (w *watching) known(seen *cluster.Node, snap *cluster.Snapshot) *watchedNode {
	if n := w.node(seen.Name); n != nil {
		return n
	}
	if seen.Addresses.Known() || seen.Name != seen.Addr.String() || listed(snap) {
		return nil
	}
	return w.namesake(seen, snap)
}

// namesake is the watched node at the address of one that was found, and whose
// own name was not; nil where there is none.
func (w *watching) namesake(seen *cluster.Node, snap *cluster.Snapshot) *watchedNode {
	i := slices.IndexFunc(w.nodes, func(n *watchedNode) bool {
		return n.name != seen.Name && n.addr.IsValid() && n.addr == seen.Addr && snap.Node(n.name) == nil
	})
	if i < 0 {
		return nil
	}
	return w.nodes[i]
}

// rename adds a node that was found. It takes the place of the one at its address,
// with what is remembered of that: its watch knows better than a search what
// addresses it has, unless it is not seen.
func (w *watching) rename(n *watchedNode, snap *cluster.Snapshot) *watchedNode {
	seen := &cluster.Node{Name: n.name, Addr: n.addr}
	for old := w.namesake(seen, snap); old != nil; old = w.namesake(seen, snap) {
		if old.err == "" {
			n.holds, n.err, n.heard = old.holds, "", old.heard
		}
		for addr, c := range w.courses {
			w.courses[addr] = c.Renamed(old.name, n.name)
		}
		w.forget(func(o *watchedNode) bool { return o == old })
	}
	return w.add(n)
}
