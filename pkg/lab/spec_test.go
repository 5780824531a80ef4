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
	also := func(changes ...func(*Spec)) func(*Spec) {
		return func(s *Spec) {
			for _, change := range changes {
				change(s)
			}
		}
	}
	for name, row := range map[string]struct {
		change func(*Spec)
		want   string // "" means valid
	}{
		"the default":                       {func(*Spec) {}, ""},
		"one control plane":                 {func(s *Spec) { s.ControlPlanes = 1 }, ""},
		"two control planes":                {func(s *Spec) { s.ControlPlanes = 2 }, ""},
		"four control planes":               {func(s *Spec) { s.ControlPlanes = 4 }, ""},
		"six control planes":                {func(s *Spec) { s.ControlPlanes = 6 }, "control-planes: 6 is not between"},
		"no control plane":                  {func(s *Spec) { s.ControlPlanes = -1 }, "control-planes: -1 is not between"},
		"five workers":                      {func(s *Spec) { s.Workers = 5 }, ""},
		"six workers":                       {func(s *Spec) { s.Workers = 6 }, "workers: 6 is not between"},
		"a VIP on a worker":                 {also(vip("10.5.0.5"), func(s *Spec) { s.Workers = 1 }), "vip: 10.5.0.5 is a node's"},
		"a VLAN":                            {func(s *Spec) { s.VLAN = 100 }, ""},
		"a VLAN too high":                   {func(s *Spec) { s.VLAN = 4095 }, "vlan: 4095 is not between"},
		"a VIP on a node's VLAN address":    {also(vip("10.6.0.2"), func(s *Spec) { s.VLAN = 100 }), "vip: 10.6.0.2 is a node's"},
		"two subnets":                       {func(s *Spec) { s.Subnets = 2 }, ""},
		"three subnets":                     {func(s *Spec) { s.Subnets = 3 }, "subnets: 3 is neither"},
		"one node on two subnets":           {func(s *Spec) { s.ControlPlanes, s.Subnets = 1, 2 }, "subnets: one control plane"},
		"a VIP on a node behind the router": {also(vip("10.5.1.4"), func(s *Spec) { s.Subnets = 2 }), "vip: 10.5.1.4 is a node's"},
		"a link for all":                    {func(s *Spec) { s.VIPLinks = map[string]string{"": "bond0"} }, ""},
		"a link for nobody":                 {func(s *Spec) { s.VIPLinks = map[string]string{"cp-9": "bond0"} }, `vip-link: there is no node "cp-9"`},
		"an endpoint by address":            {func(s *Spec) { s.Endpoint = "fd10:5::2" }, ""},
		"an endpoint by name":               {func(s *Spec) { s.Endpoint = "api.example.org" }, ""},
		"an endpoint that is a URL":         {func(s *Spec) { s.Endpoint = "https://10.5.0.50:6443" }, "endpoint: \"https://10.5.0.50:6443\" is neither"},
		"a link with a space":               {func(s *Spec) { s.VIPLinks = map[string]string{"cp-1": "eth 0"} }, "vip-link"},
		"no link":                           {func(s *Spec) { s.VIPLinks = map[string]string{"cp-1": ""} }, "vip-link"},
		"the oldest version":                {func(s *Spec) { s.TalosVersion = "v1.8.0" }, ""},
		"a version too old":                 {func(s *Spec) { s.TalosVersion = "v1.7.6" }, "talos-version: v1.7.6 is older"},
		"a style that there isn't":          {func(s *Spec) { s.ConfigStyle = "new" }, "config-style"},
		"documents before v1.12":            {func(s *Spec) { s.TalosVersion, s.ConfigStyle = "v1.11.6", "documents" }, "config-style: Talos v1.11.6 has no documents"},
		"legacy after v1.12":                {func(s *Spec) { s.ConfigStyle = "legacy" }, ""},
		"two VIPs on a link, legacy":        {also(vip("10.5.0.50", "fd10:5::50"), func(s *Spec) { s.TalosVersion = "v1.11.6" }), "has one VIP a link, and eth0 of cp-1 has 10.5.0.50 already"},
		"two VIPs on two links, legacy":     {also(vip("10.5.0.50", "10.6.0.50"), func(s *Spec) { s.ConfigStyle, s.VLAN = "legacy", 7 }), ""},
		"a worker with the VIP":             {func(s *Spec) { s.Workers, s.VIPNodes = 1, []string{"cp-1", "worker-1"} }, ""},
		"a worker with the VIP, legacy": {func(s *Spec) { s.Workers, s.VIPNodes, s.ConfigStyle = 1, []string{"worker-1"}, "legacy" },
			"vip-nodes: worker-1: virtual (shared) IP is not allowed on non-controlplane nodes"},
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
		"a VIP elsewhere":                    {vip("192.0.2.1"), ""},
		"a loopback VIP":                     {vip("127.0.0.1"), "not an address that nodes can share"},
		"a link-local VIP":                   {vip("fe80::50"), "not an address that nodes can share"},
		"an IPv6 VIP":                        {vip("fd10:5::50"), ""},
		"an IPv6 VIP on a node":              {vip("fd10:5::2"), "is a node's address"},
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
		for _, p := range (Spec{ControlPlanes: 5, Workers: 5, Seed: seed}).places() {
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

func TestPlaces(t *testing.T) {
	dual := []netip.Addr{DefaultVIP, netip.MustParseAddr("fd10:5::50")}
	for name, row := range map[string]struct {
		spec Spec
		want []string
	}{
		"the default": {Spec{}, []string{
			"cp-1 10.5.0.102 eth0=10.5.0.2/24", "cp-2 10.5.0.103 eth0=10.5.0.3/24", "cp-3 10.5.0.104 eth0=10.5.0.4/24",
		}},
		"workers follow": {Spec{ControlPlanes: 1, Workers: 2}, []string{
			"cp-1 10.5.0.102 eth0=10.5.0.2/24", "worker-1 10.5.0.103 eth0=10.5.0.3/24", "worker-2 10.5.0.104 eth0=10.5.0.4/24",
		}},
		"IPv6 has the same digits": {Spec{ControlPlanes: 5, Workers: 4, VIPs: dual}, []string{
			8: "worker-4 10.5.0.110 eth0=10.5.0.10/24,fd10:5::10/64",
		}},
		"a VLAN is a link more": {Spec{ControlPlanes: 1, VLAN: 100, VIPs: dual}, []string{
			"cp-1 10.5.0.102 eth0=10.5.0.2/24,fd10:5::2/64 eth0.100=10.6.0.2/24,fd10:6::2/64",
		}},
		"the lesser half is behind the router": {Spec{ControlPlanes: 3, Workers: 1, Subnets: 2}, []string{
			2: "cp-3 10.5.0.104 eth0=10.5.1.4/24", 3: "worker-1 10.5.0.105 eth0=10.5.0.5/24",
		}},
		"half of four is two": {Spec{ControlPlanes: 4, Subnets: 2}, []string{
			1: "cp-2 10.5.0.103 eth0=10.5.0.3/24", 2: "cp-3 10.5.0.104 eth0=10.5.1.4/24", 3: "cp-4 10.5.0.105 eth0=10.5.1.5/24",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := row.spec.Default().places()
			for i, want := range row.want {
				if line := placeLine(got[i]); want != "" && line != want {
					t.Errorf("places()[%d] = %s; want %s", i, line, want)
				}
			}
		})
	}
}

func placeLine(p place) string {
	parts := []string{p.Name, p.BMC.String()}
	for _, l := range p.Links {
		var addrs []string
		for _, a := range l.Addrs {
			addrs = append(addrs, a.String())
		}
		parts = append(parts, l.Name+"="+strings.Join(addrs, ","))
	}
	return strings.Join(parts, " ")
}

func TestWhereAVIPCanBe(t *testing.T) {
	elsewhere := netip.MustParseAddr("192.0.2.1")
	onVLAN := netip.MustParseAddr("10.6.0.50")
	for name, row := range map[string]struct {
		spec Spec
		vip  netip.Addr
		able string // names
		note string // in it
	}{
		"everywhere by default":         {Spec{}, DefaultVIP, "cp-1 cp-2 cp-3", ""},
		"never on a worker":             {Spec{ControlPlanes: 1, Workers: 1, VIPNodes: []string{"cp-1", "worker-1"}}, DefaultVIP, "cp-1", ""},
		"on chosen nodes":               {Spec{VIPNodes: []string{"cp-2"}}, DefaultVIP, "cp-2", ""},
		"on the VLAN of its subnet":     {Spec{VLAN: 5}, onVLAN, "cp-1 cp-2 cp-3", ""},
		"on a link that one lacks":      {Spec{VIPLinks: map[string]string{"cp-1": "bond0"}}, DefaultVIP, "cp-2 cp-3", ""},
		"on a link that all lack":       {Spec{VIPLinks: map[string]string{"": "bond0"}}, DefaultVIP, "", "no node can hold it"},
		"a node's link counts more":     {Spec{VIPLinks: map[string]string{"": "bond0", "cp-3": "eth0"}}, DefaultVIP, "cp-3", ""},
		"on a link by its other name":   {Spec{VIPLinks: map[string]string{"cp-1": "enx020000000002", "cp-2": "enx020000000002"}}, DefaultVIP, "cp-1 cp-3", ""},
		"not by it before v1.10":        {Spec{TalosVersion: "v1.9.5", VIPLinks: map[string]string{"cp-1": "enx020000000002"}}, DefaultVIP, "cp-2 cp-3", ""},
		"on no segment":                 {Spec{}, elsewhere, "cp-1 cp-2 cp-3", "none of the lab's networks"},
		"off the segment of one":        {Spec{Subnets: 2}, DefaultVIP, "cp-1 cp-2 cp-3", "nobody reaches it on cp-3"},
		"nowhere if the VLAN is absent": {Spec{VIPLinks: map[string]string{"": "eth0.5"}}, onVLAN, "", "no node can hold it"},
	} {
		t.Run(name, func(t *testing.T) {
			row.spec.VIPs = []netip.Addr{row.vip}
			spec := row.spec.Default()
			if err := spec.Validate(); err != nil {
				t.Fatal(err)
			}
			able, note := strings.Join(spec.eligible(row.vip), " "), spec.vipNote(row.vip)
			if able != row.able || !strings.Contains(note, row.note) || (note == "") != (row.note == "") {
				t.Errorf("eligible(%v) = %s, note %q; want %s, %q", row.vip, able, note, row.able, row.note)
			}
		})
	}
}
