//go:build linux

package node

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vishvananda/netlink"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// The faults that a machine does to itself.
const (
	faultAPIServerKill = "apiserver-kill" // killed and held down
	faultLeftoverVIP   = "leftover-vip"   // the VIP on a link that does not own it
)

// argVIP names the VIP that a fault is about; by default the first.
const argVIP = "vip"

// faults does the faults of one machine.
type faults struct{ m *machine }

// obey does what the supervisor asks for.
func (f *faults) obey(o Order) error {
	switch {
	case o.ACPI:
		f.m.Shutdown(true) // Talos takes the power button for a shutdown with force
		return nil
	case o.Fault == "":
		return errors.New("an order that asks for nothing")
	}
	if err := f.set(o); err != nil {
		return fmt.Errorf("%s: %w", o.Fault, err)
	}
	kind := truth.FaultUndone
	if o.On {
		kind = truth.FaultInjected
	}
	f.m.truth.Record(truth.Event{Kind: kind, Detail: o.Fault})
	return nil
}

func (f *faults) set(o Order) error {
	if known, err := f.setAPI(o); known {
		return err
	}
	switch o.Fault {
	case faultAPIServerKill:
		f.m.apiserver.hold(o.On)
		return nil
	case faultLeftoverVIP:
		vip, err := f.vip(o.Args[argVIP])
		if err != nil {
			return err
		}
		return f.leftover(vip, o.On)
	case faultMaintenance:
		return f.setMaintenance(o.On)
	}
	return errors.New("no such fault")
}

// vip returns the VIP of the cluster that is named, or the first.
func (f *faults) vip(name string) (netip.Addr, error) {
	all := f.m.cfg.AllVIPs
	if name == "" && len(all) > 0 {
		return all[0], nil
	}
	vip, err := netip.ParseAddr(name)
	if err != nil || !slices.Contains(all, vip) {
		return vip, fmt.Errorf("%q is not a VIP of this cluster", name)
	}
	return vip, nil
}

// leftover adds the VIP to the link without a word to the neighbours, or takes
// it away, unless the node owns it by then.
func (f *faults) leftover(vip netip.Addr, on bool) error {
	link, err := netlink.LinkByName(f.m.cfg.Link)
	if err != nil {
		return err
	}
	prefix := netip.PrefixFrom(vip, vip.BitLen())
	owned := f.owns(prefix)
	at, kind := truth.Now(), truth.AddressRemoved
	switch {
	case on && owned:
		return fmt.Errorf("the node owns %v", vip)
	case on:
		err = netlink.AddrAdd(link, toNetlink(prefix))
		at, kind = truth.Now(), truth.AddressAdded
		if errors.Is(err, syscall.EEXIST) {
			return nil
		}
	case owned:
		return nil
	default:
		err = netlink.AddrDel(link, toNetlink(prefix))
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	f.m.truth.Record(truth.Event{At: at, Kind: kind, Detail: prefix.String()})
	return nil
}

// owns reports whether the node's operator carries the address.
func (f *faults) owns(prefix netip.Prefix) bool {
	_, merged, _ := f.m.addressSpecs(prefix, network.ConfigOperator)
	return exists(f.m, merged.Metadata())
}
