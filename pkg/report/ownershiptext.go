package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// Grids shows a row a VIP, and below it what is wrong and what to do, unless
// all is well; then every witness and every node when wide, else the nodes that
// could not be asked, or not directly. For which right of its own this machine
// asked somebody nothing is said once, also where all is well.
func (o *Ownership) Grids(wide bool) []Grid {
	grids := o.grids(wide)
	if len(o.VIPs) > 0 && !wide { // else they have rows of their own
		grids[0].Footer = append(grids[0].Footer, o.lacking(grids[0].Footer)...)
	}
	return grids
}

// lacking are the witnesses that were not asked for want of a right that whoever
// runs this can give, unless the lines have them already. That one is out of reach
// for another reason is no news where all is well.
func (o *Ownership) lacking(lines []string) []string {
	var missing []string
	for _, v := range o.VIPs {
		for _, w := range v.Witnesses {
			line := w.unheard()
			said := func(l string) bool { return strings.TrimSpace(l) == line }
			if strings.HasPrefix(w.Error, cluster.NeedsRight) && !slices.ContainsFunc(slices.Concat(lines, missing), said) {
				missing = append(missing, line)
			}
		}
	}
	return missing
}

// unheard says who said nothing, and why.
func (w WitnessClaim) unheard() string {
	return fmt.Sprintf("%s: %s from %s: %s", silences[w.Silence], w.Witness, w.From, w.Error)
}

// grids are those that several contexts have, too.
func (o *Ownership) grids(wide bool) []Grid {
	if len(o.VIPs) == 0 {
		none := Grid{Title: o.noVIP()}
		if none.Title != "no VIP" {
			none.Footer = []string{"not every node says which it has configured: --vip ADDRESS asks for one by hand"}
		}
		return slices.Concat([]Grid{none}, o.nodeGrids(wide))
	}
	vips := Grid{Header: []string{"VIP", "VERDICT", "OWNER", "LINK", "WITNESSES"}}
	for _, v := range o.VIPs {
		vips.Rows = append(vips.Rows, []string{v.VIP, v.Verdict, strings.Join(v.Owners, ","), v.Link, v.tally()})
		vips.Footer = append(vips.Footer, o.lines(v, wide)...)
	}
	vips.Footer = hintsOnce(vips.Footer)
	grids := []Grid{vips}
	if wide {
		grids = append(grids, o.witnessGrid())
	}
	for _, v := range o.VIPs {
		if v.Election != nil {
			grids = append(grids, v.Election.grid(v.VIP, wide))
		}
	}
	return slices.Concat(grids, o.nodeGrids(wide))
}

// hintsOnce leaves of a hint that comes again only the last: it is read after all
// the VIPs that it is for.
func hintsOnce(lines []string) []string {
	var kept []string
	for i, line := range lines {
		if !strings.HasPrefix(line, "  hint: ") || !slices.Contains(lines[i+1:], line) {
			kept = append(kept, line)
		}
	}
	return kept
}

// noVIP says that there is no VIP to be shown, or that it is not known.
func (o *Ownership) noVIP() string {
	if slices.ContainsFunc(o.Nodes, func(n NodeOwnership) bool { return n.Error != "" }) {
		return "no VIP is known"
	}
	return "no VIP"
}

// lines are what there is to say of a VIP: the reason, what the cluster shows to
// be wrong, when it was seen, and apart from that who said nothing, and why. They
// are none where all is well, and nothing is said twice.
func (o *Ownership) lines(v VIPOwnership, wide bool) []string {
	trouble := slices.Concat(v.findingLines(), v.sightingLines())
	calm := v.Verdict == vip.Owned.String() && len(trouble) == 0
	whole := true // every node said whether it has the address
	var silent []string
	for _, w := range v.Witnesses {
		if w.Error == "" {
			continue
		}
		node := w.Witness == vip.Address.String()
		whole = whole && !node
		switch {
		case wide, node && o.tells(w): // they have rows of their own
		case w.Witness == vip.Election.String() && v.Election != nil: // said with the queue
		case node, !calm: // that this machine cannot hear the segment is no news where all is well
			silent = append(silent, "  "+w.unheard())
		}
	}
	if calm && whole && !wide {
		return nil
	}
	return slices.Concat([]string{v.VIP + ": " + v.Reason}, o.whoElse(v), trouble, silent)
}

