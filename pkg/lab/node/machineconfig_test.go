//go:build linux

package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"

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
				AllVIPs: []netip.Addr{testVIP}, TalosVersion: tt.version, KubernetesVersion: "v1.36.3", ConfigStyle: tt.style,
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
			if got := cfg.Cluster().Endpoint().String(); got != "https://10.5.0.50:6443" {
				t.Errorf("the cluster's endpoint = %s; want the first VIP", got)
			}
		})
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
