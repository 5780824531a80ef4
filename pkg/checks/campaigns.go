package checks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
)

func vipCampaigns(s *cluster.Snapshot) Finding {
	var hints []string
	f := eachVIP(s, "every node that has "+joined(addrs(s.VIPs))+" configured campaigns", "",
		func(t *tally, v cluster.VIP) {
			configured := 0
			for i := range s.Nodes {
				n := &s.Nodes[i]
				if list, ok := n.VIPs.Get(); ok && !slices.Contains(list, v.Addr) {
					continue // vip-configured-alike says so
				}
				configured++
				hints = append(hints, judgeCampaign(t, s, n, v.Addr))
			}
			if configured == 0 && len(s.Nodes) > 0 {
				t.say(Skip, "no node has %s configured", v.Addr)
			}
		})
	f.Hint = strings.Join(distinct(hints), "; ")
	return f
}

// judgeCampaign judges a node by the finalizers that its VIP operators hold on
// its KubeletLifecycle, one for each link and not for each VIP (Talos v1.13.9
// internal/app/machined/pkg/controllers/network/operator/vip.go). So a node that
// campaigns at all may still not do it for this VIP: then it holds fewer links
// than another node with the same VIPs. It returns what to do, "" for nothing.
func judgeCampaign(t *tally, s *cluster.Snapshot, n *cluster.Node, addr netip.Addr) (hint string) {
	links, ok := n.Campaigns.Get()
	switch {
	case !n.VIPs.Known():
		missOf(t, n, "configured VIPs", n.VIPs)
	case !ok:
		missOf(t, n, "campaigns", n.Campaigns)
	case n.Holds(addr).Value() != "":
		t.pass() // whoever holds it was elected, or vip-witnesses-agree says otherwise
	case len(links) == 0:
		return notCampaigning(t, s, n, addr)
	default:
		if other := moreCampaigns(s, n); other != nil {
			t.say(Warn, "%s campaigns on %s only, and %s, with the same VIPs, on %s", n.Name, strings.Join(links, ", "),
				other.Name, strings.Join(other.Campaigns.Value(), ", "))
			return linkHint(s, n)
		}
		t.pass()
	}
	return ""
}

// linkHint is for a link of a VIP that is not there, is down, or has another name.
func linkHint(s *cluster.Snapshot, n *cluster.Node) string {
	return fmt.Sprintf("talosctl -n %s get links: the VIP's link must be there, be up and be called as in the configuration, "+
		"which talosctl -n %[1]s get operatorspecs shows to role os:admin", reached(s, n.Name))
}

// notCampaigning says why, as far as that can be told. What keeps the whole node
// from it other checks call a failure.
func notCampaigning(t *tally, s *cluster.Snapshot, n *cluster.Node, addr netip.Addr) (hint string) {
	stage, known := n.Stage.Get()
	etcd, kubelet := serviceOf(n, "etcd"), serviceOf(n, "kubelet")
	why, at := "", reached(s, n.Name)
	switch {
	case known && stage.Stage != "running":
		why = "it is " + orElse(stage.Stage, "in no known stage")
		hint = stageHint(at)
	case etcd.State != "" && !running(etcd):
		why = "its etcd is not running and healthy"
		hint = serviceHint(at, "etcd")
	case kubelet.State != "" && !running(kubelet):
		why = "its kubelet is not running and healthy"
		hint = serviceHint(at, "kubelet")
	}
	if why != "" {
		t.say(Warn, "%s has %s configured and does not campaign for it now: %s", n.Name, addr, why)
		return hint
	}
	t.say(Fail, "%s has %s configured and does not campaign for it: its link does not exist or is down, or is called otherwise", n.Name, addr)
	return linkHint(s, n)
}

// stageHint is for nodes that are not running, or not ready.
func stageHint(nodes string) string {
	return fmt.Sprintf("talosctl -n %s get machinestatus -o yaml names what a node waits for", nodes)
}

// serviceHint is for a service of Talos that is not well on those nodes.
func serviceHint(nodes, service string) string {
	return fmt.Sprintf("talosctl -n %s service %s, and talosctl -n %[1]s logs %[2]s", nodes, service)
}

func running(s cluster.Service) bool {
	return s.State == "Running" && (s.Healthy || !s.HealthKnown)
}

// moreCampaigns is a node with the same VIPs that campaigns on more links.
func moreCampaigns(s *cluster.Snapshot, n *cluster.Node) *cluster.Node {
	same := func(a, b []netip.Addr) bool { return fmt.Sprint(sorted(a)) == fmt.Sprint(sorted(b)) }
	for i := range s.Nodes {
		other := &s.Nodes[i]
		if same(other.VIPs.Value(), n.VIPs.Value()) && len(other.Campaigns.Value()) > len(n.Campaigns.Value()) {
			return other
		}
	}
	return nil
}

func sorted(list []netip.Addr) []netip.Addr {
	return slices.SortedFunc(slices.Values(list), netip.Addr.Compare)
}
