package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/vip"
)

// AnswersAs says whether it is the node that answers at its address from here,
// with that certificate. Where nodes are dialled nobody else is there. Where they
// are reached through a proxy a stranger may be: then the certificate must be for
// the node's host name, which Talos puts into those of kube-apiserver and apid
// (v1.13.9 internal/app/machined/pkg/controllers/secrets/kubernetes_cert_sans.go,
// api_cert_sans.go).
func (s *Snapshot) AnswersAs(n *Node, cert Certificate) bool {
	if !s.Forwarded {
		return true
	}
	name, _ := n.Hostname.Get()
	return name != "" && cert.Fingerprint != "" &&
		slices.ContainsFunc(cert.DNSNames, func(dns string) bool { return strings.EqualFold(dns, name) })
}

// fromHere is what this machine itself witnesses of who answers for the VIP.
// Where nodes are reached through a proxy it may be in another network that uses
// the same addresses: then it counts where it names a node of this cluster, and
// nobody else whom it sees is a stranger.
func (s *Snapshot) fromHere(v *VIP, claim vip.Claim) vip.Claim {
	if s.Forwarded && claim.Owner == "" {
		claim.Stranger = ""
		claim.Err = fmt.Sprintf("nodes are reached through a proxy; who answers at %s here may be another network's", v.Addr)
	}
	return claim
}

// onWire is fromHere of all who answered on the wire. Where one of them is a node
// it is the nodes' own segment, and a stranger there is one.
func (s *Snapshot) onWire(v *VIP, claims []vip.Claim) []vip.Claim {
	if !s.Forwarded || slices.ContainsFunc(claims, func(c vip.Claim) bool { return c.Owner != "" }) {
		return claims
	}
	return []vip.Claim{s.fromHere(v, claims[0])}
}
