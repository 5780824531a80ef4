//go:build linux

package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Owners of the resources that mirror the kernel.
const (
	addressStatusOwner = "network.AddressStatusController"
	linkStatusOwner    = "network.LinkStatusController"
	routeStatusOwner   = "network.RouteStatusController"
)

// kernel mirrors the links, addresses and routes of the machine's network
// namespace in resources: what is so, whoever made it so.
type kernel struct {
	m         *machine
	addresses *addresses
}

// run follows the kernel until the context ends. Each message makes the whole
// mirror new, so that a message lost does no lasting harm.
func (k *kernel) run(ctx context.Context) error {
	kick := make(chan struct{}, 1)
	if err := subscribe(ctx, kick); err != nil {
		return err
	}
	for {
		if err := k.mirror(); err != nil {
			k.m.log.Printf("read the kernel's addresses: %v", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-kick:
		}
	}
}

// subscribe kicks at every message about links, addresses and routes.
func subscribe(ctx context.Context, kick chan<- struct{}) error {
	poke := func() {
		select {
		case kick <- struct{}{}:
		default:
		}
	}
	lost := func(error) { poke() } // the socket overflowed: read everything again
	links, addrs, routes := make(chan netlink.LinkUpdate, 64), make(chan netlink.AddrUpdate, 64), make(chan netlink.RouteUpdate, 64)
	if err := netlink.LinkSubscribeWithOptions(links, ctx.Done(), netlink.LinkSubscribeOptions{ErrorCallback: lost}); err != nil {
		return fmt.Errorf("subscribe to links: %w", err)
	}
	if err := netlink.AddrSubscribeWithOptions(addrs, ctx.Done(), netlink.AddrSubscribeOptions{ErrorCallback: lost}); err != nil {
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	if err := netlink.RouteSubscribeWithOptions(routes, ctx.Done(), netlink.RouteSubscribeOptions{ErrorCallback: lost}); err != nil {
		return fmt.Errorf("subscribe to routes: %w", err)
	}
	go drain(links, poke)
	go drain(addrs, poke)
	go drain(routes, poke)
	return nil
}

// drain pokes for each update until the subscription ends.
func drain[T any](updates <-chan T, poke func()) {
	for range updates {
		poke()
	}
}

// mirror makes the resources what the kernel has.
func (k *kernel) mirror() error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	names := map[int]string{}
	var up []int
	keep, ethernet := map[resource.ID]bool{}, map[resource.ID]bool{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
		if l.Attrs().RawFlags&unix.IFF_UP != 0 {
			up = append(up, l.Attrs().Index)
		}
		keep[l.Attrs().Name] = true
		put(k.m, linkStatusOwner, network.NewLinkStatus(network.NamespaceName, l.Attrs().Name),
			func(r *network.LinkStatus) { *r.TypedSpec() = k.m.asConfigured(linkStatus(l), l.Attrs().Name, links) })
		ethernet[l.Attrs().Name] = k.m.publishEthernet(l.Attrs().Name)
	}
	if err := k.mirrorAddresses(names, up); err != nil {
		return err
	}
	k.forget(network.LinkStatusType, linkStatusOwner, keep)
	k.forget(network.EthernetStatusType, ethernetStatusOwner, ethernet)
	return k.mirrorRoutes(names)
}

func (k *kernel) mirrorAddresses(names map[int]string, up []int) error {
	list, err := netlink.AddrList(nil, unix.AF_UNSPEC)
	if err != nil {
		return err
	}
	keep := map[resource.ID]bool{}
	var usable []netip.Prefix
	for _, a := range list {
		spec, ok := addressStatus(a, names[a.LinkIndex])
		if !ok {
			continue
		}
		id := network.AddressID(spec.LinkName, spec.Address)
		keep[id] = true
		if slices.Contains(up, a.LinkIndex) {
			usable = append(usable, spec.Address)
		}
		put(k.m, addressStatusOwner, network.NewAddressStatus(network.NamespaceName, id),
			func(r *network.AddressStatus) { *r.TypedSpec() = spec })
	}
	k.forget(network.AddressStatusType, addressStatusOwner, keep)
	k.addresses.set(usable)
	return nil
}

func (k *kernel) mirrorRoutes(names map[int]string) error {
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC} // every table
	list, err := netlink.RouteListFiltered(unix.AF_UNSPEC, filter, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	keep := map[resource.ID]bool{}
	for _, r := range list {
		spec := routeStatus(r, names[r.LinkIndex])
		id := network.RouteID(spec.Table, spec.Family, spec.Destination, spec.Gateway, spec.Priority, spec.OutLinkName)
		keep[id] = true
		put(k.m, routeStatusOwner, network.NewRouteStatus(network.NamespaceName, id),
			func(r *network.RouteStatus) { *r.TypedSpec() = spec })
	}
	k.forget(network.RouteStatusType, routeStatusOwner, keep)
	return nil
}

// forget removes the resources of a type that the kernel has no more.
func (k *kernel) forget(typ resource.Type, owner string, keep map[resource.ID]bool) {
	list, err := k.m.state.List(context.Background(), resource.NewMetadata(network.NamespaceName, typ, "", resource.VersionUndefined))
	if err != nil {
		k.m.log.Printf("list %s: %v", typ, err)
		return
	}
	for _, r := range list.Items {
		if !keep[r.Metadata().ID()] {
			if err := k.m.state.Destroy(context.Background(), r.Metadata(), state.WithDestroyOwner(owner)); err != nil {
				k.m.log.Printf("remove %s: %v", r.Metadata(), err)
			}
		}
	}
}
