// Package lab runs a Talos control plane on one Linux machine: emulated nodes,
// their BMCs and a workstation, each in a network namespace of its own, tied
// together by a switch in user space.
//
// Up starts a lab from a Spec; Open finds one that runs. Everything a lab is
// made of hangs on one process, its supervisor, and is gone with it.
package lab

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/node"
)

// Versions that the nodes say they are unless told otherwise.
const (
	DefaultName         = "default"
	DefaultTalosVersion = "v1.13.9"
	KubernetesVersion   = "v1.36.3"
)

// Spec is what a lab is asked to be. The zero value, after Default, is three
// control planes with Talos's own times.
type Spec struct {
	Name          string `json:"name"`
	ControlPlanes int    `json:"controlPlanes"` // 1 to 5
	// Workers are nodes without etcd and kube-apiserver: 0 to 5.
	Workers int `json:"workers,omitempty"`
	// VIPs may be of both families. One that lies on none of the lab's networks
	// is allowed: nobody but its owner reaches it.
	VIPs []netip.Addr `json:"vips"`
	// LeaseTTL is the election lease: whole seconds, at least 2 s, for etcd
	// silently raises less. Talos: 60 s.
	LeaseTTL time.Duration `json:"leaseTTL"`
	// BootTime passes between power-on (or a reboot) and the node's first sign
	// of life. The boot at the lab's start does not wait for it.
	BootTime time.Duration `json:"bootTime"`
	// VIPNodes are the nodes that have the VIPs configured; none means all
	// control planes. A worker that has one never campaigns, as on Talos.
	VIPNodes []string `json:"vipNodes,omitempty"`
	// VIPLinks names the link that VIPs are configured on, by node, and of all
	// others under "". By default it is the VLAN for a VIP of the VLAN's
	// subnets, and else eth0. It may be another name of eth0, which is enx and
	// the hardware address, as udev gives it. The link need not exist: then the node never
	// campaigns, as on Talos.
	VIPLinks map[string]string `json:"vipLinks,omitempty"`
	// VLAN is the ID of a VLAN that every node and the workstation are on, as
	// link eth0.ID; 0 is none.
	VLAN uint16 `json:"vlan,omitempty"`
	// Subnets is 1, or 2 where the lesser half of the control planes is on a
	// segment of its own behind the workstation, which routes.
	Subnets int `json:"subnets,omitempty"`
	// TalosVersion is what the nodes say they are, from v1.8 on; they behave
	// like it.
	TalosVersion string `json:"talosVersion"`
	// ConfigStyle is node.StyleLegacy or node.StyleDocuments; by default the
	// latter where TalosVersion has it.
	ConfigStyle string `json:"configStyle,omitempty"`
	// TalosTiming keeps Talos's delays; without it etcd's health is checked at once.
	TalosTiming bool `json:"talosTiming,omitempty"`
	// NoKubePrism turns KubePrism off: a worker's kubelet then goes to the
	// cluster's endpoint, and a control plane's to the node itself, as on Talos.
	NoKubePrism bool `json:"noKubePrism,omitempty"`
	// Endpoint is the host of the cluster's endpoint, in machine configurations
	// and kubeconfigs: an address, or a name, which nothing in the lab resolves.
	// By default it is the first VIP.
	Endpoint string `json:"endpoint,omitempty"`
	// KubeAPIServer is the absolute path of a kube-apiserver v1.36 that the nodes
	// run; without it they run a stand-in.
	KubeAPIServer string `json:"kubeAPIServer,omitempty"`
	// Seed changes the nodes' hardware addresses.
	Seed uint32 `json:"seed,omitempty"`
}

// Defaults and limits of a Spec.
const (
	defaultLeaseTTL = 60 * time.Second // Talos: VIP operator, lease of the election
	minLeaseTTL     = 2 * time.Second
	maxLeaseTTL     = 10 * time.Minute
	maxBootTime     = 10 * time.Minute
	maxNodes        = 5 // of each kind
	maxVLAN         = 4094
	broadcastHost   = 255
)

