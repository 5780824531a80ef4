// Package node is one emulated Talos control-plane node: PID 1 of its own
// namespaces, with a real etcd, the VIP operator, the Talos API and a
// kube-apiserver stand-in.
package node

import (
	"net/netip"
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
	// Addr is the node's own address with its prefix length; Link the name of
	// its only link, which the supervisor moves into the machine's network
	// namespace and the machine itself configures.
	Addr netip.Prefix `json:"addr"`
	Link string       `json:"link"`
	// VIPs are those configured on this node; AllVIPs the addresses of the cluster's.
	VIPs    []VIP        `json:"vips"`
	AllVIPs []netip.Addr `json:"allVIPs"`
	// Peers are all control-plane nodes, this one included.
	Peers []Peer `json:"peers"`
	// LeaseTTL is the election lease (Talos: 60 s), in whole seconds.
	LeaseTTL time.Duration `json:"leaseTTL"`
	// TalosTiming keeps Talos's delays (etcd's first health check after 5 s).
	TalosTiming       bool   `json:"talosTiming"`
	TalosVersion      string `json:"talosVersion"`      // v1.13.9
	KubernetesVersion string `json:"kubernetesVersion"` // v1.36.3
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

// Peer is a control-plane node of the lab.
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
