//go:build linux

package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

// onMetal is the mode that Talos checks the lab's nodes in.
type onMetal struct{}

func (onMetal) String() string        { return "metal" }
func (onMetal) RequiresInstall() bool { return true }
func (onMetal) InContainer() bool     { return false }

func TestMachineConfigIsOneThatTalosTakes(t *testing.T) {
	vip2, vip3 := netip.MustParseAddr("10.5.0.51"), netip.MustParseAddr("fd00::50")
	tests := []struct {
		name, version, style string
		vips                 []VIP
		legacy               bool
	}{
		{"documents since v1.12", "v1.13.9", "", []VIP{{testVIP, "eth0"}}, false},
		{"legacy before", "v1.11.2", "", []VIP{{testVIP, "eth0"}}, true},
		{"the oldest version", "v1.8.0", "", []VIP{{testVIP, "eth0"}}, true},
		{"legacy when asked for", "v1.13.9", "legacy", []VIP{{testVIP, "eth0"}}, true},
		{"no VIP", "v1.13.9", "", nil, false},
		{"a VIP on a link and one on its VLAN, documents", "v1.13.9", "", []VIP{{testVIP, "eth0"}, {vip2, "eth0.100"}}, false},
		{"two VIPs on a link, documents", "v1.13.9", "", []VIP{{testVIP, "eth0"}, {vip2, "eth0"}, {vip3, "eth0"}}, false},
		{"two VIPs on a link, legacy", "v1.13.9", "legacy", []VIP{{testVIP, "eth0"}, {vip2, "eth0"}}, true},
		{"a VLAN, documents", "v1.13.9", "", []VIP{{testVIP, "eth0.100"}, {vip2, "eth0.100"}}, false},
		{"a VLAN, legacy", "v1.11.2", "", []VIP{{testVIP, "eth0"}, {vip2, "eth0.100"}}, true},
		{"a link that does not exist, documents", "v1.13.9", "", []VIP{{testVIP, "eth9"}}, false},
		{"a link that does not exist, legacy", "v1.13.9", "legacy", []VIP{{testVIP, "eth9"}}, true},
	}
	secrets, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			made, err := machineConfig(Config{
				Cluster: "test", Name: "cp-1", Addr: netip.MustParsePrefix("10.5.0.2/24"), Link: "eth0", VIPs: tt.vips,
				Links: []Link{
					{Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("10.5.0.2/24"), netip.MustParsePrefix("fd10:5::2/64")}},
					{Name: "eth0.100", Addrs: []netip.Prefix{netip.MustParsePrefix("10.6.0.2/24")}, VLAN: 100},
				},
				Gateways: []netip.Addr{netip.MustParseAddr("10.5.0.1")},
				AllVIPs:  []netip.Addr{testVIP}, TalosVersion: tt.version, KubernetesVersion: "v1.36.3", ConfigStyle: tt.style,
			}, secrets.Bundle())
			if err != nil {
				t.Fatal(err)
			}
			text, err := made.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := configloader.NewFromBytes(text)
			if err != nil {
				t.Fatalf("loading what machineConfig() made: %v\n%s", err, text)
			}
			if warnings, err := cfg.Validate(onMetal{}); err != nil {
				t.Errorf("Validate() = %v, %v; want no error", warnings, err)
			}
			var legacy, documents []VIP
			for _, d := range cfg.Machine().Network().Devices() {
				if d.VIPConfig() != nil {
					legacy = append(legacy, VIP{netip.MustParseAddr(d.VIPConfig().IP()), d.Interface()})
				}
				for _, v := range d.Vlans() {
					if v.VIPConfig() == nil {
						continue
					}
					legacy = append(legacy, VIP{netip.MustParseAddr(v.VIPConfig().IP()), "eth0.100"})
				}
			}
			for _, d := range cfg.NetworkVirtualIPConfigs() {
				documents = append(documents, VIP{d.VIP(), d.Link()})
			}
			got, other := documents, legacy
			if tt.legacy {
				got, other = legacy, documents
			}
			if !slices.Equal(got, tt.vips) || len(other) > 0 {
				t.Errorf("VIPs: legacy %v, documents %v; want %v in one of them", legacy, documents, tt.vips)
			}
			if c := cfg.Cluster(); c.Proxy().Enabled() || c.CoreDNS().Enabled() || c.Network().CNI().Name() != "none" {
				t.Errorf("the configuration has pods that the lab does not run: %s", text)
			}
			if got := cfg.Cluster().Endpoint().String(); got != "https://10.5.0.50:6443" {
				t.Errorf("the cluster's endpoint = %s; want the first VIP", got)
			}
		})
	}
}

func TestMachineConfigOfAWorkerHasNoAuthoritysKey(t *testing.T) {
	secrets, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	made, err := machineConfig(Config{
		Cluster: "test", Name: "worker-1", Worker: true, Addr: netip.MustParsePrefix("10.5.0.8/24"), Link: "eth0", VIPs: []VIP{{testVIP, "eth0"}},
		AllVIPs: []netip.Addr{testVIP}, TalosVersion: "v1.13.9", KubernetesVersion: "v1.36.3",
	}, secrets.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	// Talos takes a VIP's document on a worker, where it can never be held.
	if warnings, err := made.Validate(onMetal{}); err != nil || len(made.NetworkVirtualIPConfigs()) != 1 {
		t.Errorf("Validate() = %v, %v, with %d VIPs; want no error and one", warnings, err, len(made.NetworkVirtualIPConfigs()))
	}
	if made.Machine().Type() != machinetype.TypeWorker || len(made.Machine().Security().IssuingCA().Key) > 0 {
		t.Errorf("the configuration is that of a %v; want a worker's, without the key of Talos's authority", made.Machine().Type())
	}
}

func BenchmarkMachineConfig(b *testing.B) {
	secrets, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := machineConfig(Config{
			Cluster: "test", Name: "cp-1", Addr: netip.MustParsePrefix("10.5.0.2/24"), Link: "eth0", VIPs: []VIP{{testVIP, "eth0"}},
			AllVIPs: []netip.Addr{testVIP}, TalosVersion: "v1.13.9", KubernetesVersion: "v1.36.3",
		}, secrets.Bundle()); err != nil {
			b.Fatal(err)
		}
	}
}