// SpecError says what is wrong with a Spec.
type SpecError struct {
	Field string // as the flag is called, without dashes
	Msg   string
}

func (e *SpecError) Error() string { return e.Field + ": " + e.Msg }

// Default returns the Spec with every zero field set to its default.
func (s Spec) Default() Spec {
	if s.Name == "" {
		s.Name = DefaultName
	}
	if s.ControlPlanes == 0 {
		s.ControlPlanes = 3
	}
	if s.Subnets == 0 {
		s.Subnets = 1
	}
	if len(s.VIPs) == 0 {
		s.VIPs = []netip.Addr{DefaultVIP}
	}
	if s.LeaseTTL == 0 {
		s.LeaseTTL = defaultLeaseTTL
	}
	if s.BootTime == 0 {
		s.BootTime = 3 * time.Second
	}
	if s.TalosVersion == "" {
		s.TalosVersion = DefaultTalosVersion
	}
	return s
}

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	linkPattern = regexp.MustCompile(`^[^\s/]{1,15}$`) // IFNAMSIZ is 16 with its zero
)

// CheckName returns a UsageError where name cannot be a lab's.
func CheckName(name string) error {
	if err := checkName(name); err != nil {
		return withHint(&UsageError{err.Error()}, "`vipctl lab list` shows the labs that run")
	}
	return nil
}

// checkName returns a SpecError where name cannot be a lab's.
func checkName(name string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	return &SpecError{Field: "name", Msg: fmt.Sprintf("%q is not a lab name: up to 32 lower-case letters, digits and dashes", name)}
}

// Validate returns everything that is wrong with the Spec, as SpecErrors.
func (s Spec) Validate() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &SpecError{Field: field, Msg: fmt.Sprintf(format, args...)})
	}
	if err := checkName(s.Name); err != nil {
		errs = append(errs, err)
	}
	if s.LeaseTTL < minLeaseTTL || s.LeaseTTL > maxLeaseTTL || s.LeaseTTL%time.Second != 0 {
		wrong("lease-ttl", "%v is not a number of whole seconds from %v to %v", s.LeaseTTL, minLeaseTTL, maxLeaseTTL)
	}
	if s.BootTime < 0 || s.BootTime > maxBootTime {
		wrong("boot-time", "%v is not between 0s and %v", s.BootTime, maxBootTime)
	}
	release, err := node.ParseRelease(s.TalosVersion)
	if err != nil {
		wrong("talos-version", "%v", err)
	}
	switch {
	case !slices.Contains([]string{"", node.StyleLegacy, node.StyleDocuments}, s.ConfigStyle):
		wrong("config-style", "%q is neither %s nor %s", s.ConfigStyle, node.StyleLegacy, node.StyleDocuments)
	case s.ConfigStyle == node.StyleDocuments && !release.HasDocuments():
		wrong("config-style", "Talos %s has no documents for VIPs; v1.12 and later do", s.TalosVersion)
	}
	if _, err := netip.ParseAddr(s.Endpoint); s.Endpoint != "" && err != nil && !hostPattern.MatchString(s.Endpoint) {
		wrong("endpoint", "%q is neither an address nor a host name", s.Endpoint)
	}
	if s.KubeAPIServer != "" && !filepath.IsAbs(s.KubeAPIServer) {
		wrong("kube-apiserver", "%q is not an absolute path", s.KubeAPIServer)
	}
	if s.checkShape(wrong); len(errs) == 0 { // what follows counts on the shape
		s.checkVIPs(wrong)
	}
	return errors.Join(errs...)
}

