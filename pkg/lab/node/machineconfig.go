//go:build linux

package node

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/config"
	confdoc "github.com/siderolabs/talos/pkg/machinery/config/config"
	"github.com/siderolabs/talos/pkg/machinery/config/container"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/config/types/network"
	"github.com/siderolabs/talos/pkg/machinery/config/types/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
)

// Styles of Config.ConfigStyle.
const (
	styleLegacy    = "legacy"
	styleDocuments = "documents"
)

// installDisk is named because Talos accepts no configuration of a machine on
// metal without one. The lab's nodes install nothing.
const installDisk = "/dev/vda"

// machineConfig returns the node's machine configuration: what "talosctl gen
// config" of its version makes out of the cluster's secrets, with the node's
// own network in it. It keeps the text that a client reads, as Talos does.
func machineConfig(cfg Config, bundle *secrets.Bundle) (config.Provider, error) {
	docs, err := generated(cfg, bundle)
	if err != nil {
		return nil, fmt.Errorf("generate the machine configuration: %w", err)
	}
	main := docs[0].(*v1alpha1.Config)
	// The generator's own host name is automatic.
	docs = slices.DeleteFunc(docs, func(d confdoc.Document) bool { return d.Kind() == network.HostnameKind })
	if configStyle(cfg) == styleLegacy {
		legacyNetwork(main.MachineConfig, cfg)
	} else {
		docs = append(docs, networkDocuments(cfg)...)
	}
	whole, err := container.New(docs...)
	if err != nil {
		return nil, fmt.Errorf("put the machine configuration together: %w", err)
	}
	text, err := whole.EncodeBytes(encoder.WithComments(encoder.CommentsDisabled))
	if err != nil {
		return nil, fmt.Errorf("encode the machine configuration: %w", err)
	}
	return container.NewReadonly(text, docs...)
}

// configStyle returns the style that the configuration asks for, or the newest
// that the version knows.
func configStyle(cfg Config) string {
	if cfg.ConfigStyle != "" {
		return cfg.ConfigStyle
	}
	contract, err := config.ParseContractFromVersion(cfg.TalosVersion)
	if err == nil && !contract.MultidocNetworkConfigSupported() {
		return styleLegacy
	}
	return styleDocuments
}

// generated returns the documents without the node's network, the main one
// first.
func generated(cfg Config, bundle *secrets.Bundle) ([]confdoc.Document, error) {
	contract, err := config.ParseContractFromVersion(cfg.TalosVersion)
	if err != nil {
		contract = config.TalosVersionCurrent
	}
	var peers, vips []string
	for _, p := range cfg.Peers {
		peers = append(peers, p.Addr.String())
	}
	for _, vip := range cfg.AllVIPs {
		vips = append(vips, vip.String())
	}
	input, err := generate.NewInput(cfg.Cluster, cfg.endpoint(), strings.TrimPrefix(cfg.KubernetesVersion, "v"),
		generate.WithSecretsBundle(bundle), generate.WithVersionContract(contract), generate.WithEndpointList(peers),
		generate.WithAdditionalSubjectAltNames(vips), generate.WithInstallDisk(installDisk),
		generate.WithInstallImage("ghcr.io/siderolabs/installer:"+cfg.TalosVersion))
	if err != nil {
		return nil, err
	}
	whole, err := input.Config(machineType(cfg.Worker))
	if err != nil {
		return nil, err
	}
	return whole.Documents(), nil
}

// endpoint is the cluster's: the first VIP, or the node itself where there is
// none.
func (c Config) endpoint() string {
	host := c.Addr.Addr()
	if len(c.AllVIPs) > 0 {
		host = c.AllVIPs[0]
	}
	return "https://" + net.JoinHostPort(host.String(), strconv.Itoa(apiserver.Port))
}

// legacyNetwork is the node's network in machine.network. An interface has one
// VIP at most, so that more of them make more entries of the same interface.
func legacyNetwork(m *v1alpha1.MachineConfig, cfg Config) {
	own := &v1alpha1.Device{DeviceInterface: cfg.Link}
	for _, addr := range cfg.AllLinks()[0].Addrs {
		own.DeviceAddresses = append(own.DeviceAddresses, addr.String())
	}
	devices := v1alpha1.NetworkDeviceList{own}
	for _, vip := range cfg.VIPs {
		shared := &v1alpha1.DeviceVIPConfig{SharedIP: vip.Addr.String()}
		if id, ok := cfg.vlan(vip.Link); ok {
			own.DeviceVlans = append(own.DeviceVlans, &v1alpha1.Vlan{VlanID: id, VlanVIP: shared})
			continue
		}
		if vip.Link == cfg.Link && own.DeviceVIPConfig == nil {
			own.DeviceVIPConfig = shared
			continue
		}
		devices = append(devices, &v1alpha1.Device{DeviceInterface: vip.Link, DeviceVIPConfig: shared})
	}
	m.MachineNetwork = &v1alpha1.NetworkConfig{NetworkHostname: cfg.Name, NetworkInterfaces: devices} //nolint:staticcheck // what older versions have
	m.MachineTime = &v1alpha1.TimeConfig{TimeDisabled: new(true)}                                     //nolint:staticcheck // as above
}

// networkDocuments is the node's network in documents of its own.
func networkDocuments(cfg Config) []confdoc.Document {
	hostname := network.NewHostnameConfigV1Alpha1()
	hostname.ConfigAuto, hostname.ConfigHostname = new(nethelpers.AutoHostnameKindOff), cfg.Name
	clock := network.NewTimeSyncConfigV1Alpha1()
	clock.TimeEnabled = new(false)
	own := network.NewLinkConfigV1Alpha1(cfg.Link)
	for _, addr := range cfg.AllLinks()[0].Addrs {
		own.LinkAddresses = append(own.LinkAddresses, network.AddressConfig{AddressAddress: addr})
	}
	docs := []confdoc.Document{hostname, clock, own}
	var vlans []string
	for _, vip := range cfg.VIPs {
		if id, ok := cfg.vlan(vip.Link); ok && !slices.Contains(vlans, vip.Link) {
			vlans = append(vlans, vip.Link)
			vlan := network.NewVLANConfigV1Alpha1(vip.Link)
			vlan.VLANIDConfig, vlan.ParentLinkConfig = id, cfg.Link
			docs = append(docs, vlan)
		}
		shared := network.NewLayer2VIPConfigV1Alpha1(vip.Addr.String())
		shared.LinkName = vip.Link
		docs = append(docs, shared)
	}
	return docs
}

// vlan returns the ID of a VLAN on the node's own link, by the link's name
// (eth0.100).
func (c Config) vlan(link string) (uint16, bool) {
	name, found := strings.CutPrefix(link, c.Link+".")
	id, err := strconv.ParseUint(name, 10, 12)
	return uint16(id), found && err == nil && id > 0
}

// vips returns the addresses of the VIPs that are configured on the node, as
// Talos writes them in lists of subnets.
func (c Config) vips() []string {
	list := make([]string, 0, len(c.VIPs))
	for _, vip := range c.VIPs {
		list = append(list, vip.Addr.String())
	}
	return list
}
