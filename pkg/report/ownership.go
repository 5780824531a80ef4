package report

import (
	"net/netip"
	"time"

	"github.com/vipctl/vipctl/pkg/checks"
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
	// Link is the one that carries it, where a single node holds it.
	Link      string         `json:"link,omitempty"`
	Reason    string         `json:"reason"`
	Witnesses []WitnessClaim `json:"witnesses"`
	// Findings are what the cluster shows to be wrong, the gravest first. What
	// could not be asked is none: those are the witnesses with an error.
	Findings []OwnershipFinding `json:"findings"`
	// Sightings are there where one look was not enough: both, in their order.
	// The verdict above weighs them.
	Sightings []Sighting `json:"sightings,omitempty"`
	// Election is the queue in etcd, where it was asked for.
	Election *ElectionReport `json:"election,omitempty"`
}

// OwnershipFinding is something wrong with a VIP, and what to do about it.
type OwnershipFinding struct {
	Trouble string `json:"trouble" jsonschema:"enum=twoOwners,enum=noOwner,enum=foreignHost,enum=leftoverAddress,enum=staticAddress,enum=staleARP,enum=proxyARP,enum=answeredElsewhere,enum=ownerWithoutKey,enum=keyWithoutOwner,enum=duplicateAddress,enum=unreachable,enum=ownerNotServing,enum=ghost"`
	// Node is the node to look at, "" where it is no single one.
	Node    string `json:"node"`
	Message string `json:"message"`
	// Hint names the command or setting to try.
	Hint string `json:"hint"`
}

// Sighting is what one look alone amounts to.
type Sighting struct {
	TakenAt time.Time `json:"takenAt"`
	Verdict string    `json:"verdict" jsonschema:"enum=owned,enum=unowned,enum=disputed,enum=splitBrain,enum=unknown"`
	Owners  []string  `json:"owners"`
	Reason  string    `json:"reason"`
}

// WitnessClaim is what one witness said. With an error it said nothing.
type WitnessClaim struct {
	Witness string `json:"witness" jsonschema:"enum=address,enum=certificate,enum=arp,enum=neighbour,enum=election"`
	From    string `json:"from"`
	Owner   string `json:"owner"`
	// Stranger is a hardware address, the fingerprint of a certificate, or a host
	// name, that no node that answered has.
	Stranger string `json:"stranger,omitempty"`
	// By is how the address came onto its node, for the witness address, where
	// that is known.
	By    string `json:"by,omitempty" jsonschema:"enum=election,enum=configuration,enum=nobody"`
	Error string `json:"error,omitempty"`
	// Silence is why one with an error said nothing: it was not asked; it was
	// asked in vain, or refused; or from its answer it cannot be told whom it names.
	Silence string `json:"silence,omitempty" jsonschema:"enum=notAsked,enum=noAnswer,enum=unclear"`
}

// NodeOwnership is one control-plane node. One that did not answer has an
// error.
type NodeOwnership struct {
	Node    string `json:"node"`
	Address string `json:"address"`
	// Via is the endpoint through which it was read, and ViaReason why it was
	// not read directly.
	Via       string `json:"via,omitempty"`
	ViaReason string `json:"viaReason,omitempty"`
	Hostname  string `json:"hostname"`
	Version   string `json:"version,omitempty"`
	Stage     string `json:"stage,omitempty"`
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
	// Findings are all there are, those of the verdict included.
	Findings []vip.Finding
	// First is the verdict of the snapshot's Earlier alone, and Second that of
	// the snapshot; nil where one look was enough.
	First, Second *vip.Verdict
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
		Witnesses: []WitnessClaim{}, Findings: []OwnershipFinding{}, Election: newElection(s, j.VIP),
	}
	if len(v.Owners) == 1 {
		if j.Verdict.Ownership == vip.Owned {
			v.Owner = v.Owners[0]
		}
		if n := s.Node(v.Owners[0]); n != nil {
			v.Link = n.Holds(j.VIP).Value()
		}
	}
	for _, c := range j.Claims {
		v.Witnesses = append(v.Witnesses, WitnessClaim{c.Witness.String(), c.From, c.Owner, c.Stranger, origins[c.By], c.Err,
			string(checks.SilenceOf(s, j.VIP, c))})
	}
	for _, f := range j.Findings {
		v.Findings = append(v.Findings, OwnershipFinding{f.Trouble.String(), f.Node, f.Text, checks.Remedy(s, f, j.VIP, j.Verdict)})
	}
	if j.First != nil && j.Second != nil && s.Earlier != nil {
		v.Sightings = []Sighting{newSighting(s.Earlier.TakenAt, j.First), newSighting(s.TakenAt, j.Second)}
	}
	return v
}

// origins are how an address came onto its node, by the words of the documents.
var origins = map[vip.Origin]string{vip.ByElection: "election", vip.ByConfig: "configuration", vip.ByNobody: "nobody"}

func newSighting(at time.Time, v *vip.Verdict) Sighting {
	return Sighting{TakenAt: at, Verdict: v.Ownership.String(), Owners: append([]string{}, v.Owners...), Reason: v.Reason}
}

func newNodeOwnership(s *cluster.Snapshot, n *cluster.Node) NodeOwnership {
	row := NodeOwnership{
		Node: n.Name, Address: n.Addr.String(), Via: n.Via, ViaReason: n.ViaReason, Hostname: n.Hostname.Value(),
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
	case !n.VIPs.Known():
		row.Error = "configured VIPs: " + n.VIPs.Err()
	}
	return row
}