// checkShape says what is wrong with the numbers of nodes and networks.
func (s Spec) checkShape(wrong func(field, format string, args ...any)) {
	if s.ControlPlanes < 1 || s.ControlPlanes > maxNodes {
		wrong("control-planes", "%d is not between 1 and %d", s.ControlPlanes, maxNodes)
	}
	if s.Workers < 0 || s.Workers > maxNodes {
		wrong("workers", "%d is not between 0 and %d", s.Workers, maxNodes)
	}
	if s.VLAN > maxVLAN {
		wrong("vlan", "%d is not between 1 and %d", s.VLAN, maxVLAN)
	}
	switch {
	case s.Subnets != 1 && s.Subnets != 2:
		wrong("subnets", "%d is neither 1 nor 2", s.Subnets)
	case s.Subnets == 2 && s.ControlPlanes < 2:
		wrong("subnets", "one control plane cannot be on two subnets")
	}
}

// checkVIPs says what is wrong with the VIPs and where they are configured.
func (s Spec) checkVIPs(wrong func(field, format string, args ...any)) {
	for i, vip := range s.VIPs {
		if reason := s.refuseVIP(vip, s.VIPs[:i]); reason != "" {
			wrong("vip", "%s %s", vip, reason)
		}
	}
	names := s.nodeNames()
	for _, n := range s.VIPNodes {
		if !slices.Contains(names, n) {
			wrong("vip-nodes", "there is no node %q; nodes are %s", n, strings.Join(names, ", "))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(s.VIPLinks)) {
		if n != "" && !slices.Contains(names, n) {
			wrong("vip-link", "there is no node %q; nodes are %s", n, strings.Join(names, ", "))
		}
		if !linkPattern.MatchString(s.VIPLinks[n]) {
			wrong("vip-link", "%q is not the name of a link", s.VIPLinks[n])
		}
	}
	if s.configStyle() == node.StyleLegacy {
		s.checkLegacy(wrong)
	}
}

// checkLegacy says what machine configurations of the old style cannot have.
func (s Spec) checkLegacy(wrong func(field, format string, args ...any)) {
	for _, p := range s.places() {
		seen := make(map[string]netip.Addr)
		for _, vip := range s.vipsOf(p) {
			if p.Worker {
				wrong("vip-nodes", "%s: virtual (shared) IP is not allowed on non-controlplane nodes by a legacy configuration", p.Name)
				break
			}
			if first, taken := seen[vip.Link]; taken {
				wrong("vip", "a legacy configuration (always before Talos v1.12) has one VIP a link, and %s of %s has %s already; %s needs another link, or the style documents",
					vip.Link, p.Name, first, vip.Addr)
				return // it is the same on the other nodes
			}
			seen[vip.Link] = vip.Addr
		}
	}
}

// configStyle returns the style that is asked for, or the release's newest.
func (s Spec) configStyle() string {
	release, _ := node.ParseRelease(s.TalosVersion)
	switch {
	case s.ConfigStyle != "":
		return s.ConfigStyle
	case release.HasDocuments():
		return node.StyleDocuments
	default:
		return node.StyleLegacy
	}
}

// refuseVIP says why the address cannot be a VIP, or "".
func (s Spec) refuseVIP(vip netip.Addr, before []netip.Addr) string {
	if !vip.IsGlobalUnicast() || vip.Is4In6() || vip.Zone() != "" {
		return "is not an address that nodes can share"
	}
	if slices.Contains(before, vip) {
		return "is named twice"
	}
	for _, seg := range s.segments() {
		switch vip {
		case seg.IPv4.Addr(), seg.IPv6.Addr(), host(seg.IPv4, broadcastHost):
			return "is the network's own or its broadcast address"
		case host(seg.IPv4, workstationHost), host(seg.IPv6, workstationHost):
			return "is the workstation's address"
		}
	}
	for _, p := range s.places() {
		if vip == p.BMC {
			return "is a BMC's address"
		}
		for _, l := range p.Links {
			if slices.ContainsFunc(l.Addrs, func(a netip.Prefix) bool { return a.Addr() == vip }) {
				return "is a node's address"
			}
		}
	}
	return ""
}

func (s Spec) nodeNames() []string {
	var names []string
	for _, p := range s.places() {
		names = append(names, p.Name)
	}
	return names
}
