//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/operator"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// address is a fault of a VIP's address. It is done while no operator of the
// node adds or removes one.
func (f *faults) address(inject, undo func(netip.Addr) error) nodeFault {
	on := func(do func(netip.Addr) error) func(context.Context, faultArgs) error {
		return func(_ context.Context, args faultArgs) error {
			vip, err := f.vip(args[argVIP])
			if err != nil {
				return err
			}
			f.m.held.mu.Lock()
			defer f.m.held.mu.Unlock()
			return do(vip)
		}
	}
	return nodeFault{on(inject), on(undo)}
}

// hostPrefix is the address as VIP operators have it: /32 or /128.
func hostPrefix(vip netip.Addr) netip.Prefix { return netip.PrefixFrom(vip, vip.BitLen()) }

// owns reports whether the node's own operator carries the address.
func (f *faults) owns(vip netip.Addr) bool { return f.m.held.addrs[hostPrefix(vip)] }

// addLeftover adds the VIP to its link without a word to the neighbours, nor a
// spec that asks for it.
func (f *faults) addLeftover(vip netip.Addr) error {
	if f.owns(vip) {
		return fmt.Errorf("the node owns %v", vip)
	}
	return f.add(hostPrefix(vip))
}

// removeLeftover takes it away, unless the node owns it by now.
func (f *faults) removeLeftover(vip netip.Addr) error {
	if f.owns(vip) {
		return nil
	}
	return f.remove(hostPrefix(vip))
}

// addSecondOwner does what an operator does that takes itself for the owner,
// without its key in the election: specs, address, gratuitous ARP.
func (f *faults) addSecondOwner(vip netip.Addr) error {
	if f.owns(vip) {
		return fmt.Errorf("the node owns %v", vip)
	}
	if err := f.add(hostPrefix(vip)); err != nil {
		return err
	}
	f.m.publishAddressSpec(hostPrefix(vip), network.ConfigOperator)
	if !vip.Is4() {
		return nil
	}
	if err := f.announce(vip); err != nil {
		return errors.Join(fmt.Errorf("announce %v: %w", vip, err), f.removeSecondOwner(vip))
	}
	return nil
}

// announce sends a gratuitous ARP for an address that the link has.
func (f *faults) announce(vip netip.Addr) error {
	k := operator.NewKernel(f.m.cfg.LinkOf(vip))
	if err := k.AddAddress(hostPrefix(vip)); err != nil && !errors.Is(err, fs.ErrExist) { // it looks the link up
		return err
	}
	if err := k.Announce(vip); err != nil {
		return err
	}
	f.m.truth.Record(truth.Event{Kind: truth.ARPSent, Detail: vip.String()})
	return nil
}

// removeSecondOwner ends that, unless the node has become the owner by now.
func (f *faults) removeSecondOwner(vip netip.Addr) error {
	if f.owns(vip) {
		return nil
	}
	err := f.remove(hostPrefix(vip))
	f.m.dropAddressSpec(hostPrefix(vip), network.ConfigOperator)
	return err
}

// staticPrefix is the VIP as somebody writes it into the machine configuration
// who takes it for an address like any other: with the link's prefix length.
func (f *faults) staticPrefix(vip netip.Addr) netip.Prefix {
	for _, l := range f.m.cfg.AllLinks() {
		for _, p := range l.Addrs {
			if l.Name == f.m.cfg.LinkOf(vip) && p.Addr().BitLen() == vip.BitLen() {
				return netip.PrefixFrom(vip, p.Bits())
			}
		}
	}
	return hostPrefix(vip)
}

// addStatic makes the VIP an address of the machine configuration.
func (f *faults) addStatic(vip netip.Addr) error {
	prefix := f.staticPrefix(vip)
	if prefix.IsSingleIP() && f.owns(vip) {
		return fmt.Errorf("the node owns %v", vip)
	}
	if err := f.add(prefix); err != nil {
		return err
	}
	f.m.publishAddressSpec(prefix, network.ConfigMachineConfiguration)
	return nil
}

func (f *faults) removeStatic(vip netip.Addr) error {
	prefix := f.staticPrefix(vip)
	f.m.dropAddressSpec(prefix, network.ConfigMachineConfiguration)
	if prefix.IsSingleIP() && f.owns(vip) {
		return nil
	}
	return f.remove(prefix)
}

// linkOf returns the link that the address belongs on.
func (f *faults) linkOf(prefix netip.Prefix) (netlink.Link, error) {
	name := f.m.cfg.LinkOf(prefix.Addr())
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	return link, nil
}

// add puts the address on its link; that it is there is fine.
func (f *faults) add(prefix netip.Prefix) error {
	link, err := f.linkOf(prefix)
	if err != nil {
		return err
	}
	err = netlink.AddrAdd(link, toNetlink(prefix))
	at := truth.Now()
	if err == nil {
		f.m.truth.Record(truth.Event{At: at, Kind: truth.AddressAdded, Detail: prefix.String()})
	}
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// remove takes the address off its link; that it is gone is fine.
func (f *faults) remove(prefix netip.Prefix) error {
	link, err := f.linkOf(prefix)
	if err != nil {
		return err
	}
	at := truth.Now()
	err = netlink.AddrDel(link, toNetlink(prefix))
	if err == nil {
		f.m.truth.Record(truth.Event{At: at, Kind: truth.AddressRemoved, Detail: prefix.String()})
	}
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}
