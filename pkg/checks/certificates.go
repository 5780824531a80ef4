package checks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// certificateMargin is what should be left of a serving certificate. Talos issues
// it for a year and renews it at half of that (v1.13.9 internal/app/machined/pkg/
// controllers/secrets/kubernetes.go), so that less means that it does not.
const certificateMargin = 7 * 24 * time.Hour

func certificatesLast(s *cluster.Snapshot) Finding {
	t := among(s)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		server, ok := n.APIServer.Get()
		switch {
		case unheard(s, n):
			t.silence(n)
		case !seenHere(s, n):
			t.elsewhere(n.Name)
		case !ok:
			miss(&t, n.Name, "serving certificate", n.APIServer)
		default:
			judgeExpiry(&t, s.TakenAt, n.Name, server)
		}
	}
	return t.finding(vip.Count(t.good, "certificate lasts", "certificates last")+" for more than a week",
		"Talos renews it long before: look for errors in talosctl -n "+t.blamed(s)+" logs controller-runtime, and at the node's clock; a reboot has a new one issued: "+
			oneByOne("talosctl -n %s reboot", t.blamed(s)))
}

func judgeExpiry(t *tally, now time.Time, who string, server cluster.APIServer) {
	until := server.Certificate.NotAfter
	left := until.Sub(now)
	switch {
	case server.Certificate.Fingerprint == "":
		t.say(Unknown, "%s: no certificate was presented: %s", who, orElse(server.Error, "no reason known"))
	case until.IsZero():
		t.say(Unknown, "%s: it is not known when the certificate expires", who)
	case left <= 0:
		t.say(Fail, "%s: the certificate expired on %s", who, until.UTC().Format(time.DateOnly))
	case left < certificateMargin:
		t.say(Warn, "%s: the certificate expires on %s, in %.1f days", who, until.UTC().Format(time.DateOnly), left.Hours()/24)
	default:
		t.pass()
	}
}

func nodeIPNotVIP(s *cluster.Snapshot) Finding {
	return eachVIP(s, "no kubelet has "+joined(addrs(s.VIPs)),
		"set machine.kubelet.nodeIP.validSubnets to the nodes' subnet, without the VIP ("+exceptVIPs(s)+"), in talosctl -n %s edit machineconfig: Talos then restarts the kubelet",
		func(t *tally, v cluster.VIP) {
			for i := range s.Nodes {
				n := &s.Nodes[i]
				list, ok := n.NodeIPs.Get()
				switch {
				case !ok:
					missOf(t, n, "the kubelet's addresses", n.NodeIPs)
				case slices.Contains(list, v.Addr):
					t.say(Fail, "the kubelet of %s has the node's address from the VIP, %s", n.Name, v.Addr)
				default:
					t.pass()
				}
			}
		})
}

// exceptVIPs is how a list of subnets in Talos's configuration leaves the VIPs out.
func exceptVIPs(s *cluster.Snapshot) string {
	list := make([]string, 0, len(s.VIPs))
	for _, v := range s.VIPs {
		list = append(list, fmt.Sprintf("!%s/%d", v.Addr, v.Addr.BitLen()))
	}
	return strings.Join(list, ", ")
}