// whoElse is whom to ask where nobody knows: the others' etcd. It cannot be asked
// through a proxy.
func (o *Ownership) whoElse(v VIPOwnership) []string {
	near := func(n NodeOwnership) bool { return n.Error == "" && n.Via == "" }
	if v.Verdict != vip.Unknown.String() || v.Election != nil || !slices.ContainsFunc(o.Nodes, near) {
		return nil
	}
	return []string{"  hint: vipctl owner --election shows whom etcd elected, what is left of the lease, and who is next"}
}

// silences are the words for those who said nothing.
var silences = map[string]string{
	string(checks.NotAsked): "not asked", string(checks.NoAnswer): "no answer", string(checks.Unclear): "unclear",
}

// findingLines are the findings, save one that is the reason, each followed by
// its hint unless that stands above already, alone or after the node's name.
func (v VIPOwnership) findingLines() []string {
	var lines []string
	for _, f := range v.Findings {
		if f.Message == "" || !strings.HasPrefix(v.Reason, f.Message) {
			lines = append(lines, "  finding: "+f.Message)
		}
		said := func(line string) bool { return strings.HasPrefix(line, "  hint: ") && strings.Contains(line, f.Hint) }
		if f.Hint != "" && !slices.ContainsFunc(lines, said) {
			lines = append(lines, "  hint: "+f.Hint)
		}
	}
	return lines
}

// sightingLines are both sightings, whose words are in the reason; none where
// both saw the owner.
func (v VIPOwnership) sightingLines() []string {
	if len(v.Sightings) != 2 {
		return nil
	}
	first, second := v.Sightings[0], v.Sightings[1]
	if first.Verdict == vip.Owned.String() && second.Verdict == first.Verdict && slices.Equal(first.Owners, second.Owners) {
		return nil
	}
	return []string{fmt.Sprintf("  seen at %s: %s %s; at %s: %s %s",
		first.TakenAt.Format(eventTime), first.Verdict, holders(first.Owners),
		second.TakenAt.Format(clockTime), second.Verdict, holders(second.Owners))}
}

// tells says whether the node that did not answer has a row that says why.
func (o *Ownership) tells(w WitnessClaim) bool {
	return slices.ContainsFunc(o.Nodes, func(n NodeOwnership) bool { return n.Node == w.From && strings.HasSuffix(n.Error, w.Error) })
}

// tally counts the witnesses that spoke, kind by kind: "address 3/3".
func (v VIPOwnership) tally() string {
	var words []string
	for _, kind := range []vip.Witness{vip.Address, vip.Certificate, vip.ARP, vip.Neighbour, vip.Election} {
		asked, spoke := 0, 0
		for _, w := range v.Witnesses {
			if w.Witness != kind.String() {
				continue
			}
			asked++
			if w.Error == "" {
				spoke++
			}
		}
		if asked > 0 {
			words = append(words, fmt.Sprintf("%s %d/%d", kind, spoke, asked))
		}
	}
	return strings.Join(words, ", ")
}

// witnessGrid is a row for each thing that a witness said.
func (o *Ownership) witnessGrid() Grid {
	g := Grid{Header: []string{"VIP", "WITNESS", "FROM", "OWNER", "BY", "ERROR"}}
	for _, v := range o.VIPs {
		for _, w := range v.Witnesses {
			owner := w.Owner
			if w.Stranger != "" {
				owner = "stranger " + w.Stranger
			}
			g.Rows = append(g.Rows, []string{v.VIP, w.Witness, w.From, owner, w.By, w.Error})
		}
	}
	return g
}

// nodeGrids are the nodes: all when wide, else those with an error, and those
// that were read through another. None where there is no such node.
func (o *Ownership) nodeGrids(wide bool) []Grid {
	g := Grid{Header: []string{"NODE", "ADDRESS", "HOLDS", "CONFIGURED", "VERSION", "STAGE", "ERROR"}}
	forwarded := slices.ContainsFunc(o.Nodes, func(n NodeOwnership) bool { return n.Via != "" })
	if forwarded {
		g.Header = append(g.Header, readVia)
	}
	for _, n := range o.Nodes {
		if !wide && n.Error == "" && n.Via == "" {
			continue
		}
		row := []string{n.Node, n.Address, strings.Join(n.Holds, ","), strings.Join(n.Configured, ","), n.Version, n.Stage, n.Error}
		if forwarded {
			row = append(row, through(n.Via, n.ViaReason))
		}
		g.Rows = append(g.Rows, row)
	}
	if len(g.Rows) == 0 {
		return nil
	}
	return []Grid{g}
}

// readVia heads the column of nodes that were read through another.
const readVia = "READ VIA"

// through is how a node was read, "" where that was directly.
func through(via, reason string) string {
	if reason == "" {
		return via
	}
	return via + " (" + reason + ")"
}
