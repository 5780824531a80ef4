package checks

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// EtcdDifference is something that the nodes do not list alike.
type EtcdDifference struct {
	// Member is the member's host name, or its ID where it has none.
	Member string
	ID     string
	// What is "listed", or what of it differs: "host name cp-1", "learner",
	// "voter", "peer URL https://192.0.2.1:2380", "client URL ...".
	What string
	// ListedBy are the nodes that list it so, MissingFrom those that list the
	// member otherwise, or not at all where What is "listed".
	ListedBy, MissingFrom []string
}

// String says it in a sentence.
func (d EtcdDifference) String() string {
	what := ""
	if d.What != listedAtAll {
		what = " as " + d.What
	}
	return fmt.Sprintf("%s list%s %s%s, %s do%s not", strings.Join(d.ListedBy, ", "), singular(d.ListedBy, "s"),
		d.Member, what, strings.Join(d.MissingFrom, ", "), singular(d.MissingFrom, "es"))
}

func singular(names []string, ending string) string {
	if len(names) == 1 {
		return ending
	}
	return ""
}

const listedAtAll = "listed"

// EtcdURL is a URL of a member.
type EtcdURL struct {
	Member string
	ID     string
	URL    string
}

// differences compares the lists of all nodes whose own etcd answers; another
// node's list is of some other member.
func differences(s *cluster.Snapshot) []EtcdDifference {
	var all []cluster.Member
	var listers []*cluster.Node
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if !n.Members.Known() || !lastSaid(n).Known() {
			continue
		}
		listers = append(listers, n)
		for _, m := range n.Members.Value() {
			if !slices.ContainsFunc(all, func(o cluster.Member) bool { return o.ID == m.ID }) {
				all = append(all, m)
			}
		}
	}
	var found []EtcdDifference
	for _, m := range all {
		found = append(found, differencesOf(m, listers)...)
	}
	return found
}

// differencesOf compares how the nodes list one member.
func differencesOf(m cluster.Member, listers []*cluster.Node) []EtcdDifference {
	var with, without []string
	says := map[string][]string{} // what is said of it -> by whom
	for _, n := range listers {
		i := slices.IndexFunc(n.Members.Value(), func(o cluster.Member) bool { return o.ID == m.ID })
		if i < 0 {
			without = append(without, n.Name)
			continue
		}
		with = append(with, n.Name)
		for _, what := range traits(n.Members.Value()[i]) {
			says[what] = append(says[what], n.Name)
		}
	}
	one := EtcdDifference{Member: EtcdMember{Member: m}.Label(), ID: m.ID}
	var found []EtcdDifference
	if len(without) > 0 {
		one.What, one.ListedBy, one.MissingFrom = listedAtAll, with, without
		found = append(found, one)
	}
	for _, what := range slices.Sorted(maps.Keys(says)) {
		if len(says[what]) == len(with) {
			continue
		}
		one.What, one.ListedBy = what, says[what]
		one.MissingFrom = slices.DeleteFunc(slices.Clone(with), func(name string) bool { return slices.Contains(says[what], name) })
		found = append(found, one)
	}
	return found
}

// traits are what a list says of a member.
func traits(m cluster.Member) []string {
	list := []string{"voter"}
	if m.Learner {
		list[0] = "learner"
	}
	if m.Hostname != "" {
		list = append(list, "host name "+m.Hostname)
	}
	for _, url := range m.PeerURLs {
		list = append(list, "peer URL "+url)
	}
	for _, url := range m.ClientURLs {
		list = append(list, "client URL "+url)
	}
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// urlsOnVIP are the URLs of members that hold a VIP, by any node's list.
func urlsOnVIP(s *cluster.Snapshot) []EtcdURL {
	var found []EtcdURL
	for i := range s.Nodes {
		for _, m := range s.Nodes[i].Members.Value() {
			for _, url := range urlsOf(m) {
				one := EtcdURL{Member: EtcdMember{Member: m}.Label(), ID: m.ID, URL: url}
				if slices.ContainsFunc(s.VIPs, func(v cluster.VIP) bool { return v.Addr == hostOf(url) }) && !slices.Contains(found, one) {
					found = append(found, one)
				}
			}
		}
	}
	return found
}

// hostOf returns the address in a URL such as https://192.0.2.1:2380, the zero
// value where it holds a name.
func hostOf(url string) netip.Addr {
	_, rest, _ := strings.Cut(url, "://")
	hostPort, _, _ := strings.Cut(rest, "/")
	if ap, err := netip.ParseAddrPort(hostPort); err == nil {
		return ap.Addr()
	}
	addr, _ := netip.ParseAddr(strings.Trim(hostPort, "[]"))
	return addr
}
