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
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
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
	Name          string       `json:"name"`
	ControlPlanes int          `json:"controlPlanes"` // 1, 3 or 5
	VIPs          []netip.Addr `json:"vips"`          // IPv4, in Network
	// LeaseTTL is the election lease: whole seconds, at least 2 s, for etcd
	// silently raises less. Talos: 60 s.
	LeaseTTL time.Duration `json:"leaseTTL"`
	// BootTime passes between power-on (or a reboot) and the node's first sign
	// of life. The boot at the lab's start does not wait for it.
	BootTime time.Duration `json:"bootTime"`
	// VIPNodes are the nodes that have the VIP configured; none means all.
	VIPNodes     []string `json:"vipNodes,omitempty"`
	TalosVersion string   `json:"talosVersion"`
	// TalosTiming keeps Talos's delays; without it etcd's health is checked at once.
	TalosTiming bool `json:"talosTiming,omitempty"`
	// Seed changes the nodes' hardware addresses.
	Seed uint32 `json:"seed,omitempty"`
}

// The address plan: the workstation is .1, nodes are .2 on, the first VIP is
// .50, and the BMC of a node is 100 above it.
var (
	Network    = netip.MustParsePrefix("10.5.0.0/24")
	DefaultVIP = netip.MustParseAddr("10.5.0.50")
)

const (
	workstationHost = 1
	firstNodeHost   = 2
	firstBMCHost    = 102
)

// Defaults and limits of a Spec.
const (
	defaultLeaseTTL = 60 * time.Second // Talos: VIP operator, lease of the election
	minLeaseTTL     = 2 * time.Second
	maxLeaseTTL     = 10 * time.Minute
	maxBootTime     = 10 * time.Minute
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
	namePattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	versionPattern = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)
)

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
	if !slices.Contains([]int{1, 3, 5}, s.ControlPlanes) {
		wrong("control-planes", "%d control planes make no good quorum; have 1, 3 or 5", s.ControlPlanes)
	}
	if s.LeaseTTL < minLeaseTTL || s.LeaseTTL > maxLeaseTTL || s.LeaseTTL%time.Second != 0 {
		wrong("lease-ttl", "%v is not a number of whole seconds from %v to %v", s.LeaseTTL, minLeaseTTL, maxLeaseTTL)
	}
	if s.BootTime < 0 || s.BootTime > maxBootTime {
		wrong("boot-time", "%v is not between 0s and %v", s.BootTime, maxBootTime)
	}
	if !versionPattern.MatchString(s.TalosVersion) {
		wrong("talos-version", "%q is not a version such as %s", s.TalosVersion, DefaultTalosVersion)
	}
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
	return errors.Join(errs...)
}

// refuseVIP says why the address cannot be a VIP, or "".
func (s Spec) refuseVIP(vip netip.Addr, before []netip.Addr) string {
	if !vip.Is4() || !Network.Contains(vip) {
		return fmt.Sprintf("is not an IPv4 address in the lab's network %s", Network)
	}
	host := int(vip.As4()[3])
	switch {
	case host == 0 || host == 255:
		return "is the network's own or its broadcast address"
	case host == workstationHost:
		return "is the workstation's address"
	case host >= firstNodeHost && host < firstNodeHost+s.ControlPlanes:
		return "is a node's address"
	case host >= firstBMCHost && host < firstBMCHost+s.ControlPlanes:
		return "is a BMC's address"
	case slices.Contains(before, vip):
		return "is named twice"
	}
	return ""
}

// place is where a node is on the lab's network.
type place struct {
	Name string
	Addr netip.Addr
	BMC  netip.Addr
	MAC  [6]byte
}

// places returns all nodes, in the order of their numbers.
func (s Spec) places() []place {
	var all []place
	for i := range s.ControlPlanes {
		all = append(all, place{
			Name: fmt.Sprintf("cp-%d", i+1),
			Addr: host(firstNodeHost + i), BMC: host(firstBMCHost + i),
			MAC: s.mac(firstNodeHost + i),
		})
	}
	return all
}

func (s Spec) nodeNames() []string {
	var names []string
	for _, p := range s.places() {
		names = append(names, p.Name)
	}
	return names
}

// vipsOf returns the VIPs that are configured on the node.
func (s Spec) vipsOf(node string) []netip.Addr {
	if len(s.VIPNodes) > 0 && !slices.Contains(s.VIPNodes, node) {
		return nil
	}
	return s.VIPs
}

// host returns the address with that last byte.
func host(n int) netip.Addr {
	b := Network.Addr().As4()
	b[3] = byte(n)
	return netip.AddrFrom4(b)
}

// mac is a locally administered unicast address (IEEE 802: second bit of the
// first byte set, first bit clear), the same at every start.
func (s Spec) mac(host int) [6]byte {
	return [6]byte{0x02, byte(s.Seed >> 24), byte(s.Seed >> 16), byte(s.Seed >> 8), byte(s.Seed), byte(host)}
}
