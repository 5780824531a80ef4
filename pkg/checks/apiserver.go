package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// apiServerPort is where kube-apiserver listens on a Talos control plane.
const apiServerPort = 6443

// speaksKubernetes says that a kube-apiserver may answer /readyz so: 200 when
// ready, 401 or 403 to a stranger (Talos turns anonymous requests off).
func speaksKubernetes(status int) bool {
	return slices.Contains([]int{200, 401, 403}, status)
}

func apiServerReady(s *cluster.Snapshot) Finding {
	t := among(s)
	by := ""
	if s.NoKubeconfig != "" {
		by = ", by their kubelets' word where they tell a stranger nothing: " + s.NoKubeconfig
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if seenHere(s, n) {
			judgeAPIServer(&t, s, n)
			continue
		}
		judgePod(&t, n)
		by = ", by their kubelets' word: nodes are reached through a proxy"
	}
	return t.finding(vip.Count(t.good, "node's kube-apiserver is", "nodes' kube-apiservers are")+" ready"+by, deadAPIServers(s, t.culprits(s)))
}

// deadAPIServers says how to look for each server, of which some may be on nodes
// whose Talos does not answer either: talosctl is of no use there.
func deadAPIServers(s *cluster.Snapshot, nodes []*cluster.Node) string {
	var hints, at []string
	for _, n := range nodes {
		if saidNothing(n) {
			hints = append(hints, bringBack(s, n, n.Reachable.Err()))
		} else {
			at = append(at, reached(s, n.Name))
		}
	}
	if len(at) > 0 {
		hints = append(hints, fmt.Sprintf("talosctl -n %s containers -k shows its container, and talosctl -n %[1]s logs -k ID, with the ID from there, what it says; "+
			"the VIP stays on a node whose kube-apiserver is dead", strings.Join(at, ",")))
	}
	return strings.Join(distinct(hints), "; ")
}

// seenHere says whether it is the node whose port was seen from here, and not
// perhaps another network's.
func seenHere(s *cluster.Snapshot, n *cluster.Node) bool {
	return s.AnswersAs(n, n.APIServer.Value().Certificate)
}

// judgePod believes the kubelet on a node whose port cannot be seen.
func judgePod(t *tally, n *cluster.Node) {
	switch pod, ok := n.StaticPod.Get(); {
	case !ok && saidNothing(n):
		t.silence(n)
	case !ok && (n.StaticPod == cluster.Seen[cluster.APIServerPod]{} || denied(n.StaticPod.Err())):
		t.elsewhere(n.Name)
	case !ok:
		miss(t, n.Name, "kube-apiserver's pod", n.StaticPod)
	case !pod.Ready:
		t.say(Fail, "%s: kube-apiserver's pod (%s) is not ready", n.Name, orElse(pod.Phase, "no phase"))
	default:
		t.pass()
	}
}

// judgeAPIServer believes /readyz where it was told, else the kubelet's word
// on the static pod, if the port answers at all.
func judgeAPIServer(t *tally, s *cluster.Snapshot, n *cluster.Node) {
	port, ok := n.APIServer.Get()
	pod, podKnown := n.StaticPod.Get()
	switch {
	case noWord(n):
		t.silence(n)
	case !ok:
		miss(t, n.Name, "kube-apiserver", n.APIServer)
	case port.HandshakeOnly():
		t.say(Unknown, "%s: kube-apiserver shows a certificate, and was not asked whether it is ready", n.Name)
	case !port.Answered:
		t.say(Fail, "%s: kube-apiserver does not answer: %s", n.Name, orElse(port.Error, "no reason known"))
	case port.Status == 200:
		t.pass()
	case !speaksKubernetes(port.Status):
		t.say(Fail, "%s: kube-apiserver answers with HTTP %d: not ready", n.Name, port.Status)
	case !podKnown:
		need := distinct([]string{"kube-apiserver answers; its readiness needs a kubeconfig", s.NoKubeconfig})
		t.say(Unknown, "%s: %s", n.Name, strings.Join(need, ": "))
	case !pod.Ready:
		t.say(Fail, "%s: kube-apiserver answers, and its pod (%s) is not ready", n.Name, orElse(pod.Phase, "no phase"))
	default:
		t.pass()
	}
}

// noWord says that neither the Talos API nor anything on the kube-apiserver's
// port said a word: the machine is off, cut off, or none. A refused connection is
// a word.
func noWord(n *cluster.Node) bool {
	port, ok := n.APIServer.Get()
	heard := ok && (port.Answered || port.Certificate.Fingerprint != "" ||
		strings.Contains(port.Error, "refused") || strings.Contains(port.Error, "reset"))
	return saidNothing(n) && !heard
}

// unheard is noWord where what answers at the node's address is the node; where it
// may be another's, only the Talos API speaks for it.
func unheard(s *cluster.Snapshot, n *cluster.Node) bool {
	return noWord(n) || saidNothing(n) && !seenHere(s, n)
}

func certificateCoversVIP(s *cluster.Snapshot) Finding {
	return eachVIP(s, "every certificate names "+joined(addrs(s.VIPs)),
		"put "+joined(addrs(s.VIPs))+" into cluster.apiServer.certSANs of every control-plane node (talosctl -n "+everyNode(s)+" edit machineconfig): else a node's certificate is rewritten, and its kube-apiserver restarted, when it first takes over",
		func(t *tally, v cluster.VIP) {
			if answersHere(s, v) {
				judgeCertificate(t, Fail, v.Addr, v.Addr.String(), v.APIServer)
			} else {
				t.elsewhere(v.Addr.String())
			}
			for i := range s.Nodes {
				switch n := &s.Nodes[i]; {
				case unheard(s, n):
					t.silence(n)
				case !seenHere(s, n):
					t.elsewhere(n.Name)
				default:
					judgeCertificate(t, Warn, v.Addr, n.Name, n.APIServer)
				}
			}
		})
}

// judgeCertificate says bad where the certificate does not name addr. On the
// VIP itself clients fail; on a node that has not had it yet they will not,
// for Talos adds the name on take-over.
func judgeCertificate(t *tally, bad Status, addr netip.Addr, who string, server cluster.Seen[cluster.APIServer]) {
	got, ok := server.Get()
	switch {
	case !ok:
		miss(t, who, "serving certificate", server)
	case got.Certificate.Fingerprint == "":
		t.say(Unknown, "%s: no certificate was presented: %s", who, orElse(got.Error, "no reason known"))
	case !slices.Contains(got.Certificate.Addresses, addr):
		t.say(bad, "%s: the certificate does not name %s", who, addr)
	default:
		t.pass()
	}
}
