// Package node is one emulated Talos node: PID 1 of its own namespaces, with
// the Talos API and, on a control plane, a real etcd, the VIP operator and a
// kube-apiserver, or its stand-in.
package node

import (
	"net/netip"
	"slices"
	"time"
)

// Exit codes of a machine process, by which it tells the supervisor what the
// machine's firmware should do next. Any other code is a crash: the machine
// stays off.
const (
	ExitReboot   = 10 // boot again after the boot time
	ExitPowerOff = 11 // stay off
)

// Config is what a machine is told at power-on. The supervisor writes it as
// JSON to a file and names that file on the machine's command line.
type Config struct {
	Cluster string `json:"cluster"`
	Name    string `json:"name"` // host name: cp-1
	// Worker makes it a worker: no etcd, no kube-apiserver.
	Worker bool `json:"worker,omitempty"`
	// Addr is the node's own address with its prefix length, by which the other
	// nodes know it; Link the name of the link that has it.
	Addr netip.Prefix `json:"addr"`
	Link string       `json:"link"`
	// Links are all links, which the supervisor moves into the machine's network
	// namespace and the machine itself configures. None means Link with Addr.
	Links []Link `json:"links,omitempty"`
	// Gateways are the default routes' next hops, one a family.
	Gateways []netip.Addr `json:"gateways,omitempty"`
	// VIPs are those configured on this node; AllVIPs the addresses of the cluster's.
	VIPs    []VIP        `json:"vips"`
	AllVIPs []netip.Addr `json:"allVIPs"`
	// Peers are all control-plane nodes, this one included.
	Peers []Peer `json:"peers"`
	// Workers are all workers, this one included.
	Workers []Peer `json:"workers,omitempty"`
	// LeaseTTL is the election lease (Talos: 60 s), in whole seconds.
	LeaseTTL time.Duration `json:"leaseTTL"`
	// TalosTiming keeps Talos's delays (etcd's first health check after 5 s).
	TalosTiming       bool   `json:"talosTiming"`
	TalosVersion      string `json:"talosVersion"`      // v1.13.9
	KubernetesVersion string `json:"kubernetesVersion"` // v1.36.3
	// ConfigStyle is how the machine configuration says what the node's network
	// is: "legacy" (machine.network), or "documents", which Talos has from v1.12
	// on. Empty means documents where the version has them.
	ConfigStyle string `json:"configStyle,omitempty"`
	// NoKubePrism is a machine configuration with KubePrism turned off.
	NoKubePrism bool `json:"noKubePrism,omitempty"`
	// Endpoint is the cluster's where it is not the first VIP: an address or a name.
	Endpoint string `json:"endpoint,omitempty"`
	// KubeAPIServer is the path of a real kube-apiserver; "" is the stand-in.
	KubeAPIServer string `json:"kubeAPIServer,omitempty"`
	// Dir is the node's disk: it survives a power cut.
	Dir string `json:"dir"`
	// Secrets is the file with the cluster's secrets bundle.
	Secrets string `json:"secrets"`
}

// VIP is a shared address as a node's machine configuration has it. The link
// need not exist, as on Talos.
type VIP struct {
	Addr netip.Addr `json:"addr"`
	Link string     `json:"link"`
}

// The styles of a machine configuration.
const (
	// StyleLegacy is machine.network.interfaces[].vip: one VIP a link.
	StyleLegacy = "legacy"
	// StyleDocuments is a Layer2VIPConfig each, from Talos v1.12 on.
	StyleDocuments = "documents"
)

// Link is a link of the node with the addresses of its own.
type Link struct {
	Name  string         `json:"name"`
	Addrs []netip.Prefix `json:"addrs"` // IPv4 first
	// VLAN is the VLAN's ID; 0 is a link that is none. The VLAN's parent is
	// the node's main link.
	VLAN uint16 `json:"vlan,omitempty"`
	// AltNames are its other names, as udev gives them.
	AltNames []string `json:"altNames,omitempty"`
}

// AllLinks returns Links, or what none stand for.
func (c Config) AllLinks() []Link {
	if len(c.Links) == 0 {
		return []Link{{Name: c.Link, Addrs: []netip.Prefix{c.Addr}}}
	}
	return c.Links
}

// Addrs returns the node's own addresses on all links, Addr first.
func (c Config) Addrs() []netip.Addr {
	all := []netip.Addr{c.Addr.Addr()}
	for _, l := range c.AllLinks() {
		for _, p := range l.Addrs {
			if p != c.Addr {
				all = append(all, p.Addr())
			}
		}
	}
	return all
}

// LinkNamed returns the name of the link that a VIP's configuration means on
// nodes of the release: the very name, or that of a link with it as another.
func (r Release) LinkNamed(name string, links []Link) string {
	for _, l := range links {
		if r.KnowsAltNames() && slices.Contains(l.AltNames, name) {
			return l.Name
		}
	}
	return name
}

// resolved returns the configuration with the VIPs on the links that are meant.
func (c Config) resolved() Config {
	c.VIPs = slices.Clone(c.VIPs)
	for i, vip := range c.VIPs {
		c.VIPs[i].Link = c.release().LinkNamed(vip.Link, c.AllLinks())
	}
	return c
}

// LinkOf returns the link that a VIP is configured on, or in whose network the
// address is; the main one for any other address.
func (c Config) LinkOf(addr netip.Addr) string {
	for _, vip := range c.VIPs {
		if vip.Addr == addr {
			return vip.Link
		}
	}
	for _, l := range c.AllLinks() {
		if slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return l.Name
		}
	}
	return c.Link
}

// Peer is another node of the lab, or the node itself.
type Peer struct {
	Name string     `json:"name"`
	Addr netip.Addr `json:"addr"`
}

// Order is what the supervisor asks of a running machine, one JSON value a
// line on the control socket. The machine answers each with a Reply.
type Order struct {
	ID int `json:"id"`
	// LinkReady says that the link is in the machine's network namespace; it
	// is the first order after power-on.
	LinkReady bool `json:"linkReady,omitempty"`
	// Fault names a fault to inject (On) or undo.
	Fault string            `json:"fault,omitempty"`
	On    bool              `json:"on,omitempty"`
	Args  map[string]string `json:"args,omitempty"`
	// ACPI presses the power button: Talos shuts down with force.
	ACPI bool `json:"acpi,omitempty"`
}

// Reply answers the Order of the same ID.
type Reply struct {
	ID    int    `json:"id"`
	Error string `json:"error,omitempty"`
}
