package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// Ownership says who has each VIP.
type Ownership struct {
	Meta
	TakenAt time.Time `json:"takenAt"`
	// Context is the talosconfig context, "" where none was named.
	Context string          `json:"context,omitempty"`
	VIPs    []VIPOwnership  `json:"vips"`
	Nodes   []NodeOwnership `json:"nodes"`
}

// VIPOwnership is one VIP and what each witness says of it.
type VIPOwnership struct {
	VIP     string `json:"vip"`
	Verdict string `json:"verdict" jsonschema:"enum=owned,enum=unowned,enum=disputed,enum=splitBrain,enum=unknown"`
	// Owner is the node that has it; "" unless the verdict is owned. Owners
	// are all that hold the address.
	Owner  string   `json:"owner"`
	Owners []string `json:"owners"`
	// Link is the owner's link that carries it.
	Link      string         `json:"link,omitempty"`
	Reason    string         `json:"reason"`
	Witnesses []WitnessClaim `json:"witnesses"`
}

// WitnessClaim is what one witness said. With an error it said nothing.
type WitnessClaim struct {
	Witness string `json:"witness" jsonschema:"enum=address,enum=certificate,enum=arp,enum=election"`
	From    string `json:"from"`
	Owner   string `json:"owner"`
	Error   string `json:"error,omitempty"`
}

// NodeOwnership is one control-plane node. One that did not answer has an
// error.
type NodeOwnership struct {
	Node     string `json:"node"`
	Address  string `json:"address"`
	Via      string `json:"via,omitempty"`
	Hostname string `json:"hostname"`
	Version  string `json:"version,omitempty"`
	Stage    string `json:"stage,omitempty"`
	// Holds are the VIPs that it carries, Configured those it campaigns for.
	Holds      []string `json:"holds"`
	Configured []string `json:"configured"`
	Error      string   `json:"error,omitempty"`
}

// Judged is a VIP with the claims and the verdict that they led to.
type Judged struct {
	VIP     netip.Addr
	Claims  []vip.Claim
	Verdict vip.Verdict
}

// NewOwnership returns the document on the VIPs that were judged, and on every
// node of the snapshot.
func NewOwnership(s *cluster.Snapshot, judged ...Judged) *Ownership {
	doc := &Ownership{
		Meta: meta(KindOwnership), TakenAt: s.TakenAt, Context: s.Context,
		VIPs: []VIPOwnership{}, Nodes: []NodeOwnership{},
	}
	for _, j := range judged {
		doc.VIPs = append(doc.VIPs, newVIPOwnership(s, j))
	}
	for i := range s.Nodes {
		doc.Nodes = append(doc.Nodes, newNodeOwnership(s, &s.Nodes[i]))
	}
	return doc
}

func newVIPOwnership(s *cluster.Snapshot, j Judged) VIPOwnership {
	v := VIPOwnership{
		VIP: j.VIP.String(), Verdict: j.Verdict.Ownership.String(),
		Owners: append([]string{}, j.Verdict.Owners...), Reason: j.Verdict.Reason,
		Witnesses: []WitnessClaim{},
	}
	if j.Verdict.Ownership == vip.Owned && len(v.Owners) == 1 {
		v.Owner = v.Owners[0]
		if n := s.Node(v.Owner); n != nil {
			v.Link = n.Holds(j.VIP).Value()
		}
	}
	for _, c := range j.Claims {
		v.Witnesses = append(v.Witnesses, WitnessClaim{c.Witness.String(), c.From, c.Owner, c.Err})
	}
	return v
}

func newNodeOwnership(s *cluster.Snapshot, n *cluster.Node) NodeOwnership {
	row := NodeOwnership{
		Node: n.Name, Address: n.Addr.String(), Via: n.Via, Hostname: n.Hostname.Value(),
		Version: n.Version.Value().Tag, Stage: n.Stage.Value().Stage,
		Holds: []string{}, Configured: []string{},
	}
	for _, v := range s.VIPs {
		if n.Holds(v.Addr).Value() != "" {
			row.Holds = append(row.Holds, v.Addr.String())
		}
	}
	for _, a := range n.VIPs.Value() {
		row.Configured = append(row.Configured, a.String())
	}
	switch {
	case !n.Reachable.Known():
		row.Error = n.Reachable.Err()
	case !n.Addresses.Known():
		row.Error = "addresses: " + n.Addresses.Err()
	}
	return row
}

// Grids shows a row a VIP, with the reason unless all is well; below it every
// node when wide, else the nodes that could not be asked.
func (o *Ownership) Grids(wide bool) []Grid {
	vips := Grid{Header: []string{"VIP", "VERDICT", "OWNER", "LINK", "WITNESSES"}}
	for _, v := range o.VIPs {
		vips.Rows = append(vips.Rows, []string{v.VIP, v.Verdict, strings.Join(v.Owners, ","), v.Link, v.tally()})
		if v.Verdict != vip.Owned.String() || wide || v.someSilent() {
			vips.Footer = append(vips.Footer, v.VIP+": "+v.Reason)
		}
	}
	nodes := Grid{Header: []string{"NODE", "ADDRESS", "HOLDS", "CONFIGURED", "VERSION", "STAGE", "ERROR"}}
	for _, n := range o.Nodes {
		if wide || n.Error != "" {
			nodes.Rows = append(nodes.Rows, []string{n.Node, n.Address, strings.Join(n.Holds, ","),
				strings.Join(n.Configured, ","), n.Version, n.Stage, n.Error})
		}
	}
	if len(o.VIPs) == 0 {
		vips = Grid{Title: "no VIP"}
	}
	if len(nodes.Rows) == 0 {
		return []Grid{vips}
	}
	return []Grid{vips, nodes}
}

func (v VIPOwnership) someSilent() bool {
	return slices.ContainsFunc(v.Witnesses, func(w WitnessClaim) bool { return w.Error != "" })
}

// tally counts the witnesses that spoke, kind by kind: "address 3/3".
func (v VIPOwnership) tally() string {
	var words []string
	for _, kind := range []vip.Witness{vip.Address, vip.Certificate, vip.ARP, vip.Election} {
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
