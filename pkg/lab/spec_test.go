package lab

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestSpecValidate(t *testing.T) {
	vip := func(s ...string) func(*Spec) {
		return func(spec *Spec) {
			spec.VIPs = nil
			for _, a := range s {
				spec.VIPs = append(spec.VIPs, netip.MustParseAddr(a))
			}
		}
	}
	for name, row := range map[string]struct {
		change func(*Spec)
		want   string // "" means valid
	}{
		"the default":                        {func(*Spec) {}, ""},
		"one control plane":                  {func(s *Spec) { s.ControlPlanes = 1 }, ""},
		"two control planes":                 {func(s *Spec) { s.ControlPlanes = 2 }, "control-planes: 2"},
		"a lease of a second":                {func(s *Spec) { s.LeaseTTL = time.Second }, "lease-ttl: 1s"},
		"a lease of two and a half":          {func(s *Spec) { s.LeaseTTL = 2500 * time.Millisecond }, "lease-ttl: 2.5s"},
		"a lease of two seconds":             {func(s *Spec) { s.LeaseTTL = 2 * time.Second }, ""},
		"a negative boot time":               {func(s *Spec) { s.BootTime = -1 }, "boot-time"},
		"no boot time":                       {func(s *Spec) { s.BootTime = 0 }, ""},
		"a name with a slash":                {func(s *Spec) { s.Name = "a/b" }, "name"},
		"a VIP on the last node":             {vip("10.5.0.4"), "vip: 10.5.0.4 is a node's"},
		"a VIP behind the last node":         {vip("10.5.0.5"), ""},
		"a VIP on a BMC":                     {vip("10.5.0.102"), "vip: 10.5.0.102 is a BMC's"},
		"a VIP on the workstation":           {vip("10.5.0.1"), "workstation"},
		"a VIP elsewhere":                    {vip("192.0.2.1"), "not an IPv4 address in the lab's network"},
		"an IPv6 VIP":                        {vip("fd00::50"), "not an IPv4 address in the lab's network"},
		"two VIPs":                           {vip("10.5.0.50", "10.5.0.51"), ""},
		"a VIP twice":                        {vip("10.5.0.50", "10.5.0.50"), "named twice"},
		"a VIP on the broadcast address":     {vip("10.5.0.255"), "broadcast"},
		"the VIP on a node that there isn't": {func(s *Spec) { s.VIPNodes = []string{"cp-4"} }, "vip-nodes: there is no node \"cp-4\"; nodes are cp-1, cp-2, cp-3"},
		"a version without its v":            {func(s *Spec) { s.TalosVersion = "1.13.9" }, "talos-version"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Spec{}.Default()
			row.change(&s)
			err := s.Validate()
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("Validate() = %v; want %q", err, row.want)
			}
		})
	}
}

func TestHardwareAddressesAreLocalAndDiffer(t *testing.T) {
	seen := make(map[[6]byte]bool)
	for _, seed := range []uint32{0, 1, 0xffffffff} {
		for _, p := range (Spec{ControlPlanes: 5, Seed: seed}).places() {
			if p.MAC[0]&3 != 2 {
				t.Errorf("MAC of %s = %x; want locally administered unicast", p.Name, p.MAC)
			}
			if seen[p.MAC] {
				t.Errorf("MAC %x comes twice", p.MAC)
			}
			seen[p.MAC] = true
		}
	}
}
