//go:build linux

package node

import (
	"fmt"
	"net"
	"net/netip"
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
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
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
	// Nothing of these runs on the lab's nodes.
	main.ClusterConfig.ProxyConfig = &v1alpha1.ProxyConfig{Disabled: new(true)}
	main.ClusterConfig.CoreDNSConfig = &v1alpha1.CoreDNS{CoreDNSDisabled: new(true)}
	if cfg.NoKubePrism {
		main.MachineConfig.MachineFeatures.KubePrismSupport = &v1alpha1.KubePrism{ServerEnabled: new(false)}
	}
	// The generator's own host name is automatic.
	docs = slices.DeleteFunc(docs, func(d confdoc.Document) bool { return d.Kind() == network.HostnameKind })
	if configStyle(cfg) == StyleLegacy {
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
	if !cfg.release().HasDocuments() {
		return StyleLegacy
	}
	return StyleDocuments
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
		generate.WithClusterCNIConfig(&v1alpha1.CNIConfig{CNIName: constants.NoneCNI}),
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

// endpoint is the cluster's: the one that is asked for, else the first VIP, or
// the node itself where there is none.
func (c Config) endpoint() string {
	host := c.Endpoint
	switch {
	case host != "":
	case len(c.AllVIPs) > 0:
		host = c.AllVIPs[0].String()
	default:
		host = c.Addr.Addr().String()
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(apiserver.Port))
}

// legacyNetwork is the node's network in machine.network. VLANs are part of the
// interface that they are on, and each has one VIP at most; a VIP more makes an
// entry more of the same interface.
func legacyNetwork(m *v1alpha1.MachineConfig, cfg Config) {
	own := &v1alpha1.Device{DeviceInterface: cfg.Link}
	devices := v1alpha1.NetworkDeviceList{own}
	free := map[string]**v1alpha1.DeviceVIPConfig{cfg.Link: &own.DeviceVIPConfig}
	for _, l := range cfg.AllLinks() {
		switch {
		case l.Name == cfg.Link:
			own.DeviceAddresses = prefixes(l.Addrs)
		case l.VLAN != 0:
			vlan := &v1alpha1.Vlan{VlanID: l.VLAN, VlanAddresses: prefixes(l.Addrs)}
			own.DeviceVlans, free[l.Name] = append(own.DeviceVlans, vlan), &vlan.VlanVIP
		default:
			device := &v1alpha1.Device{DeviceInterface: l.Name, DeviceAddresses: prefixes(l.Addrs)}
			devices, free[l.Name] = append(devices, device), &device.DeviceVIPConfig
		}
	}
	for _, vip := range cfg.VIPs {
		shared := &v1alpha1.DeviceVIPConfig{SharedIP: vip.Addr.String()}
		if place := free[vip.Link]; place != nil && *place == nil {
			*place = shared
			continue
		}
		devices = append(devices, &v1alpha1.Device{DeviceInterface: vip.Link, DeviceVIPConfig: shared})
	}
	for _, gateway := range cfg.Gateways {
		own.DeviceRoutes = append(own.DeviceRoutes, &v1alpha1.Route{RouteGateway: gateway.String()})
	}
	m.MachineNetwork = &v1alpha1.NetworkConfig{NetworkHostname: cfg.Name, NetworkInterfaces: devices} //nolint:staticcheck // what older versions have
	m.MachineTime = &v1alpha1.TimeConfig{TimeDisabled: new(true)}                                     //nolint:staticcheck // as above
}

func prefixes(list []netip.Prefix) []string {
	var text []string
	for _, p := range list {
		text = append(text, p.String())
	}
	return text
}

// networkDocuments is the node's network in documents of its own.
func networkDocuments(cfg Config) []confdoc.Document {
	hostname := network.NewHostnameConfigV1Alpha1()
	hostname.ConfigAuto, hostname.ConfigHostname = new(nethelpers.AutoHostnameKindOff), cfg.Name
	clock := network.NewTimeSyncConfigV1Alpha1()
	clock.TimeEnabled = new(false)
	docs := []confdoc.Document{hostname, clock}
	for _, l := range cfg.AllLinks() {
		var common network.CommonLinkConfig
		for _, p := range l.Addrs {
			common.LinkAddresses = append(common.LinkAddresses, network.AddressConfig{AddressAddress: p})
		}
		if l.VLAN != 0 {
			vlan := network.NewVLANConfigV1Alpha1(l.Name)
			vlan.VLANIDConfig, vlan.ParentLinkConfig, vlan.CommonLinkConfig = l.VLAN, cfg.Link, common
			docs = append(docs, vlan)
			continue
		}
		if l.Name == cfg.Link {
			for _, gateway := range cfg.Gateways {
				common.LinkRoutes = append(common.LinkRoutes, network.RouteConfig{RouteGateway: network.Addr{Addr: gateway}})
			}
		}
		link := network.NewLinkConfigV1Alpha1(l.Name)
		link.CommonLinkConfig = common
		docs = append(docs, link)
	}
	for _, vip := range cfg.VIPs {
		shared := network.NewLayer2VIPConfigV1Alpha1(vip.Addr.String())
		shared.LinkName = vip.Link
		docs = append(docs, shared)
	}
	return docs
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
