//go:build linux

package apiserver

import (
	"context"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

// resubscribeAfter is the pause after the kernel's news were interrupted,
// which happens when there were more than the socket could hold.
const resubscribeAfter = 100 * time.Millisecond

// watchAddresses calls changed with each address that a link of this network
// namespace has, gains or loses, until ctx ends.
func watchAddresses(ctx context.Context, changed func(addr netip.Addr, gained bool)) {
	for ctx.Err() == nil {
		follow(ctx, changed)
		select {
		case <-ctx.Done():
		case <-time.After(resubscribeAfter):
		}
	}
}

// follow is one subscription, until it or ctx ends.
func follow(ctx context.Context, changed func(addr netip.Addr, gained bool)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // closes the socket
	updates := make(chan netlink.AddrUpdate)
	options := netlink.AddrSubscribeOptions{ListExisting: true}
	if err := netlink.AddrSubscribeWithOptions(updates, ctx.Done(), options); err != nil {
		return
	}
	for update := range updates {
		if addr, ok := netip.AddrFromSlice(update.LinkAddress.IP); ok {
			changed(addr.Unmap(), update.NewAddr)
		}
	}
}
