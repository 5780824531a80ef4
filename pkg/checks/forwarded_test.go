package checks

import (
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// proxied has nodes be reached through a proxy, from a network in which nobody
// answers at their addresses.
func proxied(s *cluster.Snapshot) {
	s.Forwarded = true
	s.Endpoints = []cluster.Endpoint{{Name: "https://omni.example"}}
	silent := cluster.Got(cluster.APIServer{Error: "no answer within 5 s"})
	s.VIPs[0].APIServer, s.VIPs[0].ARP = silent, cluster.Missed[[]cluster.ARPReply](errDown)
	for i := range s.Nodes {
		s.Nodes[i].APIServer = silent
	}
}

// strangers are a cluster of the same addresses that answers there.
func strangers(s *cluster.Snapshot) {
	strange := func(fingerprint string) cluster.Seen[cluster.APIServer] {
		return cluster.Got(cluster.APIServer{Answered: true, Status: 500, Certificate: cluster.Certificate{
			Fingerprint: fingerprint, DNSNames: []string{"kubernetes", "other"}, NotAfter: testTime.Add(-time.Hour),
		}})
	}
	s.VIPs[0].APIServer = strange("x2")
	for i := range s.Nodes {
		s.Nodes[i].APIServer = strange("x" + s.Nodes[i].Name[3:])
	}
	s.VIPs[0].Neighbour = cluster.Got(cluster.Neighbour{HardwareAddr: "02:00:00:00:00:99", State: "reachable"})
}

// itself has a node's own kube-apiserver answer here, with that status.
func itself(i, status int) change {
	own := apiServer(i, status)
	own.Certificate.DNSNames = []string{nodeName(i), "kubernetes"}
	return server(i, own)
}

// vipLeadsTo has the VIP lead to the node as it is seen here.
func vipLeadsTo(i int) change {
	return func(s *cluster.Snapshot) { s.VIPs[0].APIServer = s.Nodes[i-1].APIServer }
}

const cannotBeSeen = " cannot be seen from here: nodes are reached through a proxy, and who answers at such an address here may be another network's"

var proxiedRows = map[string][]row{
	"endpoint-not-vip": {
		{"the endpoint is a proxy", healthy(3, proxied), Skip, "the endpoint is a proxy"},
	},
	"nodes-answer": {
		{"all do, through the proxy", healthy(3, proxied), Pass, "3 of 3 nodes answer"},
		{"one is down", healthy(3, proxied, down(3)), Fail, "cp-3 (192.0.2.3) does not answer"},
	},
	"vip-one-owner": {
		{"a stranger answers here", healthy(3, proxied, strangers), Pass, "192.0.2.50 is owned by cp-1"},
		{"two hold it", healthy(3, proxied, strangers, carries(2, "192.0.2.50/32", "eth0")), Fail, "split brain"},
		{"nobody holds it", healthy(3, proxied, strangers, onlyCarries(1, "192.0.2.1/24", "eth0")), Fail, "192.0.2.50 is on no node"},
	},
	"vip-witnesses-agree": {
		{"nobody answers here", healthy(3, proxied), Skip, "nobody but the nodes themselves says who has it"},
		{"strangers answer here", healthy(3, proxied, strangers), Skip, "who answers at 192.0.2.50 here may be another network's"},
		{"a stranger answers on a wire without nodes", healthy(3, proxied, wired("02:00:00:00:00:99")), Skip, "arp does not tell (nodes are reached through a proxy"},
		{"the owner answers on the wire", healthy(3, proxied, wired("02:00:00:00:00:01")), Pass, "192.0.2.50 is on cp-1, also by arp"},
		{"another node answers here, surely", healthy(3, proxied, itself(2, 401), vipLeadsTo(2)), Fail, "answered elsewhere: "},
	},
	"vip-answers": {
		{"nobody here", healthy(3, proxied), Skip, "192.0.2.50:6443" + cannotBeSeen},
		{"a stranger", healthy(3, proxied, strangers), Skip, "192.0.2.50:6443" + cannotBeSeen},
		{"the owner", healthy(3, proxied, itself(1, 401), vipLeadsTo(1)), Pass, "192.0.2.50"},
		{"the owner, and it is not ready", healthy(3, proxied, itself(1, 500), vipLeadsTo(1)), Fail, "HTTP 500"},
	},
	"vip-answered-by-owner": {
		{"nobody here", healthy(3, proxied), Skip, "192.0.2.50" + cannotBeSeen},
		{"a stranger", healthy(3, proxied, strangers), Skip, "192.0.2.50" + cannotBeSeen},
		{"the owner", healthy(3, proxied, itself(1, 401), vipLeadsTo(1)), Pass, "192.0.2.50"},
		{"another node", healthy(3, proxied, itself(2, 401), vipLeadsTo(2)), Fail, "192.0.2.50 is on cp-1, and answered by cp-2"},
	},
	"apiserver-ready": {
		{"by the kubelets' word", healthy(3, proxied), Pass, "3 nodes' kube-apiservers are ready, by their kubelets' word"},
		{"strangers that are not ready", healthy(3, proxied, strangers), Pass, "by their kubelets' word"},
		{"a kubelet says no", healthy(3, proxied, node(2, func(n *cluster.Node) { n.StaticPod = cluster.Got(cluster.APIServerPod{Phase: "Running"}) })), Fail, "cp-2: kube-apiserver's pod (Running) is not ready"},
		{"a node itself answers here that it is not", healthy(3, proxied, itself(2, 500)), Fail, "cp-2: kube-apiserver answers with HTTP 500"},
		{"a kubelet tells nothing", healthy(3, proxied, node(2, func(n *cluster.Node) { n.StaticPod = cluster.Missed[cluster.APIServerPod](errDown) })), Unknown, "cp-2: kube-apiserver's pod not known"},
		{"the role may not ask the kubelets", healthy(3, proxied, node(2, func(n *cluster.Node) { n.StaticPod = cluster.Missed[cluster.APIServerPod](errRight) })), Skip, "cp-2" + cannotBeSeen},
		{"one is down, and a stranger answers there", healthy(3, proxied, strangers, silentBehindStranger(2)), Unknown, "not known of cp-2: see nodes-answer; the other 2 are well"},
	},
	"apiserver-certificate": {
		{"nobody here", healthy(3, proxied), Skip, "192.0.2.50, cp-1, cp-2, cp-3" + cannotBeSeen},
		{"strangers", healthy(3, proxied, strangers), Skip, "192.0.2.50, cp-1, cp-2, cp-3" + cannotBeSeen},
		{"one node itself answers, without the VIP's name", healthy(3, proxied, server(2, cluster.APIServer{Answered: true, Certificate: cluster.Certificate{Fingerprint: "x", DNSNames: []string{"cp-2"}}})), Warn, "cp-2: the certificate does not name 192.0.2.50"},
		{"one is down, and a stranger answers there", healthy(3, proxied, strangers, silentBehindStranger(2)), Unknown, "not known of cp-2: see nodes-answer"},
	},
	"apiserver-certificate-lasts": {
		{"nobody here", healthy(3, proxied), Skip, "cp-1, cp-2, cp-3" + cannotBeSeen},
		{"strangers whose certificates have expired", healthy(3, proxied, strangers), Skip, "cp-1, cp-2, cp-3" + cannotBeSeen},
		{"a node's own ends soon", healthy(3, proxied, itself(2, 401), expires(2, time.Hour)), Warn, "cp-2: the certificate expires on"},
	},
}

// silentBehindStranger is a node that the proxy does not reach, at whose address
// here a stranger answers.
func silentBehindStranger(i int) change {
	return func(s *cluster.Snapshot) {
		server := s.Nodes[i-1].APIServer
		down(i)(s)
		s.Nodes[i-1].APIServer = server
	}
}

func TestChecksThroughAProxy(t *testing.T) {
	for _, c := range All() {
		for _, r := range proxiedRows[c.ID] {
			t.Run(c.ID+"/"+r.name, func(t *testing.T) {
				if f := c.Judge(r.s); f.Status != r.status || !strings.Contains(f.Message, r.message) {
					t.Errorf("Judge = %v %q; want %v, with %q in it", f.Status, f.Message, r.status, r.message)
				}
			})
		}
	}
}

// A healthy cluster is well through a proxy, too, whoever else answers at its
// addresses here; what could not be seen is skipped, and what to do is said.
func TestAHealthyClusterIsWellThroughAProxy(t *testing.T) {
	for name, s := range map[string]*cluster.Snapshot{"nobody": healthy(3, proxied), "strangers": healthy(3, proxied, strangers)} {
		results := Run(s, All())
		if got := Worst(results); got != Pass {
			t.Errorf("where %s answer here the verdict is %v; want a pass", name, got)
		}
		for _, r := range results {
			if r.Status != Pass && r.Status != Skip || strings.Contains(r.Message, cannotBeSeen) && r.Hint != hintElsewhere {
				t.Errorf("where %s answer here %s is %+v; want a pass, or a skip with a hint", name, r.ID, r.Finding)
			}
		}
	}
}
